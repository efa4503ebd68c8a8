"""What a decided step teaches, and what an outcome feeds of it."""

import pytest

from authz_server.model import Outcome
from authz_server.policy.aftermath import additions, after_answer, expected, given_back, learned
from authz_server.policy.selector import key_of
from authz_server.policy.step import Step
from authz_server.signals import Hit, SignalKind
from authz_server.verdict import Decision
from tests.steps import AGENT, NOW, credential, policy, principal, request

TEXT = """
    version: 1
    actions:
      - {name: read, match: {method: GET, path: "/v1/{thing}"}, kind: read}
      - {name: list, match: {method: GET, path: /v1}, kind: discovery, stage: discovery}
    signals:
      allowed: {count: allowed, per: [principal], window: 1h}
      denied:  {count: denied, per: [principal], window: 1h}
      reads:   {count: denied, per: [principal], window: 1h, match: {action: read}}
      odd:     {count: denied, per: [principal], window: 1h, when: 'path.thing == "odd"'}
      budget:  {budget: steps, per: [principal], window: 1h}
      marked:  {mark: 'path.thing == "gold"', per: [principal], keep: 1h, fed_by: allowed}
      pairs:   {count: denied, per: [credential], window: 1h}
      risk:    {score: true, each: [principal, source], half_life: 1h}
      failed:  {count: outcomes, per: [principal, destination], window: 1h, when: "outcome.status >= 500 || outcome.failed"}
      known:   {distinct: path.thing, per: [principal], window: 1h, fed_by: outcomes}
      refused: {distinct: path.thing, per: [principal], window: 1h, fed_by: outcomes, when: "outcome.status == 403"}
      new:     {first_seen: path.thing, per: [principal], window: 1h, learn: 0s, when: "outcome.bytes >= 0"}
      gold:    {mark: 'path.thing == "gold"', per: [principal], keep: 1h, fed_by: outcomes}
      walk:    {walk: {refused: 2, absent: 1.5, failed: 0.001, success: -1.5, discovered: -0.5}, each: [principal], half_life: 6h}
    rules:
      - {name: a, when: 'path.thing == "1"', then: observe, adds: {risk: 3}}
      - {name: b, when: 'path.thing == "1"', then: observe, adds: {risk: 4}}
      - name: r
        when: >-
          signals.allowed + signals.denied + signals.reads + signals.odd + signals.budget + signals.marked + signals.pairs
          + signals.risk + signals.failed + signals.known + signals.refused + signals.new + signals.gold + signals.walk > 1000
        then: throttle
"""
SNAPSHOT = policy(TEXT)


def step(path="/v1/7", **changes):
    req = request(path=path, **changes)
    classified = SNAPSHOT.catalogue.classify(req)
    return Step(req, principal(), classified.action, classified.captures, NOW)


def candidates(it):
    return SNAPSHOT.rules.candidates(key_of(it))


def fed(it, decision, *, reserved=True):
    return {hit.signal.name: hit.amount for hit in after_answer(candidates(it), it, decision, reserved=reserved)}


@pytest.mark.parametrize(
    ("path", "decision", "names"),
    [
        ("/v1/7", Decision.ALLOW, {"allowed"}),
        ("/v1/gold", Decision.ALLOW, {"allowed", "marked"}),
        ("/v1/gold", Decision.CHALLENGE, set()),
        ("/v1/7", Decision.THROTTLE, set()),
        ("/v1/7", Decision.DENY, {"denied", "reads"}),
        ("/v1/odd", Decision.QUARANTINE, {"denied", "reads", "odd"}),
        ("/v1", Decision.DENY, {"denied"}),
    ],
)
def test_the_answer_feeds_what_counts_such_answers(path, decision, names):
    """Of the steps that match and filter say; challenges and throttles are neither allowed nor denied."""
    assert fed(step(path), decision) == dict.fromkeys(names, 1)


def test_a_budget_is_reserved_after_the_fact_only_when_nobody_did_before():
    """And then for allowed steps only."""
    assert "budget" not in fed(step(), Decision.ALLOW)
    assert fed(step(), Decision.ALLOW, reserved=False)["budget"] == 1
    assert "budget" not in fed(step(), Decision.DENY, reserved=False)


def test_every_presented_credential_is_fed():
    """One is not hidden by another."""
    it = step(credentials=(credential("a"), credential("b")))
    hits = after_answer(candidates(it), it, Decision.DENY, reserved=True)
    entities = {hit.entity.parts for hit in hits if hit.signal.name == "pairs"}
    assert entities == {(credential("a").id,), (credential("b").id,)}


def test_rules_add_up_what_they_add_to_a_score():
    """In thousandths, to each of its instances."""
    it = step("/v1/1")
    found = candidates(it)
    rules = [outcome.rule for outcome in found.early.evaluate(it).enforced]
    hits = additions(found, it, rules)
    assert [(hit.signal.name, hit.entity.type, hit.amount) for hit in hits] == [
        ("risk", "principal", 7000),
        ("risk", "source", 7000),
    ]
    assert additions(found, it, ()) == ()


@pytest.mark.parametrize(
    ("amount", "value", "back"), [(1, 1, [-1]), (1, 5, [-1]), (1, 6, []), (0, 3, []), (3, 5, [-3])]
)
def test_what_had_no_room_is_not_given_back(amount, value, back):
    """It was never stored; what only reads reserved nothing."""
    signal = SNAPSHOT.plans["budget"].signal._replace(cap=5)
    hit = Hit(signal, entity=None, amount=amount)
    assert [each.amount for each in given_back((hit,), (value,))] == back
    count = hit._replace(signal=signal._replace(kind=SignalKind.COUNT))
    assert given_back((count,), (value,)) == ()


def test_an_allowed_step_expects_what_its_outcome_may_feed():
    """As far as the step decides it: the mark of another thing is not expected."""
    for path, names in (("/v1/7", {"failed", "known", "refused", "new", "walk"}), ("/v1/gold", {"gold"})):
        it = step(path)
        found = {hit.signal.name for hit in expected(candidates(it), it)}
        assert names <= found
        assert ("gold" in found) is ("gold" in names)


def outcome_feeds(path, status, *, failed=False):
    it = step(path)
    hits = expected(candidates(it), it)
    return {hit.signal.name: hit.amount for hit in learned(SNAPSHOT.plans, hits, Outcome(status, 0, failed))}


@pytest.mark.parametrize(
    ("path", "status", "failed", "names"),
    [
        ("/v1/7", 200, False, {"known": 1, "new": 1, "walk": -1500}),
        ("/v1/gold", 302, False, {"known": 1, "new": 1, "gold": 1, "walk": -1500}),
        ("/v1", 200, False, {"known": 1, "new": 1, "walk": -500}),
        ("/v1/gold", 403, False, {"refused": 1, "walk": 2000}),
        ("/v1", 401, False, {"walk": 2000}),
        ("/v1/7", 410, False, {"walk": 1500}),
        ("/v1/7", 500, False, {"failed": 1, "walk": 1}),
        ("/v1/7", 200, True, {"failed": 1, "walk": 1}),
        ("/v1/7", 0, False, {}),
        ("/v1/7", 400, False, {}),
        ("/v1/7", 429, False, {}),
    ],
)
def test_an_outcome_feeds_what_it_is_evidence_of(path, status, failed, names):
    """Familiar is what succeeded, unless a filter of a distinct or a mark says which outcomes count."""
    assert outcome_feeds(path, status, failed=failed) == names


def test_what_another_definition_expected_is_dropped():
    """A reload may have changed what a stored value means, or have taken the signal away."""
    it = step()
    hits = expected(candidates(it), it)
    ok = Outcome(200, 0, failed=False)
    changed = policy(TEXT.replace("window: 1h, fed_by: outcomes}", "window: 2h, fed_by: outcomes}"))
    assert "known" not in {hit.signal.name for hit in learned(changed.plans, hits, ok)}
    assert learned({}, hits, ok) == ()
    assert {hit.stage for hit in learned(SNAPSHOT.plans, hits, ok)} == {-1}
    assert AGENT in {part for hit in hits for part in hit.entity.parts}
