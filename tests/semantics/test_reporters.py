"""Semantics 26 of the policy language: one destination cannot frame a caller."""

import pytest

from authz_server.model import CallerKind
from authz_server.verdict import Decision, Reason
from tests.semantics.world import ACTIONS, ALLOWED, DOCS, OTHER, VAULT, World

BASE = ACTIONS + ALLOWED
HR = "spiffe://corp.example/ns/hr/sa/api"


def world(signal, condition):
    rule = f"  - {{name: q, when: '{condition}', then: quarantine, contain: {{principal: 1h}}}}\n"
    return World(f"{BASE}{rule}signals: {{s: {signal}}}\n")


def scopes(world):
    return {each.entity.type for each in world.event.verdict.contain}


COUNT = "{count: steps, per: [principal], window: 1h}"


def test_26_what_one_proxy_says_keeps_a_caller_from_itself_only():
    """However often it says it; the caller works on elsewhere, and so does everybody else there."""
    it = world(COUNT, "signals.s > 2")
    for _ in range(3):
        it.step(destination_principal=DOCS)
    assert scopes(it) == {"destination"}
    assert it.step(destination_principal=DOCS).reason is Reason.CONTAINED
    assert it.step(destination_principal=DOCS, who=OTHER).decision is Decision.ALLOW


def test_26_what_two_proxies_say_is_believed():
    """Then the caller is contained as the rule says."""
    it = world(COUNT, "signals.s > 2")
    for destination in (DOCS, VAULT, DOCS):
        it.step(destination_principal=destination)
    assert scopes(it) == {"principal"}
    assert it.step(destination_principal=HR).reason is Reason.CONTAINED


def test_26_what_a_gateway_says_is_believed():
    """It speaks for many destinations, and the operator has named it."""
    it = world(COUNT, "signals.s > 2")
    for _ in range(3):
        it.step()
    assert scopes(it) == {"principal"}
    assert it.event.caller.kind is CallerKind.SOCKET


def test_26_a_rule_that_reads_nothing_has_no_witnesses():
    """A proxy that reports what nobody else saw is alone with it."""
    rule = "  - {name: q, match: {action: list}, then: quarantine, contain: {principal: 1h}}\n"
    it = World(BASE + rule)
    it.step("/docs", destination_principal=DOCS)
    assert scopes(it) == {"destination"}
    it = World(BASE + rule)
    it.step("/docs")
    assert scopes(it) == {"principal"}


@pytest.mark.parametrize(
    ("signal", "condition", "evil", "harmless"),
    [
        ("{sequence: [discovery, credential-access, collection], per: [principal], window: 1h}", "signals.s >= 2",
         [{"path": "/docs"}, {"path": "/export", "method": "POST"}], {}),
        ("{distinct: path.doc, per: [principal], window: 1h}", "signals.s > 1", [{"path": "/docs/1"}, {"path": "/docs/2"}],
         {"path": "/docs"}),
        ("{count: steps, per: [principal], window: 1h, match: {action: list}}", "signals.s > 1", [{"path": "/docs"}] * 2, {}),
        ('{count: steps, per: [principal], window: 1h, when: "path.doc == \\"x\\""}', "signals.s > 1", [{"path": "/docs/x"}] * 2,
         {}),
        ("{score: true, each: [principal], half_life: 1h}", "signals.s >= 20", [{"path": "/docs"}] * 3, {}),
    ],
)  # fmt: skip
def test_26_only_who_reports_what_raises_a_signal_vouches_for_it(signal, condition, evil, harmless):
    """The caller's ordinary steps elsewhere are no second witness of what one destination makes up."""
    more = "  - {name: a, match: {action: list}, then: observe, adds: {s: 10}}\n" if "score" in signal else ""
    text = f"{BASE}{more}signals: {{s: {signal}}}\n"
    rule = f"  - {{name: q, when: '{condition}', then: quarantine, contain: {{principal: 1h}}}}\n"
    for second, expected in ((harmless, "destination"), (evil[0], "principal")):
        it = World(text.replace("signals:", f"{rule}signals:"))
        it.step(destination_principal=VAULT, **second)
        for step in evil:
            it.step(destination_principal=DOCS, **step)
            if it.event.verdict.contain:
                break
        else:
            it.step(destination_principal=DOCS, **evil[-1])
        assert scopes(it) == {expected}


def test_26_of_several_signals_all_that_accuse_need_witnesses():
    """What two have seen does not vouch for what one has."""
    more = "{count: steps, per: [principal], window: 1h, match: {action: list}}, t: " + COUNT
    it = world(more, "signals.s > 2 || signals.t > 99")
    it.step(destination_principal=VAULT)
    for _ in range(3):
        it.step("/docs", destination_principal=DOCS)
    assert scopes(it) == {"destination"}


def test_26_what_is_new_to_a_caller_is_said_by_one():
    """The destination that reports it: nobody else has seen it, whoever taught what is known."""
    it = world("{first_seen: path.doc, per: [principal], window: 7d, learn: 0s}", "signals.s == 1")
    rule = it.snapshot.rules.rules[-1]
    assert (rule.name, rule.reporters) == ("q", ("reporters:s",))
    it.step("/docs/9", destination_principal=DOCS)
    assert scopes(it) == {"destination"}


def test_26_outcomes_of_a_walk_are_vouched_for_by_who_reports_them():
    """A success elsewhere is no witness of refusals here, a refusal there is."""
    signal = "{walk: {refused: 4, success: -1}, of: path.doc, each: [principal], half_life: 6h}"
    for status, expected in ((200, "destination"), (403, "principal")):
        it = world(signal, "signals.s >= 8")
        it.step("/docs/0", destination_principal=VAULT)
        it.answered(status)
        for number in range(1, 4):
            it.step(f"/docs/{number}", destination_principal=DOCS)
            if it.event.verdict.contain:
                break
            it.answered(403)
        else:
            it.step("/docs/9", destination_principal=DOCS)
        assert scopes(it) == {expected}


def test_26_outcome_counts_are_counts_of_destinations():
    """One that always refuses is one; unless the key says which."""
    signal = '{{count: outcomes, per: [{}], window: 1h, when: "outcome.status in [401, 403]"}}'
    rule = "  - {name: r, when: signals.s > 1, then: observe}\n"
    for words, expected in (("principal", 2), ("principal, destination", 3)):
        it = World(f"{BASE}{rule}signals: {{s: {signal.format(words)}}}\n")
        for service, status in (("docs", 403), ("docs", 401), ("docs", 403), ("hr", 401), ("crm", 200)):
            it.step(service=service)
            it.answered(status)
        it.step(service="docs")
        assert it.reading("s") == expected


def test_26_one_destination_fills_its_share_of_a_walk_only():
    """However many targets it invents."""
    it = World(
        f"{BASE}  - {{name: r, when: signals.s > 99, then: observe}}\n"
        "signals: {s: {walk: {refused: 2}, of: path.doc, each: [principal], half_life: 6h, ring: 16, share: 3}}\n"
    )
    for number in range(8):
        it.step(f"/docs/{number}", service="docs")
        it.answered(403)
    it.step(service="docs")
    assert it.reading("s") == 6
    it.step("/docs/other", service="hr")
    it.answered(403)
    it.step(service="docs")
    assert it.reading("s") == 8
