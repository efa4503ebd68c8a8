"""Which signals a lineage hands on, who claims a credential, and where another's past is read."""

import pytest

from authz_server.envoy.join_hits import pack_hits, unpack_hits
from authz_server.model import Entity, Task
from authz_server.pdp import begin
from authz_server.policy.heritage import OWNER, claims_of, exceeding, inherited_hits, is_heritable
from authz_server.policy.selector import key_of
from authz_server.policy.step import Step
from authz_server.signals import Hit, pack_familiarity
from tests.steps import AGENT, NOW, credential, policy, principal, request

ISSUER = "spiffe://corp.example/ns/p/sa/o"
OTHER = "spiffe://corp.example/ns/agents/sa/a2"


def snapshot(*signals, condition=""):
    """A policy with these signals, which a rule reads."""
    text = "\n".join(f"  s{number}: {each}" for number, each in enumerate(signals))
    read = condition or " || ".join(f"signals.s{number} > 2" for number in range(len(signals)))
    return policy(
        'version: 1\nactions: [{name: read, match: {path: "/v1/{thing}"}, kind: read}]\n'
        f"signals:\n{text}\nrules:\n"
        '  - {name: all, match: {principal: ["spiffe://**", anonymous]}, then: allow}\n'
        f"  - {{name: r, when: '{read}', then: throttle}}\n"
    )


def plan_of(signal, condition="signals.s0 > 2"):
    return snapshot(signal, condition=condition).plans["s0"]


@pytest.mark.parametrize(
    ("signal", "condition", "expected"),
    [
        ("{count: steps, per: [lineage], window: 1h}", "signals.s0 > 2", True),
        ("{count: denied, per: [action, lineage], window: 1h}", "signals.s0 > 2", True),
        ("{score: true, each: [principal, lineage], half_life: 1h}", "signals.s0 > 2", True),
        ("{mark: \"action.kind == 'read'\", each: [lineage], keep: 1h}", "signals.s0 == 1", True),
        ("{count: steps, per: [principal], window: 1h}", "signals.s0 > 2", False),
        ("{distinct: lineage, per: [credential], window: 1h}", "signals.s0 > 2", False),
        ("{first_seen: path.thing, per: [lineage], window: 1d}", "signals.s0 == 1", False),
        ("{distinct: path.thing, per: [lineage], window: 1d, fed_by: allowed}", "!signals.s0.has", False),
    ],
)
def test_what_speaks_against_a_lineage_is_handed_on(signal, condition, expected):
    """What it is familiar with would speak for whoever has its credential; and then nobody has to know whose it is."""
    it = snapshot(signal, condition=condition)
    assert is_heritable(it.plans["s0"]) is expected
    assert (OWNER in it.plans) is expected


def test_a_signal_that_no_rule_reads_makes_nobody_an_owner():
    """Nor one that only principals have."""
    text = "{count: steps, per: [principal], window: 1h}"
    assert OWNER not in snapshot(text, "{count: steps, per: [lineage], window: 1h}", condition="signals.s0 > 2").plans


def begun(it, name=AGENT, task=None, **changes):
    found = begin(it, request(**changes), principal(name), NOW)
    found.step.task = task
    return found


@pytest.mark.parametrize("name", [AGENT, ""])
def test_an_allowed_step_claims_every_credential_for_its_lineage(name):
    """Through the access log of its proxy and back; an anonymous one claims none."""
    it = snapshot("{count: steps, per: [lineage], window: 1h}")
    step = begun(it, name, credentials=(credential("1"), credential("2"))).step
    hits = []
    it.plans[OWNER].feed(step, hits, 1)
    again = unpack_hits(pack_hits(hits), {plan.signal.id: plan.signal for plan in it.plans.values()})
    claims = ((credential("1").id, AGENT), (credential("2").id, AGENT)) if name else ()
    assert claims_of(hits) == claims_of(again) == claims


def test_only_claims_are_claims():
    """What other signals count of a credential says nothing about whose it is."""
    it = snapshot("{count: steps, per: [credential], window: 1h}")
    assert claims_of((Hit(it.plans["s0"].signal, Entity("credential", ("c",)), (), "x"),)) == ()


LINEAGE = f"{ISSUER} alice"


@pytest.mark.parametrize(
    ("keys", "lineage", "entity", "rest"),
    [
        ("per: [lineage]", OTHER, Entity("lineage", (OTHER,)), ()),
        ("per: [lineage]", LINEAGE, Entity("lineage", (LINEAGE,)), ()),
        ("per: [lineage, action]", LINEAGE, Entity("lineage", (LINEAGE,)), ("read",)),
        ("per: [action, lineage]", LINEAGE, Entity("action", ("read",)), (LINEAGE,)),
        ("each: [lineage]", OTHER, Entity("lineage", (OTHER,)), ()),
        ("each: [principal, lineage]", OTHER, Entity("principal", (OTHER,)), ()),
        ("each: [principal, lineage]", LINEAGE, Entity("lineage", (LINEAGE,)), ()),
    ],
)
def test_anothers_past_is_read_where_its_own_steps_are_counted(keys, lineage, entity, rest):
    """Reading it changes nothing."""
    it = snapshot(f"{{count: steps, {keys}, window: 1h}}")
    waiting = begun(it)
    (hit,) = inherited_hits(waiting.candidates.heritable, waiting.step, lineage)
    assert hit == Hit(it.plans["s0"].signal, entity, rest, amount=0)
    own = begun(it, OTHER)
    if lineage is LINEAGE:
        own.step.task = Task("t", "t1", ISSUER, OTHER, "alice", 0, int(NOW) + 60)
    fed = []
    it.plans["s0"].feed(own.step, fed, 1)
    assert (hit.entity, hit.rest) in [(each.entity, each.rest) for each in fed]


def test_what_the_step_lacks_reads_nothing():
    """A composite key without one of its words is none."""
    it = snapshot("{count: steps, per: [lineage, task], window: 1h}")
    waiting = begun(it)
    assert inherited_hits(waiting.candidates.heritable, waiting.step, OTHER) == []


def test_the_setter_of_a_mark_is_compared():
    """Whether another than this caller set it."""
    it = snapshot("{mark: \"action.kind == 'read'\", each: [lineage], keep: 1h}", condition="signals.s0.by_other")
    waiting = begun(it, credentials=(credential(),))
    (hit,) = inherited_hits(waiting.candidates.heritable, waiting.step, OTHER)
    assert AGENT in hit.member


def test_a_signal_is_inherited_where_the_others_past_is_larger():
    """Of several instances of its own the largest counts; of a mark how many set it."""
    calls = Hit(plan_of("{count: steps, each: [principal, lineage], window: 1h}").signal, Entity("principal", ("p",)))
    mark = Hit(
        plan_of("{mark: \"action.kind == 'read'\", each: [lineage], keep: 1h}", "signals.s0 == 1").signal,
        Entity("lineage", ("l",)),
    )
    mark = mark._replace(signal=mark.signal._replace(name="m"))
    old, young = pack_familiarity(1, 0, 9000, 3), pack_familiarity(2, 0, 1, 1)
    assert exceeding([(calls, 3), (calls, 1)], [(calls, 3)]) == frozenset()
    assert exceeding([(calls, 3), (mark, old)], [(calls, 2), (calls, 4), (mark, young)]) == {"s0", "m"}
    assert exceeding([(mark, young)], [(mark, old)]) == frozenset()
    assert exceeding([], [(calls, 1), (mark, 0)]) == {"s0"}


def test_steps_that_read_no_such_signal_have_nothing_to_inherit():
    """So that nobody asks whose their credentials are."""
    it = snapshot("{count: steps, per: [principal], window: 1h}")
    step = Step(request(), principal(), it.catalogue.actions["read"], {}, NOW)
    assert it.rules.candidates(key_of(step)).heritable == ()


def test_who_vouches_and_what_a_task_has_used_are_not_handed_on():
    """What two proxies have said of one caller they have not said of another."""
    it = policy(
        'version: 1\nactions: [{name: read, match: {path: "/v1/{thing}"}, kind: read}]\n'
        "tasks: [{name: t, issuers: ['spiffe://**'], agents: ['spiffe://**'], actions: [read], budget: {steps: 3}, ttl: 15m}]\n"
        "signals: {s0: {count: steps, per: [lineage], window: 1h}}\nrules:\n"
        "  - {name: q, when: signals.s0 > 2 && task.within_budget, then: quarantine, contain: {pair: 1h}}\n"
    )
    assert {"s0", "reporters:s0"} < set(it.plans)
    assert [name for name, plan in it.plans.items() if is_heritable(plan)] == ["s0"]
