"""The catalogue against its definition: the most specific entry that fits, whatever the order of the entries."""

import random
from fnmatch import fnmatchcase
from ipaddress import ip_address, ip_network

from hypothesis import given, settings
from hypothesis import strategies as st

from authz_server.model import BodyState, Request
from authz_server.policy.catalogue import Catalogue
from authz_server.policy.entries import ActionCase, ActionEntry, Defaults, RequestMatch
from authz_server.policy.tree import Where

_HOSTS = ("a.x", "b.x", "a.y")
_SEGMENTS = ("s", "t", "svc.A", "Get")
_HEADERS = ("x-a", "x-b")
_GRPC = "application/grpc"


def _some(values, most=2):
    return st.lists(st.sampled_from(values), min_size=1, max_size=most, unique=True).map(tuple)


def _maybe(strategy):
    return st.one_of(st.just(()), strategy)


_PATHS = st.lists(st.sampled_from([*_SEGMENTS[:2], "{p}", "*"]), max_size=3).flatmap(
    lambda parts: st.sampled_from(["/" + "/".join(parts), "/" + "/".join([*parts, "**"])])
)
_PATH = _PATHS.filter(lambda path: path.count("{p}") < 2)
_HEADER = _maybe(st.tuples(st.tuples(st.sampled_from(_HEADERS), _some(("1", "2", "*"), 1))))
_CONDITIONS = {
    "host": _maybe(_some((*_HOSTS, "*.x", "a.*", "*"))),
    "method": _maybe(_some(("GET", "POST", "HEAD"))),
    "header": _HEADER,
    "source": _maybe(_some(("10.0.0.0/8", "10.1.0.0/16", "192.0.2.1"), 1)),
}
_MATCHES = st.one_of(
    st.builds(
        RequestMatch, path=_maybe(st.lists(_PATH, min_size=1, max_size=2, unique=True).map(tuple)), **_CONDITIONS
    ),
    st.builds(
        RequestMatch,
        grpc_service=_some(("svc.A", "svc.*", "s")),
        grpc_method=_maybe(_some(("Get", "G*", "t"))),
        **{**_CONDITIONS, "method": st.just(())},
    ),
)
_CASES = st.lists(st.tuples(_some(("GET", "POST")), st.sampled_from(("read", "exec"))), max_size=2)
_METHODS = ("GET", "POST", "HEAD", "PUT")
_SOURCES = ("10.1.0.1", "10.2.0.1", "192.0.2.1", "")


def _requests(entries, rng, count=40):
    """Requests near the entries: most conditions of one of them hold, the rest is drawn."""
    return [_near(rng.choice(entries).match, rng) for _ in range(count)]


def _near(match, rng) -> Request:
    host = rng.choice([*(host for host in match.host if "*" not in host), *_HOSTS, "c.z"])
    method = rng.choice([*match.method, *match.method, *_METHODS])
    if match.grpc_service or match.grpc_method:
        method = rng.choice(["POST", "POST", "GET"])
        path = f"/{rng.choice(['svc.A', 'svc.B', 's'])}/{rng.choice(['Get', 'Go', 't'])}"
    else:
        path = rng.choice([*match.path, *match.path, "/s/t"]).replace("**", rng.choice(["", "s", "s/t"]))
        path = "/" + "/".join(part if part in _SEGMENTS else rng.choice(_SEGMENTS) for part in path.split("/") if part)
    headers = {name: rng.choice(["1", "2", ""]) for name in _HEADERS if rng.random() < 0.7}
    if rng.random() < 0.5:
        headers["content-type"] = _GRPC
    return Request(
        "http", method, path, path, "", host, headers, {}, b"", BodyState.ABSENT, "", rng.choice(_SOURCES), "", "", "", "", "", {}, {}, (), (), ""
    )  # fmt: skip


def _entries(matches, cases):
    return [
        ActionEntry(
            f"e{index}", match, "write", "low", "", "", "",
            tuple(ActionCase(RequestMatch(method=methods), kind, "", "", Where(0, "")) for methods, kind in cases),
            Where(index + 1, "e", Where(0, "f.yaml")),
        )
        for index, match in enumerate(matches)
    ]  # fmt: skip


# The definition, as slow and as plain as possible.


def _methods_fit(methods, method):
    return not methods or method in methods or (method == "HEAD" and "GET" in methods)


def _path_rank(pattern, path):
    """The kinds of the segments if the pattern fits the path, else None."""
    parts = [part for part in pattern.split("/") if part]
    segments = [part for part in path.split("/") if part]
    rank = []
    for index, part in enumerate(parts):
        if part == "**":
            return (*rank, 1)
        if index >= len(segments) or (part not in ("*", "{p}") and part != segments[index]):
            return None
        rank.append({"*": 2, "{p}": 3}.get(part, 4))
    return (*rank, 5) if len(parts) == len(segments) else None


def _ranks(match: RequestMatch, request: Request):
    """The ranks of all ways in which the entry fits the request."""
    if not _methods_fit(match.method, request.method):
        return
    for name, patterns in match.header:
        value = request.headers.get(name, "")
        if not value or not any(fnmatchcase(value, pattern) for pattern in patterns):
            return
    if match.source and not (
        request.source_address and any(ip_address(request.source_address) in ip_network(net) for net in match.source)
    ):
        return
    weight = len(match.header) + bool(match.source) + bool(match.grpc_service) + bool(match.grpc_method)
    grpc = bool(match.grpc_service or match.grpc_method)
    if grpc and request.method != "POST":
        return
    for host in match.host or ("",):
        if host and not fnmatchcase(request.host, host):
            continue
        host_rank = 0 if not host else 1 if "*" in host else 2
        for path_rank in _path_ranks(match, request, grpc):
            yield host_rank, path_rank, bool(match.method), weight


def _path_ranks(match, request, grpc):
    if grpc:
        pieces = request.path.split("/")
        if len(pieces) != 3:
            return
        for service in match.grpc_service or ("*",):
            for rpc in match.grpc_method or ("*",):
                if fnmatchcase(pieces[1], service) and fnmatchcase(pieces[2], rpc):
                    yield 2 if "*" in service else 4, 2 if "*" in rpc else 4, 5
    elif match.path:
        for pattern in match.path:
            rank = _path_rank(pattern, request.path)
            if rank is not None:
                yield rank
    else:
        yield (0,)


def _best(entries, request):
    """(rank, entries of that rank) of the most specific entries that fit."""
    found = [(rank, entry) for entry in entries for rank in _ranks(entry.match, request)]
    best = max((rank for rank, _ in found), default=None)
    return best, {entry.name for rank, entry in found if rank == best}


def _hides(entry, request):
    """Whether the request is a call of a gRPC entry under another content type."""
    grpc = entry.match.grpc_service or entry.match.grpc_method
    return bool(grpc) and request.headers.get("content-type") != _GRPC


def _kind(cases, method):
    return next((kind for methods, kind in cases if _methods_fit(methods, method)), "write")


@settings(deadline=None)
@given(st.lists(_MATCHES, min_size=2, max_size=7), _CASES, st.integers(0, 2**32))
def test_the_most_specific_entry_wins_in_any_order(matches, cases, seed):
    """Index and definition agree on every request, a shuffled catalogue answers the same, and ties were announced."""
    rng = random.Random(seed)
    entries = _entries(matches, cases)
    catalogue, faults = Catalogue.compile(entries, Defaults())
    shuffled = rng.sample(entries, len(entries))
    other, other_faults = Catalogue.compile(shuffled, Defaults())
    assert sorted(faults) == sorted(other_faults)
    for request in _requests(entries, rng):
        best, winners = _best(entries, request)
        if len(winners) > 1:
            assert faults
            continue
        classified = catalogue.classify(request)
        if not faults:
            assert classified == other.classify(request)
        if any(_hides(entry, request) for entry in entries if entry.name in winners):
            assert classified[::2] == (catalogue.unclassified, "grpc_content_type")
            continue
        assert classified.refused == ""
        assert classified.action.name == (winners.pop() if best is not None else "unclassified")
        assert best is None or classified.action.kind == _kind(cases, request.method)


@settings(deadline=None)
@given(st.lists(_MATCHES, min_size=1, max_size=5), st.integers(0, 2**32))
def test_what_is_classified_is_announced(matches, seed):
    """Every answer is among the variants of its name, and has the captures that the name always has."""
    entries = _entries(matches, [])
    catalogue, _ = Catalogue.compile(entries, Defaults())
    for request in _requests(entries, random.Random(seed)):
        classified = catalogue.classify(request)
        name = classified.action.name
        if name == "unclassified":
            assert classified.action == catalogue.unclassified
            continue
        assert classified.action in catalogue.variants_of(name)
        assert catalogue.captures_of(name) <= set(classified.captures) <= catalogue.some_captures_of(name)
