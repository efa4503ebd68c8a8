"""How steps feed signals, compiled, and the hidden signals behind them."""

import pytest

from authz_server.errors import PolicyError
from authz_server.policy.step import Step
from authz_server.signals import SignalKind
from tests.steps import NOW, credential, policy, principal, request

HEAD = """
    version: 1
    actions:
      - {name: read, match: {method: GET, path: "/v1/{thing}"}, kind: read}
      - {name: write, match: {method: PUT, path: /v2}, kind: write}
    facts: {busy: signals.s > 3, tenant: 'request.headers[?"x-t"].orValue("")'}
"""


def plans(signal, rule="when: signals.s > 3, then: throttle", more=""):
    """The plans by name."""
    return policy(f"{HEAD}    signals: {{s: {signal}}}\n    rules:\n      - {{name: r, {rule}}}\n{more}").plans


def step(**changes):
    snapshot = policy(HEAD.replace("signals.s", "1") + "    rules: []\n")
    return Step(request(**changes), principal(), snapshot.catalogue.actions["read"], {"thing": "7"}, NOW)


@pytest.mark.parametrize(
    ("signal", "credential_counts"),
    [
        ("{count: steps, per: [credential], window: 1h}", True),
        ("{count: steps, each: [principal, credential.id], window: 1h}", True),
        ("{distinct: credential, per: [principal], window: 1h}", True),
        ("{walk: {refused: 1}, each: [principal], half_life: 1h}", True),
        ("{walk: {refused: 1}, of: path.thing, each: [principal], half_life: 1h}", False),
        ("{count: steps, per: [principal], window: 1h}", False),
    ],
)
def test_a_signal_that_is_about_credentials_takes_each(signal, credential_counts):
    """Whether they are its key or its member."""
    assert plans(signal)["s"].reads_credential is credential_counts


def test_a_mark_remembers_the_caller_and_all_that_it_presents():
    """In an order that the caller does not choose."""
    (read_caller, read_keys) = plans("{mark: 'path.thing == \"7\"', each: [source], keep: 1h}")["s"].members
    one, two = credential("1"), credential("2")
    there = step(credentials=(one, two))
    assert read_caller(there) == principal().id
    assert read_keys(there) == read_keys(step(credentials=(two, one))) != read_keys(step(credentials=(one,)))
    assert read_keys(step()) == ""


@pytest.mark.parametrize(
    ("per", "kind", "member"),
    [("principal", SignalKind.DISTINCT, "crm/api"), ("principal, destination", SignalKind.COUNT, "")],
)
def test_outcomes_are_counted_by_destination(per, kind, member):
    """One destination's answers say something about it alone, unless the key names it."""
    plan = plans(f"{{count: outcomes, per: [{per}], window: 1h}}")["s"]
    assert (plan.signal.kind, plan.read_member(step())) == (kind, member)


@pytest.mark.parametrize(
    ("signal", "message"),
    [
        ("{count: steps, per: [principal], window: 1h, when: facts.busy}", "before the readings"),
        ("{count: steps, per: [principal], window: 1h, when: task.within_budget}", "before the readings"),
        ("{mark: facts.busy, per: [principal], keep: 1h}", "before the readings"),
        ("{count: steps, per: [facts.busy], window: 1h}", "facts.busy"),
        ("{count: outcomes, per: [principal], window: 1h, when: 'path.thing == \"a\"'}", "not among what it reads"),
        ("{count: steps, per: [principal], window: 1h, when: outcome.status == 1}", "known only after the answer"),
        (
            "{count: steps, per: [principal], window: 1h, match: {action: write}, when: 'path.thing == \"a\"'}",
            "no action",
        ),
    ],
)
def test_a_filter_reads_what_is_there_when_it_is_asked(signal, message):
    """The step before the readings; the outcome and nothing of the step after it."""
    with pytest.raises(PolicyError) as caught:
        plans(signal)
    assert any(message in str(fault) for fault in caught.value.faults)


@pytest.mark.parametrize(
    ("signal", "rule", "elsewhere"),
    [
        ("{count: steps, per: [principal], window: 1h}", "when: signals.s > 3, then: throttle", False),
        ("{count: steps, per: [principal], window: 1h, match: {action: read}}", "match: {action: read}, when: signals.s > 3, then: throttle", False),
        ("{count: steps, per: [principal], window: 1h, match: {action: read}}", "when: signals.s > 3, then: throttle", True),
        ("{count: steps, per: [principal], window: 1h, match: {action: read}}", "match: {action: write}, when: facts.busy, then: throttle", True),
        ("{count: steps, per: [principal], window: 1h, exclude: {action: read}}", "when: signals.s > 3, then: throttle", True),
        ("{count: steps, per: [principal], window: 1h, when: 'facts.tenant == \"a\"'}", "when: signals.s > 3, then: throttle", True),
        ("{count: denied, per: [principal], window: 1h, match: {action: read}}", "when: signals.s > 3, then: throttle", False),
        ("{count: steps, per: [principal], window: 1h, match: {action: read}}", "when: signals.s > 3, then: quarantine, contain: {pair: 1h}", True),
    ],
)  # fmt: skip
def test_pressure_with_a_filter_is_read_where_it_is_not_fed(signal, rule, elsewhere):
    """Through a plan of its own, together with who vouches for it; what answers feed is read everywhere anyway."""
    found = {name for name, plan in plans(signal, rule).items() if plan.only_read}
    assert found == ({"s", *(["reporters:s"] if "quarantine" in rule else [])} if elsewhere else set())


def test_a_signal_that_nobody_reads_or_adds_to_is_not_measured():
    """It is a warning."""
    assert "s" not in plans("{count: steps, per: [principal], window: 1h}", "then: deny")
    assert "s" in plans("{score: true, each: [principal], half_life: 1h}", "then: observe, adds: {s: 1}")


def test_a_legacy_caller_is_counted_by_its_steps():
    """Twice its rate is where counting ends."""
    legacy = "    legacy: [{name: b, match: {source: [10.0.0.0/8]}, actions: [read], rate: 5/s}]\n"
    plan = plans("{count: steps, per: [principal], window: 1h}", more=legacy)["legacy:b"]
    assert (plan.signal.kind, plan.signal.cap, plan.signal.window_ms) == (SignalKind.COUNT, 12, 1000)
    assert plan.is_pressure
