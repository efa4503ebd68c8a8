"""authz_server/policy/action_entries.py and request_keys.py."""

import pytest

from authz_server.policy.entries import ActionCase, ActionEntry, RequestMatch
from authz_server.policy.schema import parse_policy
from authz_server.policy.tree import Where


def _parse(action: str):
    return parse_policy({"a.yaml": f"version: 1\nactions:\n  - {action}\n".encode()})


def _faults(action: str) -> list[str]:
    return [f"{fault.path.removeprefix('actions[0]')}: {fault.message}" for fault in _parse(action).faults]


def test_an_entry_is_read_with_all_its_keys():
    """Every field and every key of a request match."""
    parsed = _parse(
        '{name: a.b, match: {host: [h.example, "*.example"], method: [GET, POST], path: "/v1/{x}", header: {x-b: "1", x-a: [y, "z*"]},'
        " source: 10.0.0.0/8}, kind: bulk-read, sensitivity: high, stage: collection, service: ns/sa, body: json,"
        " cases: [{method: POST, kind: write}, {header: {x-a: y}, sensitivity: low, stage: impact}]}"
    )
    assert not parsed.faults
    match = RequestMatch(
        host=("h.example", "*.example"),
        method=("GET", "POST"),
        path=("/v1/{x}",),
        header=(("x-a", ("y", "z*")), ("x-b", ("1",))),
        source=("10.0.0.0/8",),
    )
    cases = (
        ActionCase(RequestMatch(method=("POST",)), "write", "", "", Where(0, "")),
        ActionCase(RequestMatch(header=(("x-a", ("y",)),)), "", "low", "impact", Where(0, "")),
    )
    assert parsed.text.actions == (
        ActionEntry("a.b", match, "bulk-read", "high", "collection", "ns/sa", "json", cases, Where(0, "")),
    )


def test_conditions_on_calls_are_read_in_entries_and_cases():
    """MCP in one, A2A in another."""
    parsed = _parse(
        '{name: "files.{tool}", match: {host: h.example, mcp.method: tools/call, mcp.tool: [stat, "read_*"]}, kind: write,'
        ' cases: [{mcp.tool: "read_*", kind: read}, {mcp.method: [tools/call], header: {x-a: y}, stage: impact}]}'
    )
    assert not parsed.faults
    entry = parsed.text.actions[0]
    assert entry.name == "files.{tool}"
    assert entry.match == RequestMatch(host=("h.example",), mcp_method=("tools/call",), mcp_tool=("stat", "read_*"))
    assert [case.match for case in entry.cases] == [
        RequestMatch(mcp_tool=("read_*",)),
        RequestMatch(mcp_method=("tools/call",), header=(("x-a", ("y",)),)),
    ]
    parsed = _parse("{name: a, match: {a2a.method: [SendMessage, message/send], a2a.agent: 'b*'}, kind: message}")
    assert not parsed.faults
    assert parsed.text.actions[0].match == RequestMatch(a2a_method=("SendMessage", "message/send"), a2a_agent=("b*",))


@pytest.mark.parametrize("name", ["{tool}", "files.{tool}", "{tool}.call", "a.{tool}-b"])
def test_a_name_can_have_the_tool_in_it(name):
    """Anywhere, once; a path's `{tool}` is a capture all the same."""
    parsed = _parse(f'{{name: "{name}", match: {{path: "/{{tool}}", mcp.tool: [a, "b*"]}}, kind: read}}')
    assert not parsed.faults
    assert parsed.text.actions[0].name == name


def test_sensitivity_is_medium_and_the_rest_empty_unless_said():
    """An entry of a name, a match and a kind is complete."""
    parsed = _parse("{name: a, match: {path: /x}, kind: read}")
    assert not parsed.faults
    entry = parsed.text.actions[0]
    assert (entry.sensitivity, entry.stage, entry.service, entry.body, entry.cases) == ("medium", "", "", "", ())


@pytest.mark.parametrize(
    ("action", "message"),
    [
        ("{match: {path: /x}, kind: read}", ": `name` is missing"),
        ("{name: a, kind: read}", ": `match` is missing"),
        ("{name: a, match: {path: /x}}", ": `kind` is missing"),
        ("{name: unclassified, match: {path: /x}, kind: read}", ".name: `unclassified` is the name of what no entry fits"),
        ('{name: "files.{tool}", match: {path: /x}, kind: read}', ".name: `{tool}` stands for the tools of `mcp.tool`, and the match lists none"),
        ('{name: "files.{tol}", match: {mcp.tool: x}, kind: read}', ".name: `files.{tol}` is no name: A-Z a-z 0-9 _ . - and, once, `{tool}`"),
        ('{name: "{tool}.{tool}", match: {mcp.tool: x}, kind: read}', ".name: `{tool}.{tool}` is no name"),
        ('{name: "files{", match: {mcp.tool: x}, kind: read}', ".name: `files{` is no name"),
        ('{name: "files}", match: {mcp.tool: x}, kind: read}', ".name: `files}` is no name"),
        ('{name: "{{tool}}", match: {mcp.tool: x}, kind: read}', ".name: `{{tool}}` is no name"),
        ('{name: "fi les.{tool}", match: {mcp.tool: x}, kind: read}', ".name: `fi les.{tool}` is no name"),
        ('{name: "f.{tool}", match: {mcp.tool: [a, other]}, kind: read}', ".match.mcp.tool: `other` is what the tools are called that are not listed"),
        (f'{{name: "files.{{tool}}", match: {{mcp.tool: {"a" * 59}}}, kind: read}}', ".name: the name `files.aaa"),
        ('{name: "{tool}", match: {mcp.tool: unclassified}, kind: read}', ".name: with `unclassified` it can be `unclassified`"),
        ('{name: "{tool}", match: {mcp.tool: "*"}, kind: read}', ".name: with `*` it can be `unclassified`"),
        ('{name: "un{tool}", match: {mcp.tool: "cl*"}, kind: read}', ".name: with `cl*` it can be `unclassified`"),
        ("{name: a b, match: {path: /x}, kind: read}", ".name: `a b` is no name"),
        (f"{{name: {'a' * 65}, match: {{path: /x}}, kind: read}}", "is no name: 1 to 64 of"),
        ("{name: a, match: {path: /x}, kind: reed}", ".kind: unknown kind `reed`; did you mean `read`?"),
        ("{name: a, match: {path: /x}, kind: read, sensitivity: hihg}", ".sensitivity: unknown sensitivity `hihg`; did you mean `high`?"),
        ("{name: a, match: {path: /x}, kind: read, stage: colection}", ".stage: unknown stage `colection`; did you mean `collection`?"),
        ("{name: a, match: {path: /x}, kind: read, body: xml}", "unknown way to read a body `xml`"),
        ("{name: a, match: {path: /x}, kind: read, service: 'a b'}", ".service: the name of a service"),
        ("{name: a, match: {path: /x}, kind: read, sensitivty: low}", "unknown field of an action `sensitivty`; did you mean `sensitivity`?"),
        ("{name: a, match: {}, kind: read}", ".match: an empty match fits every request"),
        ("{name: a, match: {path: []}, kind: read}", ".match.path: an empty list matches nothing"),
        ("{name: a, match: {pth: /x}, kind: read}", ".match.pth: unknown key of a request match `pth`; did you mean `path`?"),
        ("{name: a, match: {mcp.arguments: {path: x}}, kind: read}", ".match.mcp.arguments: `mcp.arguments` is no key of a match: write it in the `when` of a rule"),
        ("{name: a, match: {mcp.tols: x}, kind: read}", ".match.mcp.tols: unknown key of a request match `mcp.tols`; did you mean `mcp.tool`?"),
        ("{name: a, match: {mcp.tool: a b}, kind: read}", ".match.mcp.tool: `a b`: a tool has 1 to 128 of A-Z a-z 0-9 _ . - and `*`"),
        (f"{{name: a, match: {{mcp.tool: {'a' * 129}}}, kind: read}}", ": a tool has 1 to 128 of"),
        ("{name: a, match: {mcp.tool: [a, 5]}, kind: read}", ".match.mcp.tool[1]: text is expected, not a number: quote it"),
        ("{name: a, match: {mcp.method: tools call}, kind: read}", ".match.mcp.method: `tools call`: a method of MCP is a name such as tools/call"),
        ("{name: a, match: {a2a.method: ü}, kind: read}", ".match.a2a.method: `ü`: a method of A2A is a name such as SendMessage"),
        ("{name: a, match: {a2a.agent: a b}, kind: read}", ".match.a2a.agent: `a b`: an agent has 1 to 256 visible ASCII characters"),
        ("{name: a, match: {mcp.tool: a, a2a.method: b}, kind: read}", ".match: a call is one of MCP or one of A2A"),
        ("{name: a, match: {mcp.tool: a, mcp.method: [tools/list, 'r*']}, kind: read}", ".match.mcp.method: only `tools/call` names a tool"),
        ("{name: a, match: {mcp.tool: a, method: GET}, kind: read}", ".match: every call of `mcp.*` is a POST"),
        ("{name: a, match: {a2a.method: a, grpc.service: b}, kind: read}", ".match: a gRPC call carries no call of `a2a.*`"),
        ("{name: a, match: {mcp.method: a, upgrade: h2c}, kind: read}", ".match: an upgrade carries no call of `mcp.*`"),
        ("{name: a, match: {mcp.method: a, upgrade: tcp}, kind: read}", ".match: an upgrade carries no call of `mcp.*`"),
        ("{name: a, match: {principal: x}, kind: read}", "unknown key of a request match `principal`"),
        ("{name: a, match: {host: Crm.example}, kind: read}", "a host is lower-case"),
        ("{name: a, match: {host: 'crm.example:8080'}, kind: read}", "without port"),
        ("{name: a, match: {host: crm.example.}, kind: read}", "without a dot at its end"),
        ("{name: a, match: {method: get}, kind: read}", "a method is an upper-case word"),
        ("{name: a, match: {method: '*'}, kind: read}", "a method is an upper-case word"),
        ("{name: a, match: {path: v1}, kind: read}", ".match.path: a path begins with `/`"),
        ("{name: a, match: {path: [/a, /b, /c*]}, kind: read}", ".match.path[2]: `c*`"),
        ("{name: a, match: {path: {x}}, kind: read}", ".match.path: text is expected, not a mapping: quote it"),
        ("{name: a, match: {header: {X-Id: a}}, kind: read}", ".match.header.X-Id: the name of a header is a lower-case token"),
        ("{name: a, match: {header: {x-id: 5}}, kind: read}", ".match.header.x-id: text is expected, not a number: quote it"),
        ("{name: a, match: {header: {}}, kind: read}", "an empty list of headers"),
        ("{name: a, match: {header: x-id}, kind: read}", "a mapping is expected, not text"),
        ("{name: a, match: {source: 10.0.0.1/8}, kind: read}", "bits behind its prefix; the network is 10.0.0.0/8"),
        ("{name: a, match: {grpc.service: a/b}, kind: read}", "a gRPC service is a name"),
        ("{name: a, match: {grpc.service: a.B, path: /x}, kind: read}", "a gRPC entry has no path"),
        ("{name: a, match: {grpc.service: a.B, method: GET}, kind: read}", "every gRPC call is a POST"),
        ("{name: a, match: {grpc.service: a.B, upgrade: h2c}, kind: read}", "a gRPC call is no upgrade"),
        ("{name: a, match: {method: CONNECT}, kind: read}", "CONNECT is classified by `upgrade: connect`"),
        ("{name: a, match: {upgrade: connect, path: /x}, kind: read}", "a CONNECT request has no path"),
        ("{name: a, match: {upgrade: tcp, path: /x}, kind: read}", "`tcp` stands for connections without HTTP"),
        ("{name: a, match: {upgrade: WebSocket}, kind: read}", "an upgrade is a lower-case token"),
        ("{name: a, match: {path: /x}, kind: read, cases: []}", "a list of 1 to 64 cases is expected, not 0 of them"),
        ("{name: a, match: {path: /x}, kind: read, cases: {method: GET}}", "a list of 1 to 64 cases is expected, not a mapping"),
        ("{name: a, match: {path: /x}, kind: read, cases: [{kind: write}]}", ".cases[0]: a case needs a condition"),
        ("{name: a, match: {path: /x}, kind: read, cases: [{method: GET}]}", ".cases[0]: a case refines kind, sensitivity or stage"),
        ("{name: a, match: {path: /x}, kind: read, cases: [{path: /y, kind: write}]}", "another path makes an entry of its own"),
        ("{name: a, match: {path: /x}, kind: read, cases: [{mcp.tool: a b, kind: write}]}", ".cases[0].mcp.tool: `a b`: a tool has"),
        ("{name: a, match: {path: /x}, kind: read, cases: [{mcp.arguments: a, kind: write}]}", ".cases[0].mcp.arguments: `mcp.arguments` is no key"),
        ("{name: a, match: {path: /x}, kind: read, cases: [{mcp.tool: a, a2a.agent: b, kind: write}]}", ".cases[0]: a call is one of MCP or one of A2A"),
        ("{name: a, match: {path: /x}, kind: read, cases: [{mcp.tool: a, method: PUT, kind: write}]}", ".cases[0]: every call of `mcp.*` is a POST"),
        ("{name: a, match: {path: /x, method: GET}, kind: read, cases: [{a2a.agent: a, kind: write}]}", ".cases[0]: every call of `a2a.*` is a POST"),
        ("{name: a, match: {grpc.service: a.B}, kind: read, cases: [{mcp.tool: a, kind: write}]}", ".cases[0]: a gRPC call carries no call of `mcp.*`"),
        ("{name: a, match: {upgrade: h2c}, kind: read, cases: [{mcp.tool: a, kind: write}]}", ".cases[0]: an upgrade carries no call of `mcp.*`"),
        ("[a]", ": a mapping is expected, not a list"),
    ],
)  # fmt: skip
def test_every_mistake_is_named_at_its_place(action, message):
    """One message per mistake, with the path of the value that is wrong."""
    assert any(message in fault for fault in _faults(action)), _faults(action)


def test_a_faulty_match_causes_no_second_fault():
    """What is left of it neither ties with another entry nor hides its name from the rules."""
    text = (
        "version: 1\nactions:\n  - {name: a, match: {path: v1}, kind: read}\n  - {name: b, match: {path: v2}, kind: read}\n"
        'rules:\n  - {name: r, match: {principal: "spiffe://**", action: [a, b]}, then: allow}\n'
    )
    parsed = parse_policy({"a.yaml": text.encode()})
    assert [fault.line for fault in parsed.faults] == [3, 4]
    assert [entry.name for entry in parsed.text.actions] == ["a", "b"]


def test_several_entries_may_share_a_name():
    """One action can have several routes."""
    text = "version: 1\nactions:\n  - {name: a, match: {path: /1}, kind: read}\n  - {name: a, match: {path: /2}, kind: write}\n"
    assert not parse_policy({"a.yaml": text.encode()}).faults
