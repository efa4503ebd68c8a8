"""authz_server/content/rpc.py."""

import json

import pytest

from authz_server.content.rpc import (
    BATCH_REVISION,
    MAX_CALLS,
    MAX_ID,
    MAX_METHOD,
    Rpc,
    parse_rpc,
    read_rpc,
    split_batch,
)
from authz_server.errors import DecodeError
from authz_server.model import BodyState
from tests.calls import JSON, body_of, post, tool_body


def _parsed(body: bytes, headers=None) -> Rpc:
    return parse_rpc(body, headers or {})


def _refusal(body: bytes, headers=None) -> str:
    with pytest.raises(DecodeError) as caught:
        parse_rpc(body, headers or {})
    return caught.value.code


def test_a_call_of_a_tool():
    """Method, tool, arguments, and the whole document for who wants more."""
    body = tool_body("read_file", {"path": "/a", "n": 5}, _meta={"x": 1})
    rpc = _parsed(body, {"mcp-method": "tools/call", "mcp-name": "read_file"})
    assert rpc == Rpc("tools/call", "read_file", {"path": "/a", "n": 5}, "", 1, json.loads(body))


@pytest.mark.parametrize("method", ["SendMessage", "message/send", "SendStreamingMessage", "tasks/get", "GetTask"])
def test_a_call_of_an_agent(method):
    """Methods of both versions, with the agent where several share an endpoint."""
    rpc = _parsed(body_of(method, id="a-1", params={"tenant": "billing", "message": {"parts": []}}))
    assert (rpc.method, rpc.tool, rpc.arguments, rpc.agent, rpc.id) == (method, "", {}, "billing", "a-1")


@pytest.mark.parametrize("method", ["initialize", "notifications/initialized", "x", "rpc.discover", "~" * MAX_METHOD])
def test_unknown_methods_and_members_are_read_alike(method):
    """The catalogue decides what they are."""
    rpc = _parsed(body_of(method, extra=[1], params={"unknown": {"Name": 1}}))
    assert (rpc.method, rpc.tool) == (method, "")


@pytest.mark.parametrize("answer", [{"result": {}}, {"error": {"code": -32000, "message": "x"}}, {"result": None}])
def test_a_response_has_no_method(answer):
    """Clients of earlier revisions answer what the server asked."""
    body = json.dumps({"jsonrpc": "2.0", "id": 7, **answer}).encode()
    assert _parsed(body)[:5] == ("", "", {}, "", 7)


@pytest.mark.parametrize("identifier", [0, -5, "", "a", "x" * MAX_ID, None])
def test_identifiers(identifier):
    """A number, a text, or none at all."""
    assert _parsed(body_of(id=identifier)).id == identifier


def _with(**members) -> bytes:
    """A valid message with other members, also with nulls."""
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list", **members}).encode()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        # JSON itself; the rest of it is tested where it is parsed.
        (b"", "json_malformed"),
        (body_of() + body_of(), "json_malformed"),
        (body_of() + b"\n" + body_of(), "json_malformed"),
        (b"\xef\xbb\xbf" + body_of(), "json_bom"),
        (body_of().decode().encode("utf-16"), "json_not_utf8"),
        (body_of().decode().encode("utf-16-le"), "json_malformed"),
        (b'{"jsonrpc":"2.0","method":"tools/list","method":"tools/call"}', "json_duplicate_key"),
        (b'{"jsonrpc":"2.0","method":"a","\\u006dethod":"b"}', "json_duplicate_key"),
        (b'{"jsonrpc":"2.0","method":"a","Method":"b"}', "json_colliding_keys"),
        (tool_body("a").replace(b'"arguments"', b'"Name": "b", "arguments"'), "json_colliding_keys"),
        (tool_body("a", {"path": "/a", "Path": "/b"}), "json_colliding_keys"),
        (b'{"jsonrpc":"2.0","method":"a","id":NaN}', "json_number"),
        (b'{"jsonrpc":"2.0","method":"a","id":99999999999999999999}', "json_integer_range"),
        (b'{"jsonrpc":"2.0","method":"a","params":' + b'{"a":' * 60 + b"1" + b"}" * 61, "json_too_deep"),
        (b'{"jsonrpc":"2.0","method":"a\\u0000"}', "json_text"),
        (b'{"jsonrpc":"2.0","method":"a","method\\u0000":"b"}', "json_text"),
        # The envelope.
        (b"[" + body_of() + b"]", "rpc_batch"),
        (b"[]", "rpc_batch"),
        (b'"tools/call"', "rpc_not_object"),
        (b"null", "rpc_not_object"),
        (b"{}", "rpc_version"),
        (_with(jsonrpc="1.0"), "rpc_version"),
        (_with(jsonrpc=2.0), "rpc_version"),
        (_with(jsonrpc=["2.0"]), "rpc_version"),
        (_with(jsonrpc=None), "rpc_version"),
        (b'{"method":"tools/call","params":{"name":"a"}}', "rpc_version"),
        (b'{"jsonrpc":"2.0"}', "rpc_method_invalid"),
        (b'{"jsonrpc":"2.0","id":1,"params":{"name":"a"}}', "rpc_method_invalid"),
        (_with(method=None), "rpc_method_invalid"),
        (_with(method=5), "rpc_method_invalid"),
        (_with(method=["tools/call"]), "rpc_method_invalid"),
        (_with(method=""), "rpc_method_invalid"),
        (_with(method="tools/call "), "rpc_method_invalid"),
        (_with(method="tools\n"), "rpc_method_invalid"),
        (_with(method="t\u00f6ols"), "rpc_method_invalid"),
        (_with(method="x" * (MAX_METHOD + 1)), "rpc_method_invalid"),
        (_with(method="Tools/Call"), "rpc_method_invalid"),
        (_with(result={}), "rpc_ambiguous"),
        (_with(error=None), "rpc_ambiguous"),
        (b'{"jsonrpc":"2.0","id":1,"result":1,"error":{}}', "rpc_ambiguous"),
        (_with(params=[1]), "rpc_params_invalid"),
        (_with(params=None), "rpc_params_invalid"),
        (_with(params="x"), "rpc_params_invalid"),
        (_with(id=1.5), "rpc_id_invalid"),
        (_with(id=True), "rpc_id_invalid"),
        (_with(id=[1]), "rpc_id_invalid"),
        (_with(id={}), "rpc_id_invalid"),
        (_with(id="x" * (MAX_ID + 1)), "rpc_id_invalid"),
        # What the protocols add.
        (tool_body("a b"), "rpc_tool_invalid"),
        (body_of("tools/call"), "rpc_tool_invalid"),
        (tool_body("a").replace(b"{}", b"[]"), "rpc_arguments_invalid"),
        (body_of("SendMessage", params={"tenant": 5}), "rpc_agent_invalid"),
    ],
)
def test_everything_in_doubt_is_refused(body, code):
    """Each doubt by its own code."""
    assert _refusal(body) == code


@pytest.mark.parametrize(
    "name", ["Method", "METHOD", "Params", "param\u017f", "Id", "ID", "\u0130d", "\u0131d", "JsonRpc", "Result"]
)
def test_a_member_that_only_its_case_keeps_from_being_read_is_refused(name):
    """Some servers read it all the same, and then another call than this one."""
    assert _refusal(_with(**{name: "tools/call"})) in {"rpc_key_case", "json_colliding_keys"}
    assert _refusal(json.dumps({name: "tools/call"}).encode()) == "rpc_key_case"


@pytest.mark.parametrize("name", ["Name", "NAME", "Arguments", "argument\u017f", "URI", "TaskId", "taskid", "Tenant"])
def test_so_is_one_in_the_parameters(name):
    """But not in the arguments, whose names are the tool's own."""
    assert _refusal(body_of("prompts/get", params={name: "x"})) == "rpc_key_case"
    assert _parsed(tool_body("a", {name: "x"})).arguments == {name: "x"}


def test_headers_are_compared():
    """With the body, which is what counts."""
    assert _refusal(tool_body("a"), {"mcp-name": "b"}) == "mcp_header_mismatch"
    assert _refusal(tool_body("a"), {"mcp-method": "tools/list"}) == "mcp_header_mismatch"


def test_reading_a_request_looks_at_its_body_first():
    """A message in a body that is not whole, or of another type, is none."""
    assert read_rpc(post(tool_body("a"))).tool == "a"
    for fields, code in (
        ({"body_state": BodyState.PARTIAL}, "body_partial"),
        ({"headers": {"content-type": "text/plain"}}, "body_not_json"),
        ({"headers": {"content-type": "application/json", "mcp-name": "b"}}, "mcp_header_mismatch"),
    ):
        with pytest.raises(DecodeError, match=code):
            read_rpc(post(tool_body("a"), **fields))


SECOND = tool_body("b", {"n": 2**53 + 1, "text": "\u00e9\n", "half": 0.1, "none": None})


def test_a_batch_is_taken_apart():
    """Into requests that differ in nothing but the body; nothing that was read changes on the way."""
    whole = post(
        b" [" + tool_body("a") + b",\r\n" + SECOND + b"] ", headers={**JSON, "mcp-protocol-version": BATCH_REVISION}
    )
    first, second = split_batch(whole)
    assert read_rpc(first)[:6] == read_rpc(whole._replace(body=tool_body("a")))[:6]
    assert read_rpc(second) == read_rpc(whole._replace(body=SECOND))
    assert first._replace(body=b"") == second._replace(body=b"") == whole._replace(body=b"")


@pytest.mark.parametrize(
    "request_",
    [
        post(tool_body("a")),
        post(b""),
        post(b"[]"),
        post(b"[" + b",".join([body_of()] * (MAX_CALLS + 1)) + b"]"),
        post(b"[" + body_of()),
        post(b"[" + body_of() + b",]"),
        post(b"[" + body_of() + b"]", headers={**JSON, "mcp-protocol-version": "2025-06-18"}),
        post(b"[" + body_of() + b"]", headers={}),
        post(b"[" + body_of() + b"]", body_state=BodyState.PARTIAL),
    ],
)
def test_what_is_no_batch_is_not_taken_apart(request_):
    """Whoever reads it as one call says what is wrong with it."""
    assert split_batch(request_) == ()


def test_the_longest_batch():
    """As many as are allowed."""
    assert len(split_batch(post(b"[" + b",".join([body_of()] * MAX_CALLS) + b"]"))) == MAX_CALLS
