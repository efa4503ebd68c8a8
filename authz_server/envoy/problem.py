"""What the caller reads when it is refused: a problem document (RFC 9457), or one short line for gRPC.

Callers see the public code and text of a reason and the policy author's `reason` and `remedy`; rule names, internal
codes, thresholds and whether they are contained stay inside.
"""

import json
from http import HTTPStatus
from typing import Any, Final

from authz_server.envoy.challenge import approval_member
from authz_server.verdict import ReasonSpec, Verdict

MAX_TEXT: Final = 1024
"""Characters of a policy author's text that reach the caller: Envoy may cut long bodies in the middle."""
MAX_GRPC_TEXT: Final = 200
"""Characters of a gRPC message: it travels percent-encoded in the header `grpc-message`."""
PROBLEM_TYPE: Final = "application/problem+json"


def problem_body(verdict: Verdict, spec: ReasonSpec, decision_id: str, types: str) -> str:
    """Write the problem document as ASCII JSON.

    Args:
        verdict: its `public_reason` and `remedy` are shown.
        spec: of the verdict's reason.
        decision_id: visible ASCII without quotes and backslashes, set in as it is; `""` leaves it out.
        types: the URI in front of the public code in `type`, or `""` for `about:blank`, whose title is the status phrase
            (RFC 9457 4.2.1).
    """
    members = problem_members(verdict, spec, types)
    text = json.dumps(members, separators=(",", ":"))
    if decision_id == "":
        return text
    return f'{text[:-1]},"decision_id":"{decision_id}"}}'


def problem_members(verdict: Verdict, spec: ReasonSpec, types: str) -> dict[str, Any]:
    """What a problem document says, but for the decision's id; the arguments are those of `problem_body`."""
    phrase = HTTPStatus(spec.http).phrase
    members: dict[str, Any] = {
        "type": f"{types}{spec.public}" if types else "about:blank",
        "title": spec.text if types else phrase,
        "status": spec.http,
        "detail": verdict.public_reason[:MAX_TEXT] or spec.text,
        "reason": spec.public,
    }
    if verdict.remedy:
        members["remedy"] = verdict.remedy[:MAX_TEXT]
    approval = approval_member(verdict)
    if approval:
        members["approval"] = approval
    return members


def grpc_text(verdict: Verdict, spec: ReasonSpec, decision_id: str) -> str:
    """Write the message for a gRPC caller: visible ASCII and blanks."""
    text = verdict.public_reason
    if text == "" or not (text.isascii() and text.isprintable()):
        text = spec.text
    return f"{text[:MAX_GRPC_TEXT]} [{decision_id}]"
