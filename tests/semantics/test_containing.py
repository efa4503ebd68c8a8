"""Semantics 12 and 13 of the policy language: whom a rule contains, and what a lineage is."""

import pytest

from authz_server.model import Containment, Entity
from authz_server.verdict import Decision, Reason
from tests.harness import Bench
from tests.semantics.world import ACTIONS, AGENT, ALLOWED, DOCS, OTHER, TASKS, VAULT, World, faults, task

BASE = ACTIONS + ALLOWED
KEY = (("authorization", "Bearer abc"),)
EVEN = "when: 'path.doc == \"evil\"'"


def quarantine(contain, condition=EVEN):
    return (
        BASE
        + f"  - {{name: q, match: {{action: doc.read}}, {condition}, then: quarantine, contain: {contain}}}\n"
        + TASKS
    )


def contained(world):
    return {(each.entity.type, each.until - world.trial.now) for each in world.event.verdict.contain}


def test_12_quarantine_contains_and_nothing_else_does():
    """`contain` is required there and refused elsewhere; not everything is a scope."""
    assert "contain" in faults(BASE + "  - {name: q, then: quarantine}\n")[0]
    assert (
        "only a rule with `then: quarantine` contains"
        in faults(BASE + "  - {name: q, then: deny, contain: {pair: 1h}}\n")[0]
    )
    for scope in ("credential", "source"):
        assert scope in faults(quarantine(f"{{{scope}: 1h}}"))[0]


@pytest.mark.parametrize(
    ("contain", "more", "expected"),
    [
        ("{pair: 1h}", {"headers": KEY}, {("pair", 3600)}),
        ("{pair: 1h}", {}, {("instance", 3600)}),
        ("{instance: 15m, principal: 5m}", {}, {("instance", 900), ("principal", 300)}),
        ("{task: 5m, lineage: 1m}", {"task": task()}, {("task", 300), ("lineage", 60)}),
        ("{task: 5m}", {}, {("instance", 300)}),
        ("{lineage: 5m}", {}, {("principal", 300)}),
    ],
)
def test_12_only_what_the_caller_proved_in_this_step_is_contained(contain, more, expected):
    """A credential only together with who shows it; what is absent is the caller at its place."""
    world = World(quarantine(contain))
    assert world.step("/docs/evil", **more).decision is Decision.QUARANTINE
    assert contained(world) == expected
    assert world.step("/docs/7", **more).reason is Reason.CONTAINED


def test_12_showing_a_stolen_thing_once_does_not_lock_out_its_owner():
    """The pair of thief and key is contained; the owner works on with it, and the thief without it."""
    world = World(quarantine("{pair: 1h}"))
    world.step("/docs/evil", headers=KEY)
    assert world.step(headers=KEY, who=OTHER).decision is Decision.ALLOW
    assert world.step().decision is Decision.ALLOW
    assert world.step(headers=(*KEY, ("x-api-key", "mine"))).reason is Reason.CONTAINED


def test_12_an_instance_is_the_caller_at_one_place():
    """Of IPv6 its network."""
    world = World(quarantine("{instance: 15m}"))
    world.step("/docs/evil", address="2001:db8::1")
    assert world.step(address="2001:db8::ffff").reason is Reason.CONTAINED
    assert world.step(address="2001:db8:0:1::1").decision is Decision.ALLOW


def test_12_a_lineage_is_contained_whatever_task_and_agent_carry_it():
    """Everything that was started by the same."""
    world = World(quarantine("{lineage: 1h}"))
    world.step("/docs/evil", task=task())
    assert world.step(who=OTHER, task=task(OTHER, id="t2")).reason is Reason.CONTAINED
    assert world.step(who=OTHER, task=task(OTHER, id="t3", originator="bob")).decision is Decision.ALLOW


def test_12_an_anonymous_caller_proved_nothing_and_a_legacy_caller_a_place():
    """Nobody, and not all who may show the same header."""
    legacy = "legacy: [{name: batch, match: {source: [10.0.0.0/8], header: {x-client-id: b}}, actions: [doc.read]}]\n"
    anonymous = "  - {name: open, match: {principal: anonymous}, then: allow}\n"
    world = World(quarantine("{principal: 1h}").replace("tasks:", f"{anonymous}tasks:") + legacy)
    assert world.step("/docs/evil", who="").contain == ()
    assert world.step(who="").decision is Decision.ALLOW
    shown = {"who": "", "headers": (("x-client-id", "b"),)}
    world.step("/docs/evil", **shown)
    assert world.step(**shown).reason is Reason.CONTAINED
    assert world.step(**shown, address="10.9.9.9").decision is Decision.ALLOW


def test_12_a_declared_containment_comes_before_envelopes_and_tasks_and_names_anybody():
    """Also an anonymous caller by its source, and who presents a credential or a task."""
    envelope = "envelopes: [{name: e, match: {principal: 'spiffe://corp.example/**', action: list}, rate: 5/s}]\n"
    anonymous = "  - {name: open, match: {principal: anonymous}, then: allow}\n"
    declared = f"contained: [{{principal: {OTHER}, reason: a}}, {{source: 192.0.2.0/24, reason: b}}, {{task: report, reason: c}}]\n"
    world = World(BASE + anonymous + TASKS + envelope + declared)
    assert world.step("/docs", who=OTHER).rule == "declared"
    assert world.step(who="").decision is Decision.ALLOW
    assert world.step(who="", address="192.0.2.7").reason is Reason.CONTAINED
    assert world.step(address="192.0.2.7").reason is Reason.CONTAINED
    assert world.step("/docs", task=task()).reason is Reason.CONTAINED
    assert world.step("/docs").rule == "envelope:e"


def test_12_a_declared_containment_names_a_legacy_caller_too():
    """Wherever it calls from, and whichever of several; it is an identity like any other."""
    legacy = "legacy: [{name: batch, match: {source: [10.0.0.0/8], header: {x-client-id: b}}, actions: [doc.read]}]\n"
    shown = {"who": "", "headers": (("x-client-id", "b"),)}
    assert World(BASE + legacy).step(**shown).rule == "legacy:batch"
    for name in ("legacy:batch", "legacy:*"):
        world = World(f'{BASE}{legacy}contained: [{{principal: "{name}", reason: x}}]\n')
        assert world.step(**shown, address="10.9.9.9").rule == "declared"
        assert world.step().decision is Decision.ALLOW


def test_12_beyond_the_guards_a_step_is_denied_and_somebody_must_look():
    """A gateway or an operator is never contained by a rule."""
    it = Bench(quarantine("{principal: 1h}"), never=lambda entity: True)
    verdict = it.step(path="/docs/evil", host="docs.corp.example", principal=AGENT)
    assert (verdict.decision, verdict.contain, verdict.alert) == (Decision.QUARANTINE, (), "critical")
    assert it.step(path="/docs/7", host="docs.corp.example", principal=AGENT).decision is Decision.ALLOW


def test_12_it_ends_with_its_time_or_a_release():
    """And not with a change of the policy."""
    it = Bench(quarantine("{principal: 1h}"))
    more = {"host": "docs.corp.example", "principal": AGENT}
    it.step(path="/docs/evil", **more)
    it.policy.replace(BASE)
    assert it.step(path="/docs/7", **more).reason is Reason.CONTAINED
    it.engine.release(Entity("principal", (AGENT,)))
    assert it.step(path="/docs/7", **more).decision is Decision.ALLOW
    it.contained.add(Containment(Entity("principal", (AGENT,)), it.clock.now + 60, "operator"))
    assert it.step(path="/docs/7", **more).rule == "operator"
    it.clock.now += 60
    assert it.step(path="/docs/7", **more).decision is Decision.ALLOW


LINEAGE = (
    BASE
    + "  - {name: much, when: signals.calls > 2, then: deny}\n"
    + "signals: {calls: {count: steps, each: [lineage], window: 1h}}\n"
    + TASKS
)


def test_13_a_lineage_is_issuer_and_originator_of_a_task():
    """A new task of the same issuer and originator keeps it, whoever carries it."""
    world = World(LINEAGE)
    for who, identifier in ((AGENT, "t1"), (AGENT, "t2"), (OTHER, "t3")):
        world.step(who=who, task=task(who, id=identifier))
    assert world.reading("calls") == 3
    assert world.step(who=OTHER, task=task(OTHER, originator="bob")).decision is Decision.ALLOW


def test_13_without_a_task_it_is_the_caller_never_a_header():
    """Its own steps, and nobody else's."""
    world = World(LINEAGE)
    for number in range(3):
        world.step(headers=(("x-lineage", str(number)), ("txn-token", "x")))
    assert world.reading("calls") == 3
    world.step(who=OTHER)
    assert world.reading("calls") == 1


def test_13_beside_the_principal_a_lineage_without_a_task_is_the_same_and_not_kept_twice():
    """The reading is the larger of both."""
    world = World(LINEAGE.replace("each: [lineage]", "each: [principal, lineage]"))
    world.step(task=task())
    world.step()
    assert world.reading("calls") == 2
    world.step(who=OTHER, task=task(OTHER))
    assert world.reading("calls") == 2


def test_12_one_destination_keeps_a_caller_from_itself_only():
    """See semantics 26; here that the entity is the caller at this destination."""
    world = World(quarantine("{principal: 1h}"))
    world.step("/docs/evil", destination_principal=DOCS)
    assert world.step(destination_principal=DOCS).reason is Reason.CONTAINED
    assert world.step(destination_principal=VAULT).decision is Decision.ALLOW
