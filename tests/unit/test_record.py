"""The decision record: everything an operator needs, nothing secret."""

import json

from authz_server import record
from authz_server.model import Caller, CallerKind, Containment, Entity
from authz_server.record import DecisionEvent
from authz_server.signals import Hit, Signal, SignalKind
from authz_server.verdict import Decision, Demand, Effect, Excepted, Injected, Match, Reading, Reason, Verdict
from tests.steps import NOW, credential, request

CALLER = Caller(CallerKind.SOCKET, "unix")


def event(verdict, req=None):
    return DecisionEvent("d1", NOW, "digest", CALLER, req, verdict, 42)


def test_a_record_names_rules_readings_and_remedy_of_a_decision():
    """All parts of the verdict that explain it are there, as JSON."""
    verdict = Verdict(
        Decision.QUARANTINE,
        Reason.CONTAINED,
        rule="q",
        action="read",
        principal="spiffe://a/b",
        matched=(Match("q", Effect.QUARANTINE), Match("e", Effect.DENY, "evaluation_error")),
        would_have=(Match("s", Effect.DENY),),
        readings=(Reading("calls", 9, 5),),
        contain=(Containment(Entity("principal", ("spiffe://a/b",)), NOW + 60, "q"),),
        alert="critical",
        tags=("owasp:ASI03",),
        degraded=True,
    )
    built = json.loads(json.dumps(record.build(event(verdict, request(path="/v1/x", credentials=(credential(),))))))
    assert built["decision"] == "quarantine"
    assert built["matched"] == [
        {"rule": "q", "effect": "quarantine"},
        {"rule": "e", "effect": "deny", "error": "evaluation_error"},
    ]
    assert built["would_have"] == [{"rule": "s", "effect": "deny"}]
    assert built["readings"] == {"calls": {"value": 9, "limit": 5}}
    assert built["contained"] == [{"scope": "principal", "until": NOW + 60, "rule": "q"}]
    assert (built["alert"], built["tags"], built["degraded"]) == ("critical", ["owasp:ASI03"], True)
    assert built["request"]["path"] == "/v1/x"
    assert built["request"]["credentials"] == [credential().id]


def test_a_record_holds_no_header_query_or_body():
    """Secrets travel in those."""
    req = request(
        headers={"authorization": "Bearer s3cr3t"}, query="token=s3cr3t", body=b"s3cr3t", raw_path="/v1/x?token=s3cr3t"
    )
    assert "s3cr3t" not in json.dumps(record.build(event(Verdict(Decision.ALLOW, Reason.OK), req)))


def test_an_undecodable_request_has_a_record_too():
    """Without the request's part."""
    built = record.build(event(Verdict(Decision.DENY, Reason.DECODE_ERROR, detail="path_dot_segment")))
    assert (built["reason"], built["detail"], "request" in built) == ("decode_error", "path_dot_segment", False)


def test_why_a_caller_was_refused_is_on_record():
    """The answer does not say it."""
    caller = Caller(CallerKind.MTLS, "", valid=False, reason="svid_expired")
    verdict = Verdict(Decision.DENY, Reason.DENIED, detail="caller_invalid")
    built = record.build(DecisionEvent("d1", NOW, "digest", caller, None, verdict, 1))
    assert built["caller"] == {"kind": "mtls", "id": "", "reason": "svid_expired"}


def test_a_record_tells_what_was_lifted_asked_for_and_only_recorded():
    """And leaves out what there was none of."""
    plain = record.build(event(Verdict(Decision.ALLOW, Reason.OK)))
    verdict = Verdict(
        Decision.CHALLENGE,
        Reason.CHALLENGE,
        risk=60,
        shadow=True,
        demands=(Demand("ask", ("group:soc",), "arguments", 1, 600),),
        excepted=(Excepted("no", "inc-4711"),),
        inject=(Injected("authorization", "https://secret.example", 60),),
        task="weekly-report",
    )
    built = json.loads(json.dumps(record.build(event(verdict))))
    assert built["excepted"] == [{"rule": "no", "exception": "inc-4711"}]
    assert (built["demands"][0]["rule"], built["demands"][0]["approvers"]) == ("ask", ["group:soc"])
    assert (built["task"], built["risk"], built["shadow"]) == ("weekly-report", 60, True)
    assert plain.keys() == built.keys() - {"excepted", "demands", "task", "risk", "shadow"}


def test_what_the_outcome_will_feed_is_not_on_record():
    """It names entities."""
    hit = Hit(Signal("s", "00000000", SignalKind.COUNT, 1000), Entity("principal", ("spiffe://secret/x",)))
    plain = event(Verdict(Decision.ALLOW, Reason.OK))
    assert record.build(plain._replace(expected=(hit,))) == record.build(plain)
