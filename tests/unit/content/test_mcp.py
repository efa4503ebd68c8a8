"""authz_server/content/mcp.py."""

from base64 import b64encode

import pytest

from authz_server.content.mcp import MAX_TOOL, called_tool, check_headers
from authz_server.errors import DecodeError


def _encoded(text: str) -> str:
    return f"=?base64?{b64encode(text.encode()).decode()}?="


def test_a_tools_call_names_its_tool_and_its_arguments():
    """Arguments that are not given are none."""
    assert called_tool("tools/call", {"name": "read_file", "arguments": {"path": "/a"}}) == (
        "read_file",
        {"path": "/a"},
    )
    assert called_tool("tools/call", {"name": "A-b.9_" + "x" * (MAX_TOOL - 6)}) == ("A-b.9_" + "x" * (MAX_TOOL - 6), {})


@pytest.mark.parametrize("method", ["tools/list", "prompts/get", "message/send", ""])
def test_no_other_method_has_a_tool(method):
    """A prompt has a name too, and is none."""
    assert called_tool(method, {"name": "no tool at all", "arguments": 5}) == ("", {})


@pytest.mark.parametrize(
    "name",
    [None, 5, True, ["a"], "", "a b", "a/b", "a\n", " a", "a\u200b", "\uff41", "read*", "{tool}", "x" * (MAX_TOOL + 1)],
)
def test_a_name_that_is_no_tools_is_refused(name):
    """What is no plain name could be another one for the server."""
    with pytest.raises(DecodeError, match="rpc_tool_invalid"):
        called_tool("tools/call", {"name": name})


def test_a_call_without_a_name_is_refused():
    """There is nothing to classify."""
    with pytest.raises(DecodeError, match="rpc_tool_invalid"):
        called_tool("tools/call", {"arguments": {}})


@pytest.mark.parametrize("arguments", [None, [], "x", 5, False])
def test_arguments_are_an_object(arguments):
    """Also null is refused: the protocol has it nowhere."""
    with pytest.raises(DecodeError, match="rpc_arguments_invalid"):
        called_tool("tools/call", {"name": "a", "arguments": arguments})


@pytest.mark.parametrize(
    ("method", "params", "headers"),
    [
        ("tools/call", {"name": "a"}, {}),
        ("tools/call", {"name": "a"}, {"mcp-method": "tools/call", "mcp-name": "a"}),
        ("tools/call", {"name": "a"}, {"mcp-name": _encoded("a")}),
        ("prompts/get", {"name": "caf\u00e9 ?"}, {"mcp-name": _encoded("caf\u00e9 ?")}),
        ("prompts/get", {"name": "=?base64?x"}, {"mcp-name": "=?base64?x"}),
        ("prompts/get", {"name": "=?BASE64?YQ==?="}, {"mcp-name": "=?BASE64?YQ==?="}),
        ("resources/read", {"uri": "file:///a b"}, {"mcp-name": "file:///a b"}),
        ("tasks/get", {"taskId": "t1"}, {"mcp-method": "tasks/get", "mcp-name": "t1"}),
        ("tools/list", {}, {"mcp-method": "tools/list"}),
    ],
)
def test_headers_that_agree_with_the_body(method, params, headers):
    """As they are, or in base64."""
    check_headers(method, params, headers)


@pytest.mark.parametrize(
    ("method", "params", "headers"),
    [
        ("tools/call", {"name": "a"}, {"mcp-method": "tools/list"}),
        ("tools/call", {"name": "a"}, {"mcp-method": "Tools/Call"}),
        ("tools/call", {"name": "a"}, {"mcp-method": ""}),
        ("tools/call", {"name": "a"}, {"mcp-method": "tools/call,tools/call"}),
        ("", {}, {"mcp-method": "tools/call"}),
        ("tools/call", {"name": "a"}, {"mcp-name": "b"}),
        ("tools/call", {"name": "a"}, {"mcp-name": "A"}),
        ("tools/call", {"name": "a"}, {"mcp-name": ""}),
        ("tools/call", {"name": "a"}, {"mcp-name": "a,a"}),
        ("tools/call", {"name": "a"}, {"mcp-name": _encoded("b")}),
        ("tools/call", {"name": "a"}, {"mcp-name": _encoded(_encoded("a"))}),
        ("tools/call", {"name": "a", "uri": "b", "taskId": "b"}, {"mcp-name": "b"}),
        ("prompts/get", {"name": "=?base64?YQ==?="}, {"mcp-name": "=?base64?YQ==?="}),
        ("prompts/get", {"name": "=?base64?a-b?="}, {"mcp-name": "=?base64?a-b?="}),
        ("prompts/get", {"name": "x"}, {"mcp-name": "=?base64?/w==?="}),
        ("prompts/get", {"name": "a"}, {"mcp-name": "=?base64?YQ?="}),
        ("prompts/get", {"name": "a"}, {"mcp-name": "=?base64?Y Q==?="}),
        ("prompts/get", {"name": "a"}, {"mcp-name": "=?base64?YQ==\u00e9?="}),
        ("resources/read", {"uri": "a", "name": "b"}, {"mcp-name": "b"}),
        ("tools/list", {}, {"mcp-name": "a"}),
        ("tools/list", {"name": 5}, {"mcp-name": "5"}),
    ],
)
def test_headers_that_say_something_else_are_refused(method, params, headers):
    """Whatever routes by the header would see another call."""
    with pytest.raises(DecodeError, match="mcp_header_mismatch"):
        check_headers(method, params, headers)
