"""Refusals for callers that speak JSON-RPC, as clients of the Model Context Protocol and of Agent2Agent do.

Such a client finds out which of its calls an answer is for by the `id` in the body. So a refused request whose body is one
sound JSON-RPC request is answered with a JSON-RPC error, and the problem document goes along as its `data`; to a batch, an
error for each request of it. Status and headers stay those of any refusal. The request alone decides about the form, never what was found out about the caller: else
the form would tell who is contained. Of the body nothing comes back but the `id`, a bounded text or a 64-bit integer.

Codes: -32768 to -32000 are JSON-RPC's own and those of the protocols (MCP keeps -32020 to -32099 for itself and asks nobody
to use the rest; A2A begins at -32001, which some authorizers of MCP use for a denial and which means "task not found" there).
An error of an application is outside of that, and the HTTP status is a number that clients know the meaning of.
"""

import json
from typing import Any, Final

from authz_server.content.body import require_json_body
from authz_server.content.rpc import parse_rpc, split_batch
from authz_server.envoy.problem import problem_members
from authz_server.errors import DecodeError
from authz_server.model import Request
from authz_server.verdict import ReasonSpec, Verdict

RPC_TYPE: Final = "application/json"
HEADER_MISMATCH: Final = -32020
"""MCP 2026-07-28, streamable-http: what a server answers, with 400, when `Mcp-Method` or `Mcp-Name` is not what the body says."""
MAX_BODY: Final = 16 * 1024
"""Bytes that are read for the sake of an answer. Tool calls have some hundred; a refusal must stay cheaper than a decision."""

CallId = str | int
Asked = CallId | tuple[CallId, ...]
"""One call, or those of a batch."""
_MISMATCH: Final = "mcp_header_mismatch"
_MEMBER: Final = b'"jsonrpc"'
_NO_HEADERS: Final[dict[str, str]] = {}


def asked_call(request: Request) -> Asked | None:
    """The id of the JSON-RPC request that a request carries, as it was sent, or the ids of those in a batch.

    None for a notification, for a batch of nothing else, and for everything that is not sound throughout.
    """
    body = request.body
    if len(body) > MAX_BODY or _MEMBER not in body or request.method != "POST":
        return None
    try:
        require_json_body(request)
        parts = split_batch(request)
        if not parts:
            return _id_of(body)
        found = [_id_of(part.body) for part in parts]
    except DecodeError:
        return None
    return tuple([each for each in found if each is not None]) or None


def _id_of(body: bytes) -> CallId | None:
    found = parse_rpc(body, _NO_HEADERS)
    return found.id if found.method else None


def rpc_errors(verdict: Verdict, spec: ReasonSpec, decision_id: str, types: str, asked: Asked) -> str:
    """Write the error, or for a batch the array of them, as ASCII JSON.

    Args:
        verdict: as for `problem_body`.
        spec: of the verdict's reason.
        decision_id: set in as it is, like there.
        types: as there.
        asked: what is answered.
    """
    if not isinstance(asked, tuple):
        return _error(verdict, spec, decision_id, types, asked)
    return f"[{','.join(_error(verdict, spec, decision_id, types, each) for each in asked)}]"


def _error(verdict: Verdict, spec: ReasonSpec, decision_id: str, types: str, call: CallId) -> str:
    members: dict[str, Any] = problem_members(verdict, spec, types)
    code = HEADER_MISMATCH if verdict.detail == _MISMATCH else spec.http
    data = json.dumps(members, separators=(",", ":"))
    error = json.dumps({"code": code, "message": members["detail"]}, separators=(",", ":"))
    return (
        f'{{"jsonrpc":"2.0","id":{json.dumps(call)},'
        f'"error":{error[:-1]},"data":{data[:-1]},"decision_id":"{decision_id}"}}}}}}'
    )
