"""JSON-RPC messages: what is accepted is what was written, read in one way only, and nothing but DecodeError is raised."""

import json
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from authz_server.content.rpc import MAX_METHOD, Rpc, parse_rpc
from authz_server.errors import DecodeError
from tests.calls import tool_body

_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 5), _TEXT),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(st.tuples(_TEXT, inner), max_size=3, unique_by=lambda pair: pair[0].casefold()).map(dict),
    ),
    max_leaves=8,
)
_OBJECTS = st.lists(st.tuples(_TEXT, _VALUES), max_size=4, unique_by=lambda pair: pair[0].casefold()).map(dict)
_TOOLS = st.from_regex(r"[A-Za-z0-9_.-]{1,64}", fullmatch=True)
_NAMES = st.sampled_from(
    ["jsonrpc", "method", "params", "id", "result", "error", "name", "arguments", "uri", "taskId", "tenant", "_meta"]
)
_MEMBERS = st.one_of(_NAMES, _NAMES.map(str.title), _NAMES.map(str.upper), _TEXT)
_PARTS = st.one_of(
    st.sampled_from(["2.0", "tools/call", "Tools/Call", "tools/list", "message/send", "read_file", 1, 2.0, True, None]),
    _VALUES,
)
_MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.one_of(st.just("2.0"), _PARTS),
        "method": st.one_of(st.just("tools/call"), _PARTS),
        "params": st.one_of(st.dictionaries(_MEMBERS, _PARTS, max_size=4), _PARTS),
        "id": _PARTS,
    },
)
_HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "mcp-method": st.sampled_from(["tools/call", "tools/list", ""]),
        "mcp-name": st.one_of(st.sampled_from(["read_file", "=?base64?cmVhZF9maWxl?=", "=?base64?%?="]), _TEXT),
    },
)


def _read(body, headers=None):
    """The message, or None when it is refused with a code of ours."""
    try:
        return parse_rpc(body, headers or {})
    except DecodeError as error:
        code = error.code
    assert re.fullmatch("(json|rpc|mcp)_[a-z0-9_]+", code)
    return None


def _check(rpc, body):
    """What every accepted message promises."""
    assert isinstance(rpc, Rpc)
    document = json.loads(body)
    assert rpc.document == document
    assert document["jsonrpc"] == "2.0"
    assert document.get("method", "") == rpc.method
    assert rpc.method == "" or (rpc.method.isascii() and rpc.method.isprintable() and len(rpc.method) <= MAX_METHOD)
    assert document.get("id") == rpc.id
    assert bool(rpc.tool) == (rpc.method == "tools/call")
    if rpc.tool:
        assert rpc.tool == document["params"]["name"]
        assert rpc.arguments == document["params"].get("arguments", {})
    else:
        assert rpc.arguments == {}
    # No reader that ignores case finds another member of a name that is read here.
    for members in (document, document.get("params", {})):
        for word in ("jsonrpc", "method", "params", "id"):
            assert [name for name in members if name.casefold() == word] in ([], [word]) or members is not document
        for word in ("name", "arguments", "uri", "tenant"):
            assert [name for name in members if name.casefold() == word] in ([], [word]) or members is document


@given(st.binary(max_size=80), _HEADERS)
@settings(max_examples=300)
def test_any_bytes(body, headers):
    """Nothing but refusals, or a message."""
    rpc = _read(body, headers)
    if rpc is not None:
        _check(rpc, body)


@given(st.one_of(_MESSAGES, _OBJECTS, st.dictionaries(_MEMBERS, _PARTS, max_size=5)), _HEADERS)
@settings(max_examples=500)
def test_any_message(message, headers):
    """Messages that are nearly right."""
    body = json.dumps(message).encode()
    rpc = _read(body, headers)
    if rpc is not None:
        _check(rpc, body)


@given(
    _TOOLS,
    _OBJECTS,
    st.one_of(st.none(), st.integers(-(2**40), 2**40), _TEXT),
    st.integers(0, 300),
    st.integers(0, 255),
)
@settings(max_examples=300)
def test_calls_and_changed_calls(tool, arguments, identifier, place, byte):
    """Every call is read as it was written; one changed byte: refused, or read as the document says."""
    body = json.dumps(
        {"jsonrpc": "2.0", "id": identifier, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}
    ).encode()
    rpc = _read(body, {"mcp-method": "tools/call", "mcp-name": tool})
    assert (rpc.tool, rpc.arguments, rpc.id) == (tool, arguments, identifier)
    changed = bytearray(body)
    changed[place % len(changed)] = byte
    rpc = _read(bytes(changed))
    if rpc is not None:
        _check(rpc, bytes(changed))


@given(_TOOLS, _TOOLS)
def test_the_header_names_the_same_tool_or_the_call_is_refused(tool, told):
    """Whatever either of them is."""
    assert (_read(tool_body(tool), {"mcp-name": told}) is not None) == (tool == told)
