"""Semantics 6 to 8 of the policy language: what a request is, and what conditions may say about it."""

import pytest

from authz_server.verdict import Decision, Reason
from tests.semantics.world import ACTIONS, AGENT, ALLOWED, World, faults

BASE = ACTIONS + ALLOWED


def rule(line):
    return BASE + f"  - {{name: r, {line}}}\n"


SPECIFIC = """
version: 1
actions:
  - {name: any,    match: {host: "*.corp.example", path: "/docs/**"}, kind: write}
  - {name: host,   match: {host: docs.corp.example, path: "/docs/**"}, kind: read}
  - {name: one,    match: {host: docs.corp.example, path: "/docs/{doc}"}, kind: read}
  - {name: latest, match: {host: docs.corp.example, path: /docs/latest}, kind: read}
  - {name: put,    match: {host: docs.corp.example, path: /docs/latest, method: PUT}, kind: write}
  - {name: get,    match: {host: docs.corp.example, path: /get, method: GET}, kind: read}
"""


@pytest.mark.parametrize(
    ("host", "method", "path", "name"),
    [
        ("x.corp.example", "GET", "/docs/latest", "any"),
        ("docs.corp.example", "GET", "/docs/a/b", "host"),
        ("docs.corp.example", "GET", "/docs/a", "one"),
        ("docs.corp.example", "GET", "/docs/latest", "latest"),
        ("docs.corp.example", "PUT", "/docs/latest", "put"),
        ("docs.corp.example", "HEAD", "/get", "get"),
        ("docs.corp.example", "GET", "/get/", "get"),
        ("docs.corp.example", "POST", "/get", "unclassified"),
    ],
)
def test_06_the_most_specific_entry_wins_wherever_it_stands(host, method, path, name):
    """Host before path before method; HEAD is GET, and a trailing slash changes nothing."""
    lines = SPECIFIC.splitlines(keepends=True)
    for text in (SPECIFIC, "".join([*lines[:3], *reversed(lines[3:])])):
        assert World(text + "rules: []\n").step(path, method, host=host).action == name


def test_06_a_tie_is_refused():
    """Two entries that fit the same requests equally well have no order."""
    more = '  - {name: same, match: {host: docs.corp.example, path: "/docs/{other}"}, kind: write}\nrules: []\n'
    assert any("same" in fault and "one" in fault for fault in faults(SPECIFIC + more))


def test_06_unclassified_is_meant_by_that_word_only():
    """Neither `*` nor a kind allows it; a restricting rule without a match touches it."""
    world = World(ACTIONS + 'rules: [{name: all, match: {principal: "spiffe://**", action: "*"}, then: allow}]\n')
    assert world.step("/nothing").reason is Reason.NO_MATCH
    world = World(
        ACTIONS + 'rules: [{name: rest, match: {principal: "spiffe://**", action: unclassified}, then: allow}]\n'
    )
    assert (world.step("/nothing").rule, world.step().decision) == ("rest", Decision.DENY)
    assert World(rule("match: {action.kind: write}, then: deny")).step("/nothing").rule == "r"


def test_06_a_method_cannot_be_overridden_behind_the_catalogue():
    """What the destination would take for another method is refused."""
    verdict = World(BASE).step(headers=(("x-http-method-override", "DELETE"),))
    assert (verdict.decision, verdict.reason) == (Decision.DENY, Reason.DECODE_ERROR)


@pytest.mark.parametrize(
    ("tool", "name", "kind"),
    [("read_x", "files.read_x", "read"), ("delete_x", "files.delete_x", "delete"), ("shell", "files.other", "write")],
)
def test_06_listed_tools_have_names_and_cases_the_others_share_one(tool, name, kind):
    """`cases` refine kind, sensitivity and stage, in their order."""
    world = World(rule(f"match: {{action: '{name}', action.kind: {kind}}}, then: deny"))
    verdict = world.tool(tool)
    if name == "files.other":
        assert verdict.action in {name, "unclassified"}
    else:
        assert (verdict.action, verdict.rule) == (name, "r")


def test_06_upgrades_are_denied_unless_an_entry_classifies_them():
    """One check is all that a connection gets."""
    headers = (("connection", "upgrade"), ("upgrade", "websocket"))
    assert World(BASE).step(headers=headers).decision is Decision.DENY
    entry = "  - {name: ws, match: {host: docs.corp.example, path: /docs/7, upgrade: websocket}, kind: read}\n"
    assert World(ACTIONS + entry + ALLOWED).step(headers=headers).action == "ws"


def test_06_a_body_is_read_where_the_entry_says_so():
    """`body: json` refuses what is no whole JSON document."""
    world = World(rule("match: {action: doc.write}, when: request.json.amount > 5, then: deny"))
    assert world.write({"amount": 5}).decision is Decision.ALLOW
    assert world.write({"amount": 6}).rule == "r"
    assert world.step("/docs/7", "PUT", headers=(("content-length", "0"),)).detail == "body_absent"
    assert world.step("/docs/7", "PUT").detail == "body_unavailable"
    assert "`body: json`" in faults(rule("match: {action: doc.read}, when: request.json.a == 1, then: deny"))[0]


@pytest.mark.parametrize(
    "condition",
    [
        "signals.calls",
        "request.path < 'b'",
        "action.kind == 'reed'",
        "request.path.matches('a')",
        "has(principal.id)",
        "request.headers['X-A'] == 'b'",
        "path.other == '1'",
        "request.headers.all(a, request.headers.all(b, a == b))",
        "nothing == 1",
        "request.path",
    ],
)
def test_07_a_condition_that_would_never_do_what_it_says_is_refused(condition):
    """At load, each by itself, with its place."""
    (fault,) = faults(rule(f'match: {{action: doc.read}}, when: "{condition}", then: deny'))[:1]
    assert fault.startswith("policy.yaml:14: rules[1].when: ")


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("credential.id == '' && task.depth == 0 && !task.covers", True),
        ('request.headers[?"x-a"].orValue("none") == "none"', True),
        ('metadata[?"a"].?b.?c.orValue("none") == "none"', True),
        ("under(request.path, '/docs')", True),
        ("under(request.path, '/doc')", False),
        ("request.size + 1 == 1", True),
    ],
)
def test_07_closed_facts_are_always_there_and_open_maps_have_defaults(condition, holds):
    """Absent is empty, 0 or false, and never an error."""
    world = World(rule(f"when: '{condition.replace(chr(39), chr(34))}', then: deny"))
    assert (world.step().rule == "r") is holds


def test_07_a_plain_index_of_a_missing_key_is_an_error():
    """Which denies, as semantics 11 says."""
    verdict = World(rule('when: \'request.headers["x-a"] == "b"\', then: deny')).step()
    assert verdict.reason is Reason.EVALUATION_ERROR


@pytest.mark.parametrize(
    ("fact", "value"),
    [
        ("principal.id", AGENT),
        ("principal.trust_domain", "corp.example"),
        ("principal.namespace", "agents"),
        ("principal.service_account", "a1"),
        ("principal.authenticated_by", "principal"),
        ("source.address", "10.1.2.3"),
        ("destination.service", "docs/api"),
        ("destination.host", "docs.corp.example"),
        ("request.query", "a=b"),
        ("action.name", "doc.read"),
        ("path.doc", "7"),
        ("lineage", AGENT),
        ("context.zone", "eu"),
        ("facts.twice", "77"),
        ("vars.word", "said"),
    ],
)
def test_08_facts_say_what_a_step_is(fact, value):
    """Each under its one name."""
    more = "facts: {twice: path.doc + path.doc}\nvars: {word: said}\n"
    world = World(more.join(["\n", rule(f"match: {{action: doc.read}}, when: '{fact} == \"{value}\"', then: deny")]))
    assert world.step("/docs/7?a=b", context={"zone": "eu", "authz.service": "docs/api"}).rule == "r"


@pytest.mark.parametrize(
    ("more", "service"),
    [
        ({"service": "named", "destination_principal": "spiffe://corp.example/ns/docs/sa/api"}, "named"),
        ({"destination_principal": "spiffe://corp.example/ns/docs/sa/api"}, "docs/api"),
        ({}, "catalogued"),
    ],
)
def test_08_a_destination_is_never_what_the_caller_says(more, service):
    """The route's name, else the identity of the workload, else the catalogue's; not the Host header."""
    text = BASE.replace('path: "/docs/{doc}"}, kind: read}', 'path: "/docs/{doc}"}, kind: read, service: catalogued}')
    world = World(text + f"  - {{name: r, match: {{destination: '{service}'}}, then: deny}}\n")
    assert world.step(**more).rule == "r"
