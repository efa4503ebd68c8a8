"""Problem documents and gRPC messages."""

import json

from authz_server.envoy.problem import MAX_GRPC_TEXT, MAX_TEXT, grpc_text, problem_body
from authz_server.verdict import REASONS, Decision, Demand, Reason, Verdict

VERDICT = Verdict(Decision.DENY, Reason.NO_MATCH)
SPEC = REASONS[Reason.NO_MATCH]


def test_members():
    """Without texts of the policy the reason's own text is the detail, and there is no remedy."""
    assert json.loads(problem_body(VERDICT, SPEC, "id1", "")) == {
        "type": "about:blank",
        "title": "Forbidden",
        "status": 403,
        "detail": "No policy permits the request.",
        "reason": "no_match",
        "decision_id": "id1",
    }


def test_without_an_id():
    """The answer of last resort has none."""
    assert "decision_id" not in json.loads(problem_body(VERDICT, SPEC, "", ""))


def test_texts_are_cut():
    """Long texts of policy authors are cut before they are written."""
    body = json.loads(problem_body(VERDICT._replace(public_reason="a" * 9999, remedy="b" * 9999), SPEC, "id", ""))
    assert (body["detail"], body["remedy"]) == ("a" * MAX_TEXT, "b" * MAX_TEXT)
    assert grpc_text(VERDICT._replace(public_reason="a" * 9999), SPEC, "id") == "a" * MAX_GRPC_TEXT + " [id]"


def test_grpc_text():
    """The policy's text when it is plain ASCII, else the reason's own."""
    assert grpc_text(VERDICT._replace(public_reason="Ask first."), SPEC, "id") == "Ask first. [id]"
    for text in ("", "a\nb", "caf\u00e9"):
        assert grpc_text(VERDICT._replace(public_reason=text), SPEC, "id") == "No policy permits the request. [id]"


def test_what_waits_for_an_approval_says_so():
    """Beside the detail; nothing of it without one."""
    challenge = Verdict(Decision.CHALLENGE, Reason.CHALLENGE, demands=(Demand("r", ("group:soc",), "action", 1, 60),))
    body = json.loads(problem_body(challenge, REASONS[Reason.CHALLENGE], "id", ""))
    assert body["approval"] == {"by": ["group:soc"], "expires_in": 60}
    assert "approval" not in json.loads(problem_body(VERDICT, SPEC, "id", ""))
