"""Model Context Protocol: the tool that a call names, and the headers that repeat what the body says.

Source: MCP 2026-07-28, server/tools and basic/transports/streamable-http. Earlier revisions differ in nothing that is
read here: they have no such headers.
"""

import re
from binascii import a2b_base64
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from authz_server.errors import DecodeError

TOOLS_CALL: Final = "tools/call"
MAX_TOOL: Final = 128
"""Characters of a tool's name (MCP 2025-11-25, Tool Names): it becomes a part of the action's."""

_TOOL: Final = re.compile(f"[A-Za-z0-9_.-]{{1,{MAX_TOOL}}}")
_NO_ARGUMENTS: Final[Mapping[str, Any]] = MappingProxyType({})
_NAMED_BY: Final[Mapping[str, tuple[str, ...]]] = {
    TOOLS_CALL: ("name",),
    "prompts/get": ("name",),
    "resources/read": ("uri",),
}
"""What `Mcp-Name` repeats, by method; the extension for tasks adds `taskId` to methods of its own (SEP-2663)."""
_ANY_NAME: Final = ("name", "uri", "taskId")
PARAM_WORDS: Final = frozenset((*_ANY_NAME, "arguments"))
"""The members of `params` that are read here."""
_ENCODED: Final = re.compile(r"=\?base64\?(.*)\?=")


def called_tool(method: str, params: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Read the tool of a `tools/call` and its arguments; `""` and none for any other method.

    Raises:
        DecodeError: `rpc_tool_invalid` for a name other than 1 to 64 of A-Z a-z 0-9 _ . -, `rpc_arguments_invalid` for
            arguments that are no object.
    """
    if method != TOOLS_CALL:
        return "", _NO_ARGUMENTS
    tool = params.get("name")
    if not isinstance(tool, str) or _TOOL.fullmatch(tool) is None:
        raise DecodeError("rpc_tool_invalid")
    arguments = params.get("arguments", _NO_ARGUMENTS)
    if not isinstance(arguments, Mapping):
        raise DecodeError("rpc_arguments_invalid")
    return tool, arguments


def check_headers(method: str, params: Mapping[str, Any], headers: Mapping[str, str]) -> None:
    """Compare `Mcp-Method` and `Mcp-Name`, where they are present, with the body, in its own spelling.

    What routes or counts by the header must not see another call than the server behind it.

    Args:
        method: of the body.
        params: of the body.
        headers: lower-case names.

    Raises:
        DecodeError: `mcp_header_mismatch`.
    """
    if headers.get("mcp-method", method) != method:
        raise DecodeError("mcp_header_mismatch")
    told = headers.get("mcp-name")
    if told is None:
        return
    name = _decoded(told)
    if not any(params.get(word) == name for word in _NAMED_BY.get(method, _ANY_NAME)):
        raise DecodeError("mcp_header_mismatch")


def _decoded(value: str) -> str:
    """A header's value without its encoding (streamable-http, Value Encoding)."""
    encoded = _ENCODED.fullmatch(value)
    if encoded is None:
        return value
    try:
        return a2b_base64(encoded[1], strict_mode=True).decode()
    except ValueError:  # of either: no base64, no UTF-8
        raise DecodeError("mcp_header_mismatch") from None
