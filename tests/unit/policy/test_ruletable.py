"""Candidate sets, the signals that a step feeds, and who is in the enforced share."""

from authz_server.model import Entity, Task
from authz_server.policy import ruletable
from authz_server.policy.heritage import OWNER
from authz_server.policy.selector import Key, key_of
from authz_server.policy.step import Step
from authz_server.signals import SignalKind
from tests.steps import AGENT, NOW, policy, principal, request

TEXT = """
    version: 1
    actions:
      - {name: list,   match: {method: GET, path: /v1/customers}, kind: discovery, stage: discovery}
      - {name: read,   match: {method: GET, path: "/v1/customers/{customer}"}, kind: read}
      - {name: secret, match: {method: GET, path: "/v1/secret/**"}, kind: credential, stage: credential-access}
    facts:
      tenant: request.headers[?"x-tenant"].orValue("")
      broken: request.headers["x-missing"]
    signals:
      calls:    {count: steps, per: [principal, action], window: 10s}
      tenants:  {count: steps, per: [destination, facts.tenant], window: 10s}
      faulty:   {count: steps, per: [principal, facts.broken], window: 10s}
      things:   {distinct: path.customer, per: [principal], window: 1h}
      chain:    {sequence: [discovery, credential-access], each: [principal, lineage, source], window: 1h}
      filtered: {count: steps, per: [principal], window: 10s, match: {action: read}, when: 'request.headers["x-count"] == "1"'}
      inside:   {count: steps, per: [source], window: 10s, match: {source: 10.0.0.0/8}, exclude: {source: 10.9.0.0/16}}
    rules:
      - {name: all, match: {principal: "spiffe://**", action: "*"}, then: allow}
      - name: reads-all
        when: signals.calls + signals.tenants + signals.things + signals.chain + signals.filtered + signals.inside + signals.faulty > 1000
        then: deny
"""


def hits(snapshot, path="/v1/customers/7", who=AGENT, task=None, **changes):
    req = request(path=path, **changes)
    classified = snapshot.catalogue.classify(req)
    step = Step(req, principal(who) or None, classified.action, classified.captures, NOW)
    step.task = task
    found = {}
    for hit in snapshot.rules.candidates(key_of(step)).hits(step):
        found.setdefault(hit.signal.name, []).append(hit)
    return found


def amounts(found):
    return [hit.amount for hit in found]


def test_each_signal_is_fed_as_it_is_defined():
    """One composite key for `per`, one instance a word for `each`, members and stages."""
    found = hits(policy(TEXT), headers={"x-tenant": "acme", "x-count": "1"})
    (calls,) = found["calls"]
    assert (calls.entity, calls.rest) == (Entity("principal", (AGENT,)), ("read",))
    (tenants,) = found["tenants"]
    assert (tenants.entity, tenants.rest) == (Entity("destination", ("crm/api",)), ("acme",))
    assert found["things"][0].member == "7"
    assert {hit.entity for hit in found["chain"]} == {Entity("principal", (AGENT,)), Entity("source", ("10.1.2.3",))}
    assert {hit.stage for hit in found["chain"]} == {-1}
    assert len(found["filtered"]) == 1
    assert len(found["inside"]) == 1


def test_the_stage_of_the_action_feeds_a_sequence():
    """Counted from the first stage of the definition."""
    assert hits(policy(TEXT), path="/v1/secret/a")["chain"][0].stage == 1
    assert hits(policy(TEXT), path="/v1/customers")["chain"][0].stage == 0


def test_an_absent_entity_measures_nothing():
    """No tenant, no address, no principal: no key of nobody."""
    found = hits(policy(TEXT), source_address="")
    assert "tenants" not in found
    assert {hit.entity.type for hit in found["chain"]} == {"principal"}


def test_a_task_has_a_lineage_of_its_own():
    """Without one it would be the caller itself, which is measured beside it."""
    task = Task("weekly", "t1", "spiffe://corp.example/ns/platform/sa/o", AGENT, "alice", 1, int(NOW) + 60)
    assert {hit.entity.type for hit in hits(policy(TEXT), task=task)["chain"]} == {"principal", "lineage", "source"}


def test_a_fact_that_cannot_be_evaluated_is_an_absent_entity():
    """Nothing is counted under an error."""
    assert "faulty" not in hits(policy(TEXT))


def test_a_filter_that_cannot_be_evaluated_counts():
    """Counting once too often is the safe side."""
    snapshot = policy(TEXT)
    assert amounts(hits(snapshot)["filtered"]) == [1]
    assert amounts(hits(snapshot, headers={"x-count": "0"})["filtered"]) == [0]
    assert amounts(hits(snapshot, path="/v1/customers")["filtered"]) == [0]


def test_match_and_exclude_of_a_signal():
    """Both are tested for each step where they depend on it; whom the signal is not about reads it only."""
    snapshot = policy(TEXT)
    assert amounts(hits(snapshot)["inside"]) == [1]
    assert amounts(hits(snapshot, source_address="192.0.2.1")["inside"]) == [0]
    assert amounts(hits(snapshot, source_address="10.9.1.1")["inside"]) == [0]


def test_shared_sources_have_no_source_signals():
    """Behind a gateway the address says nothing about the caller."""
    found = hits(policy(TEXT, shared_sources=("10.1.0.0/16",)))
    assert "inside" not in found
    assert {hit.entity.type for hit in found["chain"]} == {"principal"}


def test_ipv6_sources_are_counted_by_network():
    """A /64 is one place."""
    (source,) = [
        hit for hit in hits(policy(TEXT), source_address="2001:db8::7")["chain"] if hit.entity.type == "source"
    ]
    assert source.entity.parts == ("2001:db8::/64",)


def test_candidate_sets_are_compiled_once():
    """The second step of a kind finds what the first compiled."""
    snapshot = policy(TEXT)
    key = Key(snapshot.catalogue.actions["read"], AGENT, "")
    assert snapshot.rules.candidates(key) is snapshot.rules.candidates(key)


def agent(number):
    return f"spiffe://corp.example/ns/agents/sa/a{number}"


def test_a_flood_of_principals_does_not_grow_the_table(monkeypatch):
    """The memory of candidate sets is bounded."""
    monkeypatch.setattr(ruletable, "MAX_CANDIDATES", 8)
    snapshot = policy(TEXT)
    action = snapshot.catalogue.actions["read"]
    for number in range(50):
        snapshot.rules.candidates(Key(action, agent(number), ""))
    assert len(snapshot.rules.known_keys()) <= 8


def test_a_flood_of_principals_leaves_what_is_in_use_alone(monkeypatch):
    """The sets of busy callers are not compiled again."""
    monkeypatch.setattr(ruletable, "MAX_CANDIDATES", 8)
    snapshot = policy(TEXT)
    action = snapshot.catalogue.actions["read"]
    busy = snapshot.rules.candidates(Key(action, AGENT, ""))
    for number in range(50):
        snapshot.rules.candidates(Key(action, agent(number), ""))
        assert snapshot.rules.candidates(Key(action, AGENT, "")) is busy


def test_callers_with_the_same_rules_share_what_is_compiled_of_them():
    """A flood of principals compiles nothing."""
    snapshot = policy(TEXT)
    action = snapshot.catalogue.actions["read"]
    one, two = (snapshot.rules.candidates(Key(action, agent(number), "")) for number in range(2))
    assert one is not two
    assert (one.early, one.later) == (two.early, two.later)


def test_warming_takes_no_more_keys_than_a_reload_has_time_for(monkeypatch):
    """Those in front."""
    monkeypatch.setattr(ruletable, "MAX_WARMED", 3)
    snapshot = policy(TEXT)
    keys = [Key(snapshot.catalogue.actions["read"], agent(number), "") for number in range(10)]
    snapshot.rules.warm(keys)
    assert set(snapshot.rules.known_keys()) & set(keys) == set(keys[:3])


def test_the_enforced_share_is_about_what_is_asked_for_and_stays():
    """By keyed hash of rule and principal: the same principals every time."""
    snapshot = policy(TEXT + "      - {name: half, then: deny, enforce: 30%}\n")
    action = snapshot.catalogue.actions["read"]

    def enforced(number):
        phase = snapshot.rules.candidates(Key(action, f"spiffe://corp.example/ns/agents/sa/a{number}", "")).early
        return any(outcome.rule.name == "half" for outcome in phase.evaluate(None).enforced)

    chosen = [enforced(number) for number in range(1000)]
    assert 240 < sum(chosen) < 360
    assert chosen[:50] == [enforced(number) for number in range(50)]


def test_a_sequence_is_a_sequence():
    """Kinds of the definition reach the store."""
    assert hits(policy(TEXT))["chain"][0].signal.kind is SignalKind.SEQUENCE
    assert hits(policy(TEXT))["chain"][0].signal.stages == 2


def test_the_lowest_limit_of_a_candidate_is_reported():
    """What a reading is shown beside."""
    text = (
        TEXT
        + "      - {name: a, when: signals.calls > 9, then: deny}\n      - {name: b, when: signals.calls > 4, then: throttle}\n"
    )
    snapshot = policy(text)
    candidates = snapshot.rules.candidates(Key(snapshot.catalogue.actions["read"], AGENT, ""))
    assert candidates.limits == {"calls": 4}


def test_what_follows_the_answer_is_known_beforehand():
    """Signals that the answer feeds, those that outcomes feed, and the scores that rules read."""
    text = TEXT.replace(
        "    rules:\n",
        """
      denials: {count: denied, per: [principal], window: 5m}
      failed:  {count: outcomes, per: [principal], window: 5m, match: {action: list}}
      risk:    {score: true, each: [principal], half_life: 15m}
    rules:
      - {name: risky, when: signals.risk > 50 || signals.failed > 3, then: deny}
      - {name: noisy, when: signals.denials > 9, then: throttle}
""",
    )
    snapshot = policy(text)
    candidates = snapshot.rules.candidates(Key(snapshot.catalogue.actions["read"], AGENT, ""))
    assert [plan.signal.name for plan in candidates.after] == ["denials"]
    assert [plan.signal.name for plan in candidates.outcomes] == [OWNER]
    assert candidates.scores == ("risk",)
    listing = snapshot.rules.candidates(Key(snapshot.catalogue.actions["list"], AGENT, ""))
    assert [plan.signal.name for plan in listing.outcomes] == ["failed", OWNER]


def test_envelopes_are_those_of_the_key():
    """What differs between its steps is asked later."""
    snapshot = policy(
        TEXT
        + f"""
    envelopes:
      - {{name: mine, match: {{principal: "{AGENT}", action: read}}, rate: 10/s}}
      - {{name: other, match: {{principal: "{agent(7)}", action: read}}, rate: 10/s}}
"""
    )
    candidates = snapshot.rules.candidates(Key(snapshot.catalogue.actions["read"], AGENT, ""))
    assert [envelope.name for envelope in candidates.envelopes] == ["mine"]
