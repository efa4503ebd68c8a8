"""What a JSON-RPC body asks for, as the Model Context Protocol and Agent2Agent use it (JSON-RPC 2.0), or a refusal.

The body itself says nothing about which of the two it is: whoever asks for `mcp.method` and for `a2a.method` reads the
same member. Everything that two servers may read in two ways is refused: a member in another case, which some JSON
libraries take for the member itself (CVE-2026-27896), a message that is request and response at once, a batch in a revision
that has none. Where there are batches, each message of one is a call of its own: see `split_batch`.
"""

import json
import re
from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple

from authz_server.content.a2a import AGENT_WORD, called_agent
from authz_server.content.body import require_json_body
from authz_server.content.json_strict import parse_json
from authz_server.content.mcp import PARAM_WORDS, TOOLS_CALL, called_tool, check_headers
from authz_server.errors import DecodeError
from authz_server.model import Request

MAX_METHOD: Final = 128
"""Characters: the longest method of either protocol has 44, and patterns are matched against it."""
MAX_ID: Final = 256
"""Characters: an identifier is repeated in the answer; those of the known clients are numbers or UUIDs."""

MAX_CALLS: Final = 16
"""Messages of a batch: each is a step and costs a decision, and one request is not to cost more than some others together."""
BATCH_REVISION: Final = "2025-03-26"
"""Of MCP: the one revision with batches (basic, section Batching), and that of whoever names none (2025-06-18,
basic/transports, section Protocol Version Header)."""

_METHOD: Final = re.compile(f"[!-~]{{1,{MAX_METHOD}}}")


def _folded(name: str) -> str:
    """A name as the most careless reader compares it: by upper case, then by lower, `\u0130` and `\u0131` as `i`."""
    return name.upper().casefold().replace("\u0307", "")


_ENVELOPE: Final = frozenset({"jsonrpc", "id", "method", "params", "result", "error"})
_PARAMS: Final = frozenset((*PARAM_WORDS, AGENT_WORD))
_BLANKS: Final = b" \t\r\n"
_FOLDED: Final = {words: frozenset(map(_folded, words)) for words in (_ENVELOPE, _PARAMS)}


class Rpc(NamedTuple):
    """One JSON-RPC message."""

    method: str
    """`""` for a response, which the client of an earlier revision may send."""
    tool: str
    """MCP `tools/call`: the tool's name, else `""`."""
    arguments: Mapping[str, Any]
    """MCP `tools/call`: its arguments."""
    agent: str
    """A2A: the agent that shares its endpoint with others, else `""`."""
    id: str | int | None
    """None for a notification."""
    document: Any
    """The whole body."""


def read_rpc(request: Request) -> Rpc:
    """Read the JSON-RPC message that a request carries.

    Raises:
        DecodeError: the codes of `require_json_body` and of `parse_rpc`.
    """
    require_json_body(request)
    return parse_rpc(request.body, request.headers)


def parse_rpc(body: bytes, headers: Mapping[str, str]) -> Rpc:
    """Parse one JSON-RPC message.

    Members that neither protocol knows are allowed, and so are methods.

    Args:
        body: the whole of it.
        headers: of the request, with lower-case names.

    Raises:
        DecodeError: the codes of `parse_json`; `rpc_batch` and `rpc_not_object` for an array and for what is no object;
            `rpc_key_case` for a member that only its case keeps from being one that is read here; `rpc_version` when
            `jsonrpc` is not "2.0"; `rpc_method_invalid`, `rpc_params_invalid` (no object), `rpc_id_invalid`;
            `rpc_ambiguous` for request and response in one, or result and error; and the codes of `called_tool`,
            `called_agent` and `check_headers`.
    """
    document = parse_json(body)
    if isinstance(document, list):
        raise DecodeError("rpc_batch")
    if not isinstance(document, dict):
        raise DecodeError("rpc_not_object")
    _require_exact(document, _ENVELOPE)
    if document.get("jsonrpc") != "2.0":
        raise DecodeError("rpc_version")
    method = _method(document)
    params = document.get("params", {})
    if not isinstance(params, dict):
        raise DecodeError("rpc_params_invalid")
    _require_exact(params, _PARAMS)
    tool, arguments = called_tool(method, params)
    check_headers(method, params, headers)
    return Rpc(method, tool, arguments, called_agent(params), _identifier(document), document)


def split_batch(request: Request) -> tuple[Request, ...]:
    """Take a batch apart.

    Args:
        request: one whose call is to be read.

    Returns:
        One request for each message, in order; none where there is no batch of 1 to 16, or none that may be one: then
        `read_rpc` refuses it, or reads its one call.
    """
    revision = request.headers.get("mcp-protocol-version", BATCH_REVISION)
    if revision != BATCH_REVISION or not request.body.lstrip(_BLANKS).startswith(b"["):
        return ()
    try:
        require_json_body(request)
        found = parse_json(request.body)
    except DecodeError:
        return ()
    if not isinstance(found, list) or not 0 < len(found) <= MAX_CALLS:
        return ()
    # What was read strictly is written without loss: no number and no text changes.
    return tuple([request._replace(body=json.dumps(each, ensure_ascii=False).encode()) for each in found])


def _require_exact(members: Collection[str], words: frozenset[str]) -> None:
    for name in members:
        if name not in words and _folded(name) in _FOLDED[words]:
            raise DecodeError("rpc_key_case")


def _method(document: Mapping[str, Any]) -> str:
    """The method of a request; `""` for a response."""
    answers = ("result" in document) + ("error" in document)
    if "method" not in document and answers == 1:
        return ""
    if answers:
        raise DecodeError("rpc_ambiguous")
    method = document.get("method")
    if not isinstance(method, str) or _METHOD.fullmatch(method) is None:
        raise DecodeError("rpc_method_invalid")
    if method != TOOLS_CALL and method.lower() == TOOLS_CALL:
        # A server that ignores case would call a tool that nobody has looked at.
        raise DecodeError("rpc_method_invalid")
    return method


def _identifier(document: Mapping[str, Any]) -> str | int | None:
    found = document.get("id")
    if found is None or (isinstance(found, str) and len(found) <= MAX_ID):
        return found
    if isinstance(found, int) and not isinstance(found, bool):
        return found
    raise DecodeError("rpc_id_invalid")
