"""What a step of a case asks for: an HTTP request, or the call of a tool."""

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from authz_server.content.mcp import TOOLS_CALL
from authz_server.policy.fields import Fields, Scope
from authz_server.policy.tree import Items, Scalar, Table, described
from authz_server.trial.case_words import CALL_FIELDS, REQUEST_FIELDS, CasePlace
from authz_server.trial.retold import plain

MCP_PATH: Final = "/mcp"
"""Where a tool is called when neither the step nor its defaults name a path."""
MAX_PATH: Final = 16_384
"""Characters of a path with its query, and of a header: beyond them no proxy passes a request on."""
MAX_BODY: Final = 4 * 1024 * 1024
"""Characters of a body: far beyond what a server reads, so that this can be tried too."""
MAX_HEADERS: Final = 256
"""Header lines of a step."""

_JSON: Final = ("content-type", "application/json")
_BOTH: Final = ("accept", "application/json, text/event-stream")
"""What a client of the Model Context Protocol accepts (streamable-http, Sending Messages)."""


class Body(NamedTuple):
    """A body, and what comes with it where the step does not say otherwise."""

    content: bytes
    headers: tuple[tuple[str, str], ...] = ()
    path: str = ""


class Asked(NamedTuple):
    """What one place says about a request; None where it says nothing."""

    method: str | None = None
    host: str | None = None
    path: str | None = None
    headers: Mapping[str, tuple[str, ...]] = {}
    """Values by lower-case name."""
    body: Body | None = None

    def over(self, other: "Asked") -> "Asked":
        """This request, completed by another; headers by name."""
        merged = Asked._make(mine if mine is not None else theirs for mine, theirs in zip(self, other, strict=True))
        return merged._replace(headers={**other.headers, **self.headers})

    def lines(self) -> tuple[tuple[str, str], ...]:
        """The header lines, with those that come with the body."""
        lines = [(name, value) for name, values in self.headers.items() for value in values]
        if self.body is not None:
            lines += [(name, value) for name, value in self.body.headers if name not in self.headers]
        return tuple(lines)


def read_asked(fields: Fields, scope: Scope) -> Asked:
    """Read `request` and `mcp` of a step or of the defaults."""
    asked = Asked()
    node = fields.node_of("request")
    if node is not None:
        asked = _read_request(Fields(node, CasePlace.REQUEST, REQUEST_FIELDS, scope), scope)
    node = fields.node_of("mcp")
    if node is None:
        return asked
    if asked.body is not None:
        fields.fault("an MCP call is the body; `request.body` beside it says another", "mcp")
    return asked._replace(body=_read_call(Fields(node, CasePlace.CALL, CALL_FIELDS, scope)))


def _read_request(fields: Fields, scope: Scope) -> Asked:
    return Asked(
        method=fields.text("method") if "method" in fields else None,
        host=fields.text("host", most=512) if "host" in fields else None,
        path=fields.text("path", most=MAX_PATH) if "path" in fields else None,
        headers=_read_headers(fields, scope),
        body=_read_body(fields),
    )


def _read_headers(fields: Fields, scope: Scope) -> Mapping[str, tuple[str, ...]]:
    """The values by name; a list is as many lines of one name."""
    node = fields.node_of("headers")
    if node is None:
        return {}
    names = tuple(node.nodes) if isinstance(node, Table) else ()
    found = Fields(node, CasePlace.REQUEST, names, scope)
    if len(names) > MAX_HEADERS:
        fields.fault(f"more than {MAX_HEADERS} headers", "headers")
        return {}
    return {name.lower(): found.texts(name, most=MAX_PATH) for name in names}


def _read_body(fields: Fields) -> Body | None:
    """A text as it stands, or a mapping or a list as JSON."""
    node = fields.node_of("body")
    if node is None:
        return None
    if isinstance(node, Table | Items):
        return Body(_json(plain(node)), (_JSON,))
    if isinstance(node, Scalar) and isinstance(node.value, str) and len(node.value) <= MAX_BODY:
        return Body(node.value.encode())
    fields.fault(f"a text, a mapping or a list is expected, not {described(node)}: quote it if it is text", "body")
    return None


def _read_call(fields: Fields) -> Body:
    """A JSON-RPC request of the Model Context Protocol."""
    method = fields.text("method", TOOLS_CALL)
    params: dict[str, Any] = {}
    if method == TOOLS_CALL:
        fields.require("tool")
        params["name"] = fields.text("tool")
    elif "tool" in fields:
        fields.fault(f"a tool is called by the method `{TOOLS_CALL}`", "tool")
    node = fields.node_of("arguments")
    if node is not None:
        params["arguments"] = plain(node)
        if not isinstance(node, Table):
            fields.fault(f"a mapping is expected, not {described(node)}", "arguments")
    call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return Body(_json(call), (_JSON, _BOTH), MCP_PATH)


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
