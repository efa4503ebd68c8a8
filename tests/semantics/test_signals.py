"""Semantics 21 to 23 of the policy language: when a signal is measured, and for whom."""

import pytest

from authz_server.verdict import Decision
from tests.semantics.world import ACTIONS, AGENT, ALLOWED, OTHER, TASKS, World, task

BASE = ACTIONS + ALLOWED
NO = "  - {name: no, match: {action: doc.read}, when: 'path.doc == \"evil\"', then: deny}\n"


def world(signal, condition, *, then="deny", match="", more="", name="s", **changes):
    """One signal, and one rule on it."""
    rule = f"  - {{name: r, {match}when: '{condition}', then: {then}}}\n"
    return World(f"{BASE}{NO}{rule}{more}signals: {{{name}: {signal}}}\n", **changes)


@pytest.mark.parametrize(
    "signal",
    [
        "{count: steps, per: [principal], window: 1h}",
        "{distinct: path.doc, per: [principal], window: 1h}",
        "{sequence: [discovery, credential-access], per: [principal], window: 1h}",
    ],
)
def test_21_pressure_counts_every_step_at_once_refused_ones_too(signal):
    """This step included."""
    it = world(signal, "signals.s > 99")
    it.step("/docs")
    first = it.reading("s")
    it.step("/docs/evil")
    assert it.event.verdict.rule == "no"
    it.secret()
    assert it.reading("s") == (3 if "count" in signal else 2 if "sequence" in signal else 1)
    assert first == (0 if "distinct" in signal else 1)


def test_21_steps_that_no_rule_was_asked_about_count_too():
    """Those with a token that does not hold, or a body that is none; and they are denials."""
    more = "  - {name: t, when: signals.denials > 9, then: throttle}\n"
    it = World(f"{BASE}{more}{TASKS}signals: {{denials: {{count: denied, per: [principal], window: 1h}}}}\n")
    it.step(task=task(OTHER))
    it.step("/docs/7", "PUT")
    it.step("/nothing")
    it.step()
    assert it.reading("denials") == 3


@pytest.mark.parametrize(("fed", "expected"), [("allowed", 2), ("denied", 1), ("outcomes", 1)])
def test_21_what_answers_feed_is_read_before_and_fed_after(fed, expected):
    """Allowed steps, denied ones, or what the destination answered; throttled and challenged ones are neither."""
    it = world(f"{{count: {fed}, per: [principal, destination], window: 1h}}", "signals.s > 99", then="throttle")
    it.step(service="docs")
    assert it.reading("s") == 0
    it.answered(500)
    it.step("/docs/evil", service="docs")
    it.step(service="docs")
    it.step(service="docs")
    assert it.reading("s") == expected


def test_21_a_budget_is_reserved_with_the_step_and_given_back_when_it_is_not_allowed():
    """What was refused for want of room is not given back: it was never taken."""
    grant = "rules: [{name: g, match: {task: report}, when: task.covers && task.within_budget, then: allow}]\n"
    it = World(ACTIONS + grant + TASKS)
    assert [it.export(task=task()).decision.value for _ in range(6)] == ["allow"] * 2 + ["deny"] * 4
    assert it.export(task=task(id="t2")).decision is Decision.ALLOW
    assert it.steps(4, task=task()) == ["allow"] * 3 + ["deny"]


def test_21_a_step_that_something_else_refuses_uses_nothing_up():
    """Its reservation comes back before the next step."""
    it = world("{budget: steps, per: [principal], window: 1h}", "signals.s > 2")
    assert it.steps(5, "/docs/evil") == ["deny"] * 5
    assert it.steps(4) == ["allow", "allow", "deny", "deny"]
    it.later(3600)
    assert it.step().decision is Decision.ALLOW


def test_21_familiarity_is_learned_from_success():
    """A refused try, or a failed one, does not make the retry known."""
    it = world("{first_seen: path.doc, per: [principal], window: 7d, learn: 0s}", "signals.s == 1", then="observe")
    for status, failed in ((403, False), (500, False), (0, True), (200, False)):
        assert it.step().matched[-1].rule == "r"
        it.answered(status, failed=failed)
    assert it.step().matched[-1].rule == "agents"
    it.step("/docs/evil")
    it.answered()
    assert it.step("/docs/evil").rule == "no"
    assert it.reading("s") == 1


def test_21_a_filter_makes_no_failure_familiar():
    """Whatever else it asks of the outcome."""
    signal = '{first_seen: path.doc, per: [principal], window: 7d, learn: 0s, when: "outcome.bytes >= 0"}'
    it = world(signal, "signals.s == 1", then="observe")
    for status, new in ((403, 1), (200, 1), (200, 0)):
        it.step()
        assert it.reading("s") == new
        it.answered(status)


def test_22_per_is_one_key_and_each_one_key_for_each_word():
    """Of `each` the largest is read."""
    it = world("{count: steps, per: [principal, source], window: 1h}", "signals.s > 9")
    for address in ("10.0.0.1", "10.0.0.2", "10.0.0.2"):
        it.step(address=address)
    assert it.reading("s") == 2
    it = world("{count: steps, each: [principal, source], window: 1h}", "signals.s > 9")
    for who, address in ((AGENT, "10.0.0.1"), (OTHER, "10.0.0.1"), (AGENT, "10.0.0.2")):
        it.step(who=who, address=address)
    assert it.reading("s") == 2


@pytest.mark.parametrize(
    ("word", "more"), [("task", {}), ("credential", {}), ("principal", {"who": ""}), ("source", {"address": ""})]
)
def test_22_where_an_entity_is_absent_nothing_is_measured(word, more):
    """And the reading is 0."""
    anonymous = "  - {name: open, match: {principal: anonymous}, then: allow}\n"
    it = world(f"{{count: steps, per: [{word}], window: 1h}}", "signals.s > 0", more=anonymous)
    assert it.step(**more).decision is Decision.ALLOW
    assert it.reading("s") in {None, 0}


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ("10.0.0.1", "10.0.0.2", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("2001:db8::1", "2001:db8::2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
    ],
)
def test_22_a_source_is_an_address_or_a_network_of_ipv6(one, two, same):
    """Without port; a host has as many addresses of its /64 as it likes."""
    it = world("{count: steps, per: [source], window: 1h}", "signals.s > 9")
    it.step(address=one)
    it.step(address=two)
    assert it.reading("s") == 1 + same


def test_22_shared_sources_have_no_signals():
    """A gateway's address says nothing about who is behind it."""
    it = world("{count: steps, per: [source], window: 1h}", "signals.s > 0", shared=("10.1.0.0/16",))
    assert it.step().decision is Decision.ALLOW
    assert it.step(address="10.2.0.1").rule == "r"


def test_22_a_rule_reads_what_other_steps_have_fed():
    """A filter says what counts, not who may read it; what does not count adds nothing."""
    for signal in (
        "{count: steps, per: [principal], window: 1h, match: {action: doc.read}}",
        "{count: steps, per: [principal], window: 1h, exclude: {action: list}}",
        '{count: steps, per: [principal], window: 1h, when: "path.doc != \\"\\""}',
        "{distinct: path.doc, per: [principal], window: 1h, match: {action: doc.read}}",
    ):
        it = world(signal.replace("'", '"'), "signals.s > 2", match="match: {action: list}, ")
        for number in range(3):
            assert it.step("/docs").decision is Decision.ALLOW
            assert it.reading("s") == number
            it.step(f"/docs/{number}")
        assert it.step("/docs").rule == "r"


def test_22_every_credential_that_is_presented_counts():
    """A worthless one in front hides nothing."""
    it = world("{distinct: principal, per: [credential], window: 1h}", "signals.s > 1")
    stolen = ("x-api-key", "k1")
    it.step(headers=(stolen,))
    assert it.step(who=OTHER, headers=(("authorization", "Bearer own"), stolen)).rule == "r"


def test_23_a_sequence_deepens_by_stage_and_never_by_waiting_in_one():
    """A skipped stage is half a step; an earlier one lowers nothing; it fades by half-lives."""
    stages = "{sequence: [discovery, credential-access, collection], each: [principal], window: 6h, half_life: 2h}"
    it = world(stages, "signals.s >= 9")
    it.step("/docs")
    it.step("/docs")
    assert it.reading("s") == 1
    it.secret()
    assert it.reading("s") == 2
    it.step("/docs")
    it.export()
    assert it.reading("s") == 3
    it.later(2 * 3600)
    it.step()
    assert it.reading("s") == 1
    skipped = world(stages, "signals.s >= 9")
    skipped.step("/docs")
    skipped.export()
    assert skipped.reading("s") == 2
    skipped.later(6 * 3600)
    skipped.step()
    assert skipped.reading("s") == 0
