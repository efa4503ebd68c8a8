"""Requests that carry JSON-RPC calls (MCP, A2A), without any wire format."""

import json

from authz_server.model import BodyState, Request

JSON = {"content-type": "application/json"}


def body_of(method="tools/list", **members):
    """The bytes of a message; members that are None are left out."""
    message = {"jsonrpc": "2.0", "id": 1, "method": method, **members}
    return json.dumps({name: value for name, value in message.items() if value is not None}).encode()


def tool_body(tool="read_file", arguments=None, **params):
    """The bytes of a `tools/call`."""
    return body_of("tools/call", params={"name": tool, "arguments": arguments or {}, **params})


def post(body=b"", path="/mcp", host="files.example", headers=None, **other):
    """A POST with a whole body of JSON, unless `other` says otherwise."""
    request = Request(
        protocol="http", method="POST", path=path, raw_path=path, query="", host=host, headers=JSON if headers is None else headers,
        repeated={}, body=body, body_state=BodyState.COMPLETE, upgrade="", source_address="10.1.2.3", source_principal="",
        source_certificate="", destination_address="", destination_principal="", destination_service="", context={},
        metadata={}, credentials=(), spoofed=(), id="",
    )  # fmt: skip
    return request._replace(**other)
