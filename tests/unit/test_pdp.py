"""The order of one decision, and how the effects of rules combine."""

import pytest

from authz_server import pdp
from authz_server.model import BodyState, Entity, Invalid
from authz_server.pdp import Decided, Pending
from authz_server.signals import Readings
from authz_server.verdict import Decision, Effect, Match, Reading, Reason
from tests.steps import AGENT, NOW, credential, policy, principal, request

BASE = """
    version: 1
    actions:
      - {name: things.read,  match: {method: GET, path: /v1/things}, kind: read}
      - {name: things.write, match: {method: PUT, path: /v1/things}, kind: write, body: json}
      - {name: health,       match: {method: GET, path: /healthz}, kind: read, sensitivity: low}
    signals:
      calls: {count: steps, per: [principal], window: 10s}
    rules:
      - {name: health-for-all, match: {principal: [anonymous, "spiffe://**"], action: health}, then: allow}
      - {name: agents, match: {principal: "spiffe://corp.example/ns/agents/**", action: things.*}, then: allow}
"""


def decide(snapshot, req=None, who=AGENT, values=(), *, degraded=False, now=NOW, replicas=1):
    """Begin and conclude, with the given readings."""
    identity = principal(who)
    req = req or request()
    begun = pdp.begin(snapshot, req, identity, now)
    if isinstance(begun, Decided):
        return begun.verdict
    readings = Readings(tuple(values) or (0,) * len(begun.hits), degraded=degraded)
    return pdp.conclude(begun, readings, replicas).verdict


def test_a_grant_allows():
    """An allow rule that matches is what a step needs."""
    verdict = decide(policy(BASE))
    assert (verdict.decision, verdict.reason, verdict.rule) == (Decision.ALLOW, Reason.OK, "agents")
    assert verdict.action == "things.read"
    assert verdict.principal == AGENT


def test_without_a_grant_a_step_is_denied():
    """Default deny: no rule, no way."""
    verdict = decide(policy(BASE), who="spiffe://corp.example/ns/other/sa/x")
    assert (verdict.decision, verdict.reason, verdict.detail) == (Decision.DENY, Reason.NO_MATCH, "no_grant")


def test_an_absent_identity_is_unauthenticated():
    """Where no rule names anonymous, an absent identity gets a 401."""
    verdict = decide(policy(BASE), who="")
    assert (verdict.decision, verdict.reason) == (Decision.DENY, Reason.UNAUTHENTICATED)


def test_anonymous_is_admitted_where_it_is_named():
    """`anonymous` in match.principal admits a step without identity; spiffe://** does not."""
    assert decide(policy(BASE), request(path="/healthz"), who="").decision is Decision.ALLOW


def test_an_unclassified_request_is_matched_by_no_grant():
    """What the catalogue does not know, a pattern does not allow."""
    verdict = decide(policy(BASE), request(path="/v1/other"))
    assert (verdict.reason, verdict.action) == (Reason.NO_MATCH, "unclassified")


def test_unclassified_can_be_granted_by_that_word():
    """Only the very word grants what is not in the catalogue."""
    text = BASE + '      - {name: rest, match: {principal: "spiffe://**", action: unclassified}, then: allow}\n'
    assert decide(policy(text), request(path="/v1/other")).rule == "rest"


def test_an_unclassified_upgrade_is_refused():
    """A WebSocket gets one check for its whole life, so it needs an entry of its own."""
    verdict = decide(policy(BASE), request(upgrade="websocket"))
    assert verdict.decision is Decision.DENY
    assert verdict.detail


@pytest.mark.parametrize(
    ("rules", "expected", "winner"),
    [
        (("allow", "observe"), Decision.ALLOW, "agents"),
        (("throttle",), Decision.THROTTLE, "r0"),
        (("throttle", "deny"), Decision.DENY, "r1"),
        (("deny", "throttle"), Decision.DENY, "r0"),
        (("quarantine", "deny", "throttle"), Decision.QUARANTINE, "r0"),
        (("deny", "deny"), Decision.DENY, "r1"),
    ],
)
def test_the_strongest_effect_wins(rules, expected, winner):
    """Quarantine, deny, throttle, allow: in this order, whatever the order of the rules."""
    text = BASE
    for number, effect in enumerate(rules):
        more = ", contain: {principal: 1h}" if effect == "quarantine" else ""
        match = 'match: {principal: "spiffe://**"}, ' if effect == "allow" else ""
        text += f'      - {{name: r{number}, {match}when: "signals.calls > 5", then: {effect}{more}}}\n'
    verdict = decide(policy(text), values=(9,))
    assert (verdict.decision, verdict.rule) == (expected, winner)
    assert verdict.readings == (Reading("calls", 9, 5),)
    assert len(verdict.matched) == len(rules) + 1


def test_throttle_answers_only_steps_that_would_pass():
    """A throttled caller without a grant learns nothing about limits."""
    text = BASE + "      - {name: slow, when: signals.calls > 1, then: throttle}\n"
    verdict = decide(policy(text), who="spiffe://corp.example/ns/other/sa/x", values=(9,))
    assert verdict.reason is Reason.NO_MATCH
    assert verdict.rule == ""


def test_throttle_says_when_to_come_back():
    """Retry-After is the window: its silence always recovers."""
    text = BASE + "      - {name: slow, when: signals.calls > 1, then: throttle}\n"
    assert decide(policy(text), values=(2,)).retry_after == 10


def test_an_error_in_a_restricting_rule_denies_only_this_step():
    """It denies as evaluation_error, and contains nobody."""
    text = (
        BASE
        + '      - {name: q, when: \'request.headers["x-a"] == "1"\', then: quarantine, contain: {principal: 1h}, alert: critical}\n'
    )
    verdict = decide(policy(text))
    assert (verdict.decision, verdict.reason, verdict.rule) == (Decision.DENY, Reason.EVALUATION_ERROR, "q")
    assert verdict.contain == ()
    assert verdict.alert == ""
    assert Match("q", Effect.QUARANTINE, "evaluation_error") in verdict.matched


def test_an_error_in_an_allow_rule_is_no_match():
    """What cannot be evaluated grants nothing, and takes no other grant away."""
    text = BASE.replace(
        "action: things.*}, then: allow", 'action: things.*}, when: \'request.headers["x-a"] == "1"\', then: allow'
    )
    assert decide(policy(text)).reason is Reason.NO_MATCH
    assert decide(policy(text), request(headers={"x-a": "1"})).decision is Decision.ALLOW


def test_one_error_does_not_hide_the_other_rules():
    """When the combined expression errs, each rule is evaluated alone."""
    text = (
        BASE
        + """
      - {name: errs, when: 'request.headers["x-a"] == "1"', then: throttle}
      - {name: holds, when: 'request.method == "GET"', then: quarantine, contain: {instance: 15m}}
"""
    )
    verdict = decide(policy(text))
    assert (verdict.decision, verdict.rule) == (Decision.QUARANTINE, "holds")


def test_a_quarantine_contains_what_the_caller_proved():
    """The scopes of `contain` become entities of this caller, with their ends."""
    text = (
        BASE
        + '      - {name: q, when: "signals.calls > 1", then: quarantine, contain: {pair: 1h, instance: 15m, principal: 5m}}\n'
    )
    key = credential()
    verdict = decide(policy(text), request(credentials=(key,)), values=(2,))
    assert {(each.entity, each.until - NOW) for each in verdict.contain} == {
        (Entity("pair", (AGENT, key.id)), 3600.0),
        (Entity("instance", (AGENT, "10.1.2.3")), 900.0),
        (Entity("principal", (AGENT,)), 300.0),
    }


def test_a_pair_without_a_credential_is_the_caller_at_its_place():
    """Nothing was presented, so the smallest thing that can be contained is the instance."""
    text = BASE + '      - {name: q, when: "signals.calls > 1", then: quarantine, contain: {pair: 1h}}\n'
    (only,) = decide(policy(text), values=(2,)).contain
    assert only.entity == Entity("instance", (AGENT, "10.1.2.3"))


def test_an_anonymous_caller_is_never_contained():
    """There is nothing it proved."""
    text = BASE + "      - {name: q, match: {action: health}, then: quarantine, contain: {principal: 1h}}\n"
    verdict = decide(policy(text), request(path="/healthz"), who="")
    assert (verdict.decision, verdict.contain) == (Decision.QUARANTINE, ())


def test_a_rule_in_shadow_only_says_what_it_would_have_done():
    """`enforce: 0%` matches without consequence and shows in would_have."""
    text = BASE + "      - {name: later, when: 'request.method == \"GET\"', then: deny, enforce: 0%}\n"
    verdict = decide(policy(text))
    assert verdict.decision is Decision.ALLOW
    assert verdict.would_have == (Match("later", Effect.DENY),)


def test_an_excluded_step_is_not_touched():
    """All keys of exclude must match for the rule to be lifted."""
    text = (
        BASE
        + """
      - name: no-things
        match: {action: things.*}
        exclude: {principal: "spiffe://corp.example/ns/agents/sa/a1", source: 10.0.0.0/8}
        then: deny
"""
    )
    snapshot = policy(text)
    assert decide(snapshot).decision is Decision.ALLOW
    assert decide(snapshot, request(source_address="192.0.2.1")).rule == "no-things"
    assert decide(snapshot, who="spiffe://corp.example/ns/agents/sa/a2").rule == "no-things"


def test_hours_and_source_restrict_a_rule():
    """Dynamic keys of match are tested for each step."""
    text = BASE + '      - {name: night, match: {hours: "22:00-06:00 UTC", source: 10.0.0.0/8}, then: deny}\n'
    snapshot = policy(text)
    noon, midnight = 1_789_992_000.0, 1_789_948_800.0
    assert decide(snapshot, now=noon).decision is Decision.ALLOW
    assert decide(snapshot, now=midnight).rule == "night"
    assert decide(snapshot, request(source_address="192.0.2.1"), now=midnight).decision is Decision.ALLOW


@pytest.mark.parametrize(
    ("state", "body", "headers", "detail"),
    [
        (BodyState.PARTIAL, b'{"a": 1}', {"content-type": "application/json"}, "body_partial"),
        (BodyState.UNAVAILABLE, b"", {"content-type": "application/json"}, "body_unavailable"),
        (BodyState.TOO_LARGE, b"", {"content-type": "application/json"}, "body_too_large"),
        (BodyState.ABSENT, b"", {}, "body_absent"),
        (BodyState.COMPLETE, b'{"a": 1}', {"content-type": "text/plain"}, "body_not_json"),
    ],
)
def test_a_body_that_an_action_reads_must_be_whole_json(state, body, headers, detail):
    """A truncated, missing or foreign body denies with 400 where the action reads it."""
    verdict = decide(policy(BASE), request("PUT", body=body, body_state=state, headers=headers))
    assert (verdict.reason, verdict.detail) == (Reason.DECODE_ERROR, detail)


def test_a_malformed_json_body_is_refused():
    """Duplicate keys are one of the ways to say two things at once."""
    verdict = decide(
        policy(BASE),
        request(
            "PUT", body=b'{"a": 1, "a": 2}', body_state=BodyState.COMPLETE, headers={"content-type": "application/json"}
        ),
    )
    assert verdict.reason is Reason.DECODE_ERROR


def test_a_rule_reads_the_json_body():
    """request.json is the parsed document."""
    text = BASE + "      - {name: small, match: {action: things.write}, when: request.json.amount > 100, then: deny}\n"
    headers = {"content-type": "application/json"}
    for amount, expected in ((5, Decision.ALLOW), (500, Decision.DENY)):
        body = b'{"amount": %d}' % amount
        assert (
            decide(policy(text), request("PUT", body=body, body_state=BodyState.COMPLETE, headers=headers)).decision
            is expected
        )


@pytest.mark.parametrize(
    ("path", "mode", "expected"),
    [
        ("GET", "", (Decision.THROTTLE, Reason.THROTTLED)),
        ("PUT", "", (Decision.DENY, Reason.STATE_UNAVAILABLE)),
        ("GET", "deny", (Decision.DENY, Reason.STATE_UNAVAILABLE)),
        ("GET", "skip", (Decision.ALLOW, Reason.OK)),
        ("PUT", "local", (Decision.THROTTLE, Reason.THROTTLED)),
    ],
)
def test_without_the_store_each_rule_does_what_it_says(path, mode, expected):
    """By default reads go by this replica's own counts and changes are refused."""
    more = f", on_state_error: {mode}" if mode else ""
    text = BASE + f"      - {{name: slow, when: signals.calls > 5, then: throttle{more}}}\n"
    req = (
        request(path)
        if path == "GET"
        else request("PUT", body=b"{}", body_state=BodyState.COMPLETE, headers={"content-type": "application/json"})
    )
    verdict = decide(policy(text), req, values=(6,), degraded=True)
    assert (verdict.decision, verdict.reason) == expected
    assert verdict.degraded


def test_local_counts_are_not_gone_by_for_ever():
    """Then a rule that would go by them denies."""
    text = BASE + "      - {name: slow, when: signals.calls > 5, then: throttle}\n"
    begun = pdp.begin(policy(text), request(), principal(), NOW)
    assert isinstance(begun, Pending)
    readings = Readings((1,), degraded=True)
    assert pdp.conclude(begun, readings).verdict.decision is Decision.ALLOW
    assert pdp.conclude(begun, readings, local=False).verdict.reason is Reason.STATE_UNAVAILABLE
    assert pdp.conclude(begun, Readings((1,)), local=False).verdict.decision is Decision.ALLOW


def test_local_counts_are_scaled_by_the_replicas():
    """Each replica sees its share only: the limit is divided by their number."""
    text = BASE + "      - {name: slow, when: signals.calls > 5, then: throttle}\n"
    assert decide(policy(text), values=(3,), degraded=True).decision is Decision.ALLOW
    assert decide(policy(text), values=(3,), degraded=True, replicas=2).decision is Decision.THROTTLE


def test_a_containment_read_from_the_store_denies():
    """The flag in the store stops a caller whom another replica contained."""
    text = BASE + "      - {name: slow, when: signals.calls > 5, then: throttle}\n"
    begun = pdp.begin(policy(text), request(), principal(), NOW)
    assert isinstance(begun, Pending)
    verdict = pdp.conclude(begun, Readings((1,), contained=(Entity("principal", (AGENT,)),))).verdict
    assert verdict.reason is Reason.CONTAINED


def test_steps_that_need_no_reading_are_still_measured():
    """A stateless decision makes no round trip and is counted afterwards."""
    text = BASE + "      - {name: slow, match: {action: things.write}, when: signals.calls > 5, then: throttle}\n"
    begun = pdp.begin(policy(text), request(), principal(), NOW)
    assert isinstance(begun, Decided)
    assert [hit.signal.name for hit in begun.hits] == ["calls"]


def test_an_invalid_identity_always_denies():
    """It is refused before anything else is looked at."""
    verdict = pdp.refuse_identity(Invalid("svid_expired"))
    assert (verdict.decision, verdict.reason, verdict.detail) == (Decision.DENY, Reason.UNAUTHENTICATED, "svid_expired")


def test_alert_and_tags_of_every_matched_rule_apply():
    """Winner or not; the highest alert counts."""
    text = (
        BASE
        + """
      - {name: a, when: signals.calls > 1, then: observe, alert: high, tags: [owasp:ASI03]}
      - {name: b, when: signals.calls > 1, then: throttle, alert: low, tags: [attack:T1550]}
"""
    )
    verdict = decide(policy(text), values=(2,))
    assert (verdict.decision, verdict.alert, set(verdict.tags)) == (
        Decision.THROTTLE,
        "high",
        {"owasp:ASI03", "attack:T1550"},
    )


def test_every_presented_credential_is_counted():
    """A worthless one in front does not hide a stolen one behind it."""
    text = BASE.replace("signals:", "signals:\n      users: {distinct: principal, per: [credential], window: 1h}") + (
        "      - {name: shared, when: signals.users > 1, then: quarantine, contain: {pair: 1h}}\n"
    )
    snapshot = policy(text)
    begun = pdp.begin(snapshot, request(credentials=(credential("junk"), credential("stolen"))), principal(), NOW)
    users = [hit for hit in begun.hits if hit.signal.name == "users"]
    assert {hit.entity for hit in users} == {
        Entity("credential", (credential("junk").id,)),
        Entity("credential", (credential("stolen").id,)),
    }
    readings = tuple(2 if hit.entity == Entity("credential", (credential("stolen").id,)) else 1 for hit in begun.hits)
    assert pdp.conclude(begun, Readings(readings)).verdict.rule == "shared"


def test_an_allow_rule_that_selects_by_kind_never_grants_unclassified():
    """What the catalogue does not know has no kind of its own, whatever the default says."""
    text = BASE + (
        '      - {name: rest, match: {principal: "spiffe://**", action: unclassified, action.kind: write}, then: allow}\n'
    )
    assert decide(policy(text), request(path="/v1/other")).reason is Reason.NO_MATCH


def test_a_step_without_a_grant_learns_nothing_of_other_rules():
    """Neither the name nor the text of a throttle that happens to match."""
    text = BASE + "      - {name: slow, then: throttle, reason: internal, remedy: internal}\n"
    for who in ("", "spiffe://corp.example/ns/other/sa/x"):
        verdict = decide(policy(text), who=who)
        assert (verdict.rule, verdict.public_reason, verdict.remedy) == ("", "", "")


def test_a_rule_that_errs_says_nothing_to_the_caller():
    """Its reason was written for the case that its condition holds."""
    text = BASE + '      - {name: r, when: \'request.headers["x-a"] == "1"\', then: deny, reason: told, remedy: told}\n'
    verdict = decide(policy(text))
    assert (verdict.rule, verdict.public_reason, verdict.remedy) == ("r", "", "")
