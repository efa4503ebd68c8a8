"""The catalogue: what a request is, by the most specific entry that fits it, wherever that entry stands.

Specificity, the first difference decides: exact host, pattern host, no host; the path segment by segment (literal, `{x}`,
`*`, `**`, no path at all); a method named or not; the number of further conditions (each header, source, gRPC service and
method). Two entries that are equal in all of it and can fit one request are a fault: no order of files decides anything.

A gRPC entry is an entry with the path `/service/method` (gRPC over HTTP/2, section Requests), so that one index serves both.
Upgrades (RFC 9110, 7.8), CONNECT (9.3.6) and connections that carry no HTTP are checked once and live for long: only an
entry that names them in `upgrade` classifies them (`tcp` for the last, by SNI and source), and without one they are refused.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations, groupby
from types import MappingProxyType
from typing import Final

from authz_server.errors import Fault
from authz_server.model import Action, Request
from authz_server.policy.entries import ActionEntry, Defaults, RequestMatch
from authz_server.policy.facts import UNCLASSIFIED
from authz_server.policy.paths import ANY_SEGMENT, Segment, SegmentKind, parse_path
from authz_server.policy.patterns import compile_globs
from authz_server.policy.request_test import RequestTest
from authz_server.policy.routes import NO_CAPTURES, Classified, HostIndex, Outcome, PathTree, Route

MAX_ROUTES: Final = 100_000
"""Combinations of host, path and upgrade in one catalogue, about 1 kB each."""
MAX_ROUTES_PER_PATH: Final = 256
"""Entries that share host and path are tried one after the other, 0.2 µs each."""

TCP: Final = "tcp"
CONNECT: Final = "connect"


class Catalogue:
    """All entries of a policy, compiled. Immutable.

    Attributes:
        actions: for each name the action of one of its entries, without refinement by cases.
        capture_names: every `{x}` of every path.
        unclassified: the action of requests that no entry fits.
    """

    __slots__ = (
        "_captures",
        "_plain",
        "_some_captures",
        "_tcp",
        "_unknown",
        "_upgrades",
        "_variants",
        "actions",
        "capture_names",
        "unclassified",
    )

    def __init__(self, entries: Sequence[ActionEntry], unclassified: Action) -> None:
        """Index the entries; `compile` also reports what is wrong with them.

        Raises:
            ValueError: a pattern is malformed, or the entries make more than 100 000 routes.
        """
        self.unclassified = unclassified
        self._unknown = Classified(unclassified, NO_CAPTURES, "")
        self._plain = HostIndex()
        self._tcp = HostIndex()
        self._upgrades: dict[str, HostIndex] = {}
        variants: dict[str, set[Action]] = {}
        captures: dict[str, list[frozenset[str]]] = {}
        base: dict[str, Action] = {}
        routes = 0
        for entry in entries:
            action, cases = outcome = _outcome(entry)
            variants.setdefault(entry.name, set()).update((action, *(refined for _, refined in cases)))
            base[entry.name] = min(action, base.get(entry.name, action))
            for tree, segments, route in self._routes(entry, outcome):
                tree.add(segments, route)
                captures.setdefault(entry.name, []).append(frozenset(name for name, _ in route.captures))
                routes += 1
                if routes > MAX_ROUTES:
                    raise ValueError(f"the catalogue has more than {MAX_ROUTES} combinations of host, path and upgrade")
        for tree in self._trees():
            tree.sort()
        self.actions: Mapping[str, Action] = MappingProxyType(base)
        self._variants = {name: tuple(sorted(found)) for name, found in variants.items()}
        self._captures = {name: frozenset.intersection(*found) for name, found in captures.items()}
        self._some_captures = {name: frozenset.union(*found) for name, found in captures.items()}
        self.capture_names = frozenset().union(*self._some_captures.values())

    @classmethod
    def compile(cls, entries: Sequence[ActionEntry], defaults: Defaults) -> "tuple[Catalogue, list[Fault]]":
        """Compile the entries of a policy.

        Args:
            entries: validated; their order means nothing.
            defaults: what an unclassified request counts as.

        Returns:
            The catalogue and its faults: entries that fit the same requests equally well, and paths with too many.
        """
        unclassified = Action(UNCLASSIFIED, defaults.unclassified_kind, "", defaults.unclassified_sensitivity)
        try:
            catalogue = cls(entries, unclassified)
        except ValueError as error:
            return cls((), unclassified), [entries[0].where.fault(str(error))]
        found: dict[tuple[int, int], Fault] = {}
        for tree in catalogue._trees():
            for group in tree.groups():
                if len(group) > MAX_ROUTES_PER_PATH:
                    message = f"more than {MAX_ROUTES_PER_PATH} entries share this host and path"
                    found.setdefault((id(group[0]), 0), group[0].entry.where.fault(message))
                    continue
                found.update(_ties(group))
        return catalogue, list(found.values())

    def classify(self, request: Request) -> Classified:
        """Classify a decoded request; `unclassified` when no entry fits."""
        headers = request.headers
        if "x-http-method-override" in headers or "x-http-method" in headers or "x-method-override" in headers:
            # The upstream would do something else than what is classified here. Decoded requests never have one of these;
            # requests that were built for a test or out of a trace may.
            return Classified(self.unclassified, NO_CAPTURES, "method_override")
        if request.upgrade or request.protocol != "http" or request.method == "CONNECT":
            return self._classify_long_lived(request)
        return self._plain.classify(request, request.host, request.path) or self._unknown

    def _classify_long_lived(self, request: Request) -> Classified:
        if request.protocol != "http":
            # The name of a TLS handshake is spelt as the client likes (RFC 6066, section 3).
            name = request.destination_service.lower().removesuffix(".")
            found = self._tcp.classify(request, name, "")
            return found or Classified(self.unclassified, NO_CAPTURES, "tcp_unclassified")
        hosts = self._upgrades.get(request.upgrade)
        if hosts is not None and (request.method == "CONNECT") == (request.upgrade == CONNECT):
            found = hosts.classify(request, request.host, request.path)
            if found is not None:
                return found
        return Classified(self.unclassified, NO_CAPTURES, "upgrade_unclassified")

    def variants_of(self, name: str) -> tuple[Action, ...]:
        """Every action that `classify` can return under a name: of all its entries, with and without their cases."""
        return self._variants.get(name, ())

    def captures_of(self, name: str) -> frozenset[str]:
        """The path captures that every request of an action has."""
        return self._captures.get(name, frozenset())

    def some_captures_of(self, name: str) -> frozenset[str]:
        """The path captures that some request of an action has."""
        return self._some_captures.get(name, frozenset())

    def _routes(
        self, entry: ActionEntry, outcome: Outcome
    ) -> Iterator[tuple[PathTree, tuple[Segment, ...] | None, Route]]:
        match = entry.match
        for hosts in self._hosts_of(match.upgrade):
            for tree, patterns in hosts.trees(match):
                host = compile_globs(patterns) if patterns else None
                for segments, narrowed in _paths(match):
                    yield tree, segments, Route(entry, host, RequestTest(narrowed), segments or (), outcome)

    def _hosts_of(self, upgrades: Sequence[str]) -> list[HostIndex]:
        if not upgrades:
            return [self._plain]
        return [
            self._tcp if upgrade == TCP else self._upgrades.setdefault(upgrade, HostIndex())
            for upgrade in dict.fromkeys(upgrades)
        ]

    def _trees(self) -> Iterator[PathTree]:
        for hosts in (self._plain, self._tcp, *self._upgrades.values()):
            yield from hosts.all()


def _outcome(entry: ActionEntry) -> Outcome:
    """The action of an entry, and those of its cases in their order."""
    action = Action(entry.name, entry.kind, entry.stage, entry.sensitivity, entry.service, entry.body)
    cases = tuple(
        (
            RequestTest(case.match),
            action._replace(
                kind=case.kind or action.kind,
                stage=case.stage or action.stage,
                sensitivity=case.sensitivity or action.sensitivity,
            ),
        )
        for case in entry.cases
    )
    return action, cases


def _paths(match: RequestMatch) -> Iterator[tuple[tuple[Segment, ...] | None, RequestMatch]]:
    """The paths of an entry, each with the conditions that hold on it; None stands for any path and none."""
    if not match.grpc_service and not match.grpc_method:
        for path in dict.fromkeys(match.path):
            yield parse_path(path), match
        if not match.path:
            yield None, match
        return
    for service, services in _grpc_segments(match.grpc_service):
        for rpc, rpcs in _grpc_segments(match.grpc_method):
            yield (service, rpc), replace(match, grpc_service=services, grpc_method=rpcs)


def _grpc_segments(patterns: Sequence[str]) -> Iterator[tuple[Segment, tuple[str, ...]]]:
    """The path segments that a list of gRPC names stands for, each with the names that are meant there."""
    for pattern in dict.fromkeys(patterns):
        if "*" not in pattern:
            yield Segment(SegmentKind.LITERAL, pattern), (pattern,)
    globs = tuple(pattern for pattern in patterns if "*" in pattern)
    if globs or not patterns:
        yield ANY_SEGMENT, globs


def _ties(group: Sequence[Route]) -> Iterator[tuple[tuple[int, int], Fault]]:
    """The faults of routes that share a path and are sorted by rank, by the entries they are about."""
    for _, equals in groupby(group, key=lambda route: route.rank):
        for one, two in combinations(equals, 2):
            first, second = sorted((one.entry, two.entry), key=lambda entry: (entry.where.file, entry.where.line))
            if first is second:
                if one.captures != two.captures:
                    message = f"`{first.name}` has the same path twice with different names in `{{…}}`"
                    yield (id(first), id(second)), first.where.fault(message, "match", "path")
            elif one.overlaps(two):
                message = (
                    f"`{second.name}` and `{first.name}` ({first.where.place()}) fit the same requests equally well; "
                    "make one of them more specific"
                )
                yield (id(first), id(second)), second.where.fault(message, "match")
