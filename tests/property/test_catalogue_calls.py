"""Entries about calls (MCP, A2A) against their definition: the most specific that fits, and no way around a body."""

import json
import random
from fnmatch import fnmatchcase

from hypothesis import given, settings
from hypothesis import strategies as st

from authz_server.model import BodyState
from authz_server.policy.catalogue import Catalogue
from authz_server.policy.entries import ActionCase, ActionEntry, Defaults
from authz_server.policy.matches import RequestMatch
from authz_server.policy.tree import Where
from tests.calls import JSON, body_of, post, tool_body


def _some(*values, most=2):
    return st.lists(st.sampled_from(values), min_size=1, max_size=most, unique=True).map(tuple)


def _maybe(strategy):
    return st.one_of(st.just(()), strategy)


_PLAIN = {
    "host": _maybe(_some("a.x", "*.x", most=1)),
    "path": _maybe(_some("/p", "/*", most=1)),
    "header": _maybe(st.just((("x-a", ("1",)),))),
}
_TOOLS = _some("ta", "tb", "t*", "*b", most=3)
_CALLS = st.one_of(
    st.builds(RequestMatch, mcp_method=_maybe(st.just(("tools/call",))), mcp_tool=_TOOLS, **_PLAIN),
    st.builds(RequestMatch, mcp_method=_some("tools/call", "tools/*", "ping", "*"), **_PLAIN),
    st.builds(RequestMatch, a2a_method=_some("Send", "S*"), a2a_agent=_maybe(_some("g", most=1)), **_PLAIN),
)
_OTHERS = st.builds(RequestMatch, method=_maybe(_some("GET", "POST")), **_PLAIN)
_ENTRIES = st.lists(st.tuples(st.one_of(_CALLS, _CALLS, _OTHERS), st.booleans(), st.booleans()), min_size=1, max_size=6)
_BODIES = [
    (tool_body("ta"), ""), (tool_body("tb"), ""), (tool_body("tc"), ""), (tool_body("u"), ""), (body_of("ping"), ""),
    (body_of("tools/list"), ""), (body_of("Send"), ""), (body_of("Sx", params={"tenant": "g"}), ""),
    (b"\xff", "json_not_utf8"), (b"[]", "rpc_batch"), (b"{}", "rpc_version"), (tool_body("t b"), "rpc_tool_invalid"),
]  # fmt: skip
_CASE = ActionCase(RequestMatch(mcp_tool=("tb",)), "delete", "", "", Where(0, ""))


def _entry(index, match, named, refined):
    name = f"e{index}.{{tool}}" if named and match.mcp_tool else f"e{index}"
    cases = (_CASE,) if refined else ()
    return ActionEntry(name, match, "write", "low", "", "", "", cases, Where(index + 1, "e", Where(0, "f.yaml")))


def _requests(rng, count=30):
    """(request, the code that its body deserves)."""
    for _ in range(count):
        body, code = rng.choice(_BODIES)
        headers = {**JSON, "x-a": rng.choice("12")}
        request = post(
            body, host=rng.choice(["a.x", "b.x", "c.y"]), path=rng.choice(["/p", "/q", "/p/q"]), headers=headers
        )
        kind = rng.random()
        if kind < 0.1:
            yield request._replace(method=rng.choice(["GET", "PUT"])), code
        elif kind < 0.2:
            yield request._replace(body_state=BodyState.PARTIAL), "body_partial"
        else:
            yield request, code


# The definition, as slow and as plain as possible.


def _ways(entry):
    """(conditions, patterns of methods, patterns of tools, name) of each of the two ways that a template has."""
    match = entry.match
    methods = ("tools/call",) if match.mcp_tool else (*match.mcp_method, *match.a2a_method)
    yield methods, match.mcp_tool, entry.name
    if "{tool}" in entry.name:
        yield ("tools/call",), (), entry.name.replace("{tool}", "other")


def _rank(entry, methods, tools, request):
    """The rank of a way whose conditions beside the call hold, else None."""
    match = entry.match
    call = bool(methods or tools or match.a2a_agent)
    allowed = ("POST",) if call else match.method
    if (allowed and request.method not in allowed) or (match.header and request.headers["x-a"] != "1"):
        return None
    if match.host and not fnmatchcase(request.host, match.host[0]):
        return None
    if match.path and not (match.path[0] == request.path or (match.path[0] == "/*" and request.path.count("/") == 1)):
        return None
    host = 0 if not match.host else 1 if "*" in match.host[0] else 2
    path = 0 if not match.path else 2 if "*" in match.path[0] else 4
    weight = bool(match.header) + bool(methods) + bool(tools) + bool(match.a2a_agent)
    return host, path, bool(allowed), weight


def _fits_call(entry, methods, tools, rpc):
    def fits(value, patterns):
        return not patterns or (value != "" and any(fnmatchcase(value, pattern) for pattern in patterns))

    agent = rpc.get("params", {}).get("tenant", "")
    return fits(rpc["method"], methods) and fits(_tool(rpc), tools) and fits(agent, entry.match.a2a_agent)


def _tool(rpc):
    return rpc["params"]["name"] if rpc["method"] == "tools/call" else ""


def _best(entries, request, rpc):
    """The most specific ways that fit: (entry, methods, tools, name); rpc None stands for a call that is not read."""
    found = []
    for entry in entries:
        for methods, tools, name in _ways(entry):
            rank = _rank(entry, methods, tools, request)
            if rank is not None and (rpc is None or _fits_call(entry, methods, tools, rpc)):
                found.append((rank, (entry, methods, tools, name)))
    best = max((rank for rank, _ in found), default=None)
    return [way for rank, way in found if rank == best]


def _reads(way, request):
    entry, methods, tools, _ = way
    return request.method == "POST" and bool(methods or tools or entry.match.a2a_agent or entry.cases)


def _expected(entries, request, code):
    """(name, refused) or None where the definition leaves it open; then there is a fault."""
    ways = _best(entries, request, None)
    if len({_reads(way, request) for way in ways}) > 1:
        return None
    rpc = None
    if ways and _reads(ways[0], request):
        if code:
            return "unclassified", "", code
        rpc = json.loads(request.body)
        ways = _best(entries, request, rpc)
    if len({way[0].name for way in ways}) > 1:
        return None
    if not ways:
        return "unclassified", "write", ""
    tool = _tool(rpc) if rpc is not None else ""
    return ways[0][3].replace("{tool}", tool), "delete" if tool == "tb" and ways[0][0].cases else "write", ""


@settings(deadline=None, max_examples=300)
@given(_ENTRIES, st.integers(0, 2**32))
def test_the_most_specific_entry_wins_and_no_body_is_a_way_around_it(parts, seed):
    """Index and definition agree in any order of entries; every answer was announced; broken bodies are refused."""
    rng = random.Random(seed)
    entries = [_entry(index, *part) for index, part in enumerate(parts)]
    catalogue, faults = Catalogue.compile(entries, Defaults())
    other, other_faults = Catalogue.compile(rng.sample(entries, len(entries)), Defaults())
    assert sorted(faults) == sorted(other_faults)
    for request, code in _requests(rng):
        expected = _expected(entries, request, code)
        if expected is None:
            assert faults
            continue
        found = catalogue.classify(request)
        name, kind, refused = expected
        assert (found.action.name, found.refused) == (name, refused)
        assert refused or found.action.kind == kind
        if not faults:
            assert other.classify(request) == found
        if name != "unclassified":
            assert catalogue.fits(name)
            assert found.action in catalogue.variants_of(name)
