"""authz_server/policy/catalogue.py and routes.py: entries about the call in the body (MCP, A2A)."""

import pytest

from authz_server.model import Action, BodyState
from authz_server.policy.catalogue import UNCLASSIFIED_CODES, Catalogue
from authz_server.policy.schema import parse_policy
from tests.calls import JSON, body_of, post, tool_body


def _compile(*entries: str):
    lines = "".join(f"  - {{{entry}}}\n" for entry in entries)
    parsed = parse_policy({"a.yaml": f"version: 1\nactions:\n{lines}".encode()})
    assert not parsed.faults, parsed.faults
    return Catalogue.compile(parsed.text.actions, parsed.text.defaults)


def _catalogue(*entries: str) -> Catalogue:
    catalogue, faults = _compile(*entries)
    assert not faults, faults
    return catalogue


def _name(catalogue: Catalogue, body: bytes, **other) -> str:
    classified = catalogue.classify(post(body, **other))
    assert classified.refused == ""
    return classified.action.name


def _refused(catalogue: Catalogue, body: bytes = b"", **other) -> str:
    classified = catalogue.classify(post(body, **other))
    assert (classified.action, classified.rpc) == (catalogue.unclassified, None)
    return classified.refused


def test_tools_methods_and_agents_tell_calls_apart():
    """By patterns, like everything else."""
    catalogue = _catalogue(
        "name: dwh.export, match: {host: files.example, mcp.tool: [export_rows, 'dump_*']}, kind: bulk-read",
        "name: dwh.list, match: {host: files.example, mcp.method: [tools/list, 'resources/*']}, kind: discovery",
        "name: agents.message, match: {a2a.method: [SendMessage, message/send]}, kind: message",
        "name: agents.billing, match: {host: agents.example, a2a.agent: 'billing*'}, kind: admin",
    )
    assert _name(catalogue, tool_body("export_rows")) == "dwh.export"
    assert _name(catalogue, tool_body("dump_all")) == "dwh.export"
    assert _name(catalogue, body_of("tools/list")) == "dwh.list"
    assert _name(catalogue, body_of("resources/read", params={"uri": "a"})) == "dwh.list"
    assert _name(catalogue, body_of("SendMessage"), host="agents.example") == "agents.message"
    assert _name(catalogue, body_of("message/send"), host="agents.example") == "agents.message"
    assert (
        _name(catalogue, body_of("GetTask", params={"tenant": "billing-1"}), host="agents.example") == "agents.billing"
    )
    assert _name(catalogue, body_of("export_rows")) == "unclassified"
    assert _name(catalogue, tool_body("drop_rows")) == "unclassified"
    assert _name(catalogue, body_of("sendmessage")) == "unclassified"
    assert _name(catalogue, b'{"jsonrpc":"2.0","id":1,"result":{}}') == "unclassified"


def test_the_call_comes_with_the_answer_once_it_was_read():
    """So that nobody parses the body again; also when no entry wanted that call."""
    catalogue = _catalogue(
        "name: a, match: {mcp.tool: a}, kind: read, body: json", "name: b, match: {path: /b}, kind: read"
    )
    classified = catalogue.classify(post(tool_body("a", {"n": 1})))
    assert (classified.action.name, classified.rpc.tool, classified.rpc.arguments) == ("a", "a", {"n": 1})
    assert classified.rpc.document["method"] == "tools/call"
    unknown = catalogue.classify(post(tool_body("z")))
    assert (unknown.action.name, unknown.refused, unknown.rpc.tool) == ("unclassified", "", "z")
    assert catalogue.classify(post(tool_body("a"), path="/b")).rpc is None


BROKEN = [
    ({"body": tool_body("a"), "body_state": BodyState.PARTIAL}, "body_partial"),
    ({"body": b"", "body_state": BodyState.ABSENT}, "body_absent"),
    ({"body": b"", "body_state": BodyState.UNAVAILABLE}, "body_unavailable"),
    ({"body": b"", "body_state": BodyState.TOO_LARGE}, "body_too_large"),
    ({"body": tool_body("a"), "headers": {"content-type": "text/plain"}}, "body_not_json"),
    ({"body": tool_body("a"), "headers": {**JSON, "content-encoding": "gzip"}}, "body_not_json"),
    ({"body": tool_body("a"), "headers": {**JSON, "mcp-name": "b"}}, "mcp_header_mismatch"),
    ({"body": b"[" + tool_body("a") + b"]"}, "rpc_batch"),
    ({"body": b'{"a":1}'}, "rpc_version"),
    ({"body": tool_body("a") + b"{}"}, "json_malformed"),
    ({"body": b'{"jsonrpc":"2.0","method":"tools/call","params":{"name":"a","Name":"b"}}'}, "json_colliding_keys"),
    ({"body": b'{"jsonrpc":"2.0","method":"tools/list","Params":{"name":"b"}}'}, "rpc_key_case"),
]


@pytest.mark.parametrize(("fields", "code"), BROKEN)
@pytest.mark.parametrize(
    "entry",
    [
        "name: t, match: {host: files.example, mcp.tool: a}, kind: read",
        "name: t, match: {path: /mcp, mcp.method: tools/list}, kind: read",
        "name: t, match: {host: '*.example', a2a.method: x}, kind: read",
        "name: t, match: {path: /mcp, method: [GET, POST]}, kind: read, cases: [{mcp.tool: wipe, kind: delete}]",
        "name: 't.{tool}', match: {path: /mcp, mcp.tool: x}, kind: read",
    ],
)
def test_a_body_that_cannot_be_relied_on_never_falls_to_a_less_specific_entry(entry, fields, code):
    """Whatever is broken about it, and whatever the entry asks of it."""
    catalogue = _catalogue(
        entry, "name: all, match: {path: '/**'}, kind: read", "name: any, match: {method: POST}, kind: read"
    )
    assert _refused(catalogue, **fields) == code
    assert code not in UNCLASSIFIED_CODES


def test_a_readable_call_falls_to_a_less_specific_entry():
    """That is what less specific entries are for."""
    catalogue = _catalogue(
        "name: tool, match: {path: /mcp, mcp.tool: a}, kind: read", "name: all, match: {path: '/**'}, kind: write"
    )
    assert _name(catalogue, tool_body("b")) == "all"


def test_the_body_is_read_only_where_everything_else_fits():
    """Another path, another method, another header: the body is nobody's business."""
    catalogue = _catalogue(
        "name: tool, match: {path: /mcp, header: {x-a: '1'}, mcp.tool: a}, kind: read",
        "name: exact, match: {path: /mcp/upload}, kind: write",
        "name: rest, match: {path: '/**'}, kind: write",
    )
    for other in (
        {"path": "/mcp/upload"},
        {"path": "/other"},
        {"method": "GET", "body_state": BodyState.ABSENT},
        {"method": "PUT"},
        {"headers": {"x-a": "2"}},
    ):
        classified = catalogue.classify(post(b"\xff", **other))
        assert (classified.refused, classified.rpc) == ("", None)
        assert classified.action.name in {"exact", "rest"}
    assert _refused(catalogue, b"\xff", headers={**JSON, "x-a": "1"}) == "json_not_utf8"


def test_a_more_specific_entry_without_a_call_comes_first():
    """It needs no body, so a body cannot keep it from its requests."""
    catalogue = _catalogue(
        "name: tool, match: {host: '*.example', mcp.tool: a}, kind: read",
        "name: plain, match: {host: files.example}, kind: write",
    )
    assert _name(catalogue, b"\xff") == "plain"
    assert _refused(catalogue, b"\xff", host="other.example") == "json_not_utf8"


def test_a_call_is_more_specific_than_its_method_and_less_than_its_path():
    """Each key counts, and a tool says the method too."""
    catalogue = _catalogue(
        "name: post, match: {path: /mcp, method: POST}, kind: write",
        "name: call, match: {path: /mcp, mcp.method: tools/call}, kind: write",
        "name: tool, match: {path: /mcp, mcp.tool: a}, kind: read",
        "name: marked, match: {path: /mcp, mcp.method: '*', header: {x-a: '1', x-b: '1'}}, kind: admin",
    )
    assert _name(catalogue, tool_body("a")) == "tool"
    assert _name(catalogue, tool_body("b")) == "call"
    assert _name(catalogue, body_of("tools/list")) == "post"
    assert _name(catalogue, tool_body("a"), headers={**JSON, "x-a": "1", "x-b": "1"}) == "marked"


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("{mcp.tool: [a, b]}", "{mcp.tool: [b, c]}"),
        ("{mcp.tool: 'a*'}", "{mcp.method: 'tools/*', mcp.tool: '*b'}"),
        ("{mcp.method: 'tools/*'}", "{mcp.method: '*/call'}"),
        ("{mcp.method: 'message/*'}", "{a2a.method: '*/send'}"),
        ("{a2a.method: SendMessage}", "{a2a.agent: b}"),
        ("{a2a.agent: 'b*'}", "{method: POST, header: {x-a: '1'}}"),
        ("{mcp.method: ping}", "{method: [POST, PUT], source: 10.0.0.0/8}"),
    ],
)
def test_a_tie_that_can_overlap_is_a_fault(one, two):
    """No order of files decides about calls either."""
    _, faults = _compile(f"name: one, match: {one}, kind: read", f"name: two, match: {two}, kind: write")
    assert [fault.message for fault in faults] == [
        "`two` and `one` (a.yaml:3) fit the same requests equally well; make one of them more specific"
    ]


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("{mcp.tool: a}", "{mcp.tool: b}"),
        ("{mcp.tool: 'a*'}", "{mcp.tool: 'b*'}"),
        ("{mcp.tool: a}", "{mcp.method: tools/call}"),
        ("{mcp.method: tools/list}", "{mcp.method: tools/call}"),
        ("{mcp.method: 'tools/*'}", "{a2a.method: 'message/*'}"),
        ("{a2a.method: x, a2a.agent: a}", "{a2a.method: x, a2a.agent: b}"),
        ("{mcp.method: x}", "{method: GET, header: {x-a: '1'}}"),
        ("{mcp.method: x}", "{method: POST}"),
    ],
)
def test_calls_that_cannot_meet_or_differ_in_rank_are_no_tie(one, two):
    """Only what some call would have to choose between is refused."""
    assert not _compile(f"name: one, match: {one}, kind: read", f"name: two, match: {two}, kind: write")[1]


def test_cases_refine_by_the_call():
    """Also where the entry itself asks nothing of the body; what is no POST has no call."""
    catalogue = _catalogue(
        "name: mcp, match: {path: /mcp}, kind: write, cases: [{mcp.tool: 'wipe_*', kind: delete, sensitivity: critical},"
        " {mcp.method: tools/list, kind: discovery}, {method: GET, kind: read}]"
    )
    kinds = [
        catalogue.classify(post(body)).action.kind
        for body in (tool_body("wipe_all"), tool_body("x"), body_of("tools/list"))
    ]
    assert kinds == ["delete", "write", "discovery"]
    get = catalogue.classify(post(b"", method="GET", body_state=BodyState.ABSENT))
    assert (get.action.kind, get.refused, get.rpc) == ("read", "", None)
    assert catalogue.classify(post(b"", method="DELETE", body_state=BodyState.ABSENT)).action.kind == "write"


def test_captures_and_calls():
    """A path's segments come with a call's action."""
    catalogue = _catalogue("name: t, match: {path: '/{server}/mcp', mcp.tool: a}, kind: read")
    classified = catalogue.classify(post(tool_body("a"), path="/files/mcp"))
    assert (classified.action.name, classified.captures) == ("t", {"server": "files"})


def test_long_lived_requests_carry_no_call():
    """An upgrade with a body is no call, whatever entries there are."""
    catalogue = _catalogue("name: t, match: {mcp.tool: a}, kind: read", "name: u, match: {upgrade: h2c}, kind: read")
    assert _name(catalogue, tool_body("a"), upgrade="h2c") == "u"
    assert _refused(catalogue, tool_body("a"), upgrade="websocket") == "upgrade_unclassified"
    assert {"upgrade_unclassified", "tcp_unclassified", "method_override"} == UNCLASSIFIED_CODES


def test_the_catalogue_tells_which_actions_read_calls():
    """Where none is read, nothing can be said about one."""
    catalogue = _catalogue(
        "name: a, match: {mcp.tool: a}, kind: read",
        "name: b, match: {path: /b}, kind: read, cases: [{a2a.agent: x, kind: write}]",
        "name: c, match: {path: /c}, kind: read",
    )
    assert [catalogue.reads_call(name) for name in ("a", "b", "c", "none")] == [True, True, False, False]


def test_an_answer_says_what_the_entry_says():
    """Nothing of it comes from the body."""
    catalogue = _catalogue(
        "name: a, match: {mcp.tool: a}, kind: exec, sensitivity: high, stage: impact, service: s, body: json"
    )
    assert catalogue.classify(post(tool_body("a"))).action == Action("a", "exec", "impact", "high", "s", "json")


def test_lines_that_disagree_refuse_a_call_only_where_the_rest_of_the_entry_fits_it():
    """The call is read before anything is said about them."""
    catalogue = _catalogue(
        "name: live, match: {mcp.tool: refund, header: {x-mode: live}}, kind: write",
        "name: rest, match: {mcp.method: tools/call}, kind: read",
    )
    lines = {"headers": {**JSON, "x-mode": "live,test"}, "repeated": {"x-mode": ("live", "test")}}
    assert catalogue.classify(post(tool_body("refund"), **lines)).refused == "header_repeated"
    assert catalogue.classify(post(tool_body("look"), **lines)).action.name == "rest"
