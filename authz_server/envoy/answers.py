"""CheckResponse messages, built plainly with the generated classes (external_auth.proto).

Three facts of Envoy shape them: an empty CheckResponse allows, so the status is set first; `denied_response` beside
status 0 allows as well; and Envoy 1.37 appends a header whose `append` is unset next to the client's own copy
(envoyproxy/envoy#43310), so every header carries both `append: false` and `OVERWRITE_IF_EXISTS_OR_ADD`.
"""

import re
from collections.abc import Iterable
from itertools import product
from typing import Any, Final, NamedTuple

from authz_server.envoy.challenge import answer_spec, proof_challenge, step_up_challenge, wider_task_challenge
from authz_server.envoy.problem import PROBLEM_TYPE, grpc_text, problem_body
from authz_server.envoy.rpc_answers import RPC_TYPE, Asked, rpc_errors
from authz_server.envoy.wire import CheckResponse, HeaderValueOption, StatusCode
from authz_server.verdict import REASONS, Decision, Reason, Verdict

DECISION_ID_HEADER: Final = "x-authz-decision-id"
PRINCIPAL_HEADER: Final = "x-authz-principal"
ACTION_HEADER: Final = "x-authz-action"
OUR_HEADERS: Final = frozenset({DECISION_ID_HEADER, PRINCIPAL_HEADER, ACTION_HEADER})
"""What an allowed request carries to its upstream."""
IMITATIONS: Final = frozenset(
    "".join(spelt) for name in OUR_HEADERS for spelt in product(*["-_" if letter == "-" else letter for letter in name])
).difference(OUR_HEADERS)
"""Ours with `_` for `-`, which programs that read headers as CGI variables take for them (RFC 3875 4.1.18)."""

MAX_VALUE: Final = 2048
"""Characters of a header or metadata value: the longest SPIFFE ID; larger ones push requests over Envoy's limits."""
MAX_REMOVED: Final = 128
"""Names to remove: a request has no more headers than that."""
MAX_RETRY_AFTER: Final = 86400
"""Seconds; a day is beyond any window that throttles."""

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}")
_VALUE = re.compile(r"[ -~\u00a0-\U0010ffff]*")
"""No control characters: CR, LF and NUL split headers, the others get a response rejected."""


class EncodeSettings(NamedTuple):
    """What the encoder is told once."""

    www_authenticate: str = 'Bearer realm="authz"'
    """The challenge of a 401 (RFC 9110 11.6.1)."""
    problem_types: str = ""
    """A URI in front of the public reason code, where problem types are documented; `""`: `about:blank`."""


class Version(NamedTuple):
    """Which policy decided."""

    digest: str
    loaded_at: int = 0
    """Unix time in whole seconds at which it came into force; 0 when that means nothing."""


class AnswerError(ValueError):
    """A verdict that cannot be written as a CheckResponse; the message names the part, never its content."""


def allow_message(verdict: Verdict, decision_id: str, version: Version, spoofed: Iterable[str]) -> Any:
    """Build the CheckResponse that lets a request pass.

    Args:
        verdict: what to tell the upstream and the access log.
        decision_id: checked by the caller.
        version: of the policy that decided.
        spoofed: names of the client's headers that imitate ours.

    Raises:
        AnswerError: a header name or value, or a metadata value, is invalid.
    """
    message = CheckResponse()
    message.status.code = 0
    message.status.SetInParent()  # 0 is the default and would leave the status out
    ok = message.ok_response
    ok.headers.append(_option(DECISION_ID_HEADER, decision_id))
    told = {PRINCIPAL_HEADER: verdict.principal, ACTION_HEADER: verdict.action}
    for name, value in told.items():
        if value:
            ok.headers.append(header_option(name, value))
    # Ours that are not set are removed even if the check shows none: `disallowed_headers` may hide a client's copy.
    unset = {name for name, value in told.items() if not value}
    ok.headers_to_remove.extend(_checked_removals(unset | (set(spoofed) - OUR_HEADERS) | set(verdict.strip)))
    _fill_metadata(message, verdict, decision_id, version)
    return message


def deny_message(
    verdict: Verdict,
    decision_id: str,
    version: Version,
    settings: EncodeSettings,
    *,
    grpc: bool,
    call: Asked | None = None,
) -> Any:
    """Build the CheckResponse that refuses a request, with a status that Envoy knows.

    Args:
        verdict: of any decision but allow.
        decision_id: checked by the caller; it needs no escaping in JSON.
        version: of the policy that decided.
        settings: the challenge and the place of problem types.
        grpc: the client speaks gRPC: the body becomes its message.
        call: the client speaks JSON-RPC, and this is the id of its call, or those of a batch; see `asked_call`.

    Raises:
        AnswerError: a value is invalid.
    """
    spec = answer_spec(verdict)
    message = CheckResponse()
    message.status.code = spec.grpc
    denied = message.denied_response
    denied.status.code = spec.http
    denied.headers.append(_option(DECISION_ID_HEADER, decision_id))
    if grpc:
        denied.body = grpc_text(verdict, spec, decision_id)
    elif call is not None:
        denied.body = rpc_errors(verdict, spec, decision_id, settings.problem_types, call)
        denied.headers.append(header_option("content-type", RPC_TYPE))
    else:
        denied.body = problem_body(verdict, spec, decision_id, settings.problem_types)
        denied.headers.append(header_option("content-type", PROBLEM_TYPE))
    if spec.http == StatusCode.TooManyRequests:
        seconds = min(max(verdict.retry_after, 1), MAX_RETRY_AFTER)
        denied.headers.append(header_option("retry-after", str(seconds)))
    challenge = ""
    if spec.http == StatusCode.Unauthorized:
        challenge = step_up_challenge(verdict) or proof_challenge(verdict) or settings.www_authenticate
    elif call is not None:
        challenge = wider_task_challenge(verdict)
    if challenge:
        denied.headers.append(header_option("www-authenticate", challenge))
    _fill_metadata(message, verdict, decision_id, version)
    return message


def header_option(name: str, value: str) -> Any:
    """Build a header that replaces whatever the request or response has under its name.

    Raises:
        AnswerError: the name is no token, or the value is empty, too long or has control characters.
    """
    if _NAME.fullmatch(name) is None:
        raise AnswerError("header name")
    return _option(name, _checked_text(value))


def _option(name: str, value: str) -> Any:
    option = HeaderValueOption()
    option.header.key = name
    option.header.value = value
    option.append.value = False
    option.append.SetInParent()  # false is the default; Envoy asks whether `append` is there
    option.append_action = HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
    return option


def _fill_metadata(message: Any, verdict: Verdict, decision_id: str, version: Version) -> None:
    """Fill `dynamic_metadata`, which reaches access logs on allow and deny: no secret, no text of the caller."""
    fields = message.dynamic_metadata.fields
    fields["decision_id"].string_value = decision_id
    texts = {
        "policy_digest": version.digest,
        "action": verdict.action,
        "decision": verdict.decision.value,
        "reason": verdict.reason.value,
        "detail": verdict.detail,
        "rule": verdict.rule,
    }
    for name, text in texts.items():
        if text:
            fields[name].string_value = _checked_text(text)
    fields["degraded"].bool_value = verdict.degraded
    if verdict.shadow:
        fields["shadow"].bool_value = True
    if version.loaded_at:
        fields["policy_loaded_at"].number_value = version.loaded_at


def _checked_text(text: str) -> str:
    if not 0 < len(text) <= MAX_VALUE or _VALUE.fullmatch(text) is None:
        raise AnswerError("value")
    return text


def _checked_removals(names: Iterable[str]) -> list[str]:
    """Check names to remove; a name with a leading `:` is no token."""
    found = sorted(names)
    if len(found) > MAX_REMOVED or not all(map(_NAME.fullmatch, found)):
        raise AnswerError("name to remove")
    return found


def unavailable_message() -> Any:
    """Build the answer for when no other can be built: denied, 503."""
    verdict = Verdict(Decision.DENY, Reason.INTERNAL_ERROR, detail="encoder_fault")
    spec = REASONS[verdict.reason]
    message = CheckResponse()
    message.status.code = spec.grpc
    message.denied_response.status.code = StatusCode.ServiceUnavailable
    message.denied_response.body = problem_body(verdict, spec, "", "")
    message.denied_response.headers.append(header_option("content-type", PROBLEM_TYPE))
    fields = message.dynamic_metadata.fields
    for name, text in (("decision", verdict.decision), ("reason", verdict.reason), ("detail", verdict.detail)):
        fields[name].string_value = text
    return message
