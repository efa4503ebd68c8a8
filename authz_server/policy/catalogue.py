"""The catalogue: what a request is, by the most specific entry that fits it, wherever that entry stands.

Specificity, the first difference decides: exact host, pattern host, no host; the path segment by segment (literal, `{x}`,
`*`, `**`, no path at all); a method named or not; the number of further conditions (each header, source, gRPC service and
method, MCP or A2A method, tool, agent). Two entries that are equal in all of it and can fit one request are a fault: no
order of files decides anything.

An entry with a condition on the call in the body (MCP, A2A) is one for POST requests, and `mcp.tool` is a condition on the
method too. With `{tool}` in its name it is two entries: one for the tools that it lists, and one without that condition.

A gRPC entry is an entry with the path `/service/method` (gRPC over HTTP/2, section Requests), so that one index serves both.
Upgrades (RFC 9110, 7.8), CONNECT (9.3.6) and connections that carry no HTTP are checked once and live for long: only an
entry that names them in `upgrade` classifies them (`tcp` for the last, by SNI and source), and without one they are refused.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from authz_server.content.mcp import TOOLS_CALL
from authz_server.content.rpc import read_rpc, split_batch
from authz_server.errors import DecodeError, Fault
from authz_server.model import Action, Request
from authz_server.policy.action_table import ActionTable
from authz_server.policy.catalogue_faults import find_faults
from authz_server.policy.entries import ActionEntry, Defaults
from authz_server.policy.matches import RequestMatch
from authz_server.policy.names import TOOL
from authz_server.policy.outcomes import Outcome, Tools, outcome_of
from authz_server.policy.paths import ANY_SEGMENT, Segment, SegmentKind, parse_path
from authz_server.policy.patterns import compile_globs
from authz_server.policy.request_test import RequestTest
from authz_server.policy.route_index import HostIndex, PathTree
from authz_server.policy.routes import NO_CAPTURES, UNREAD, Classified, Route
from authz_server.policy.step import UNCLASSIFIED

MAX_ROUTES: Final = 100_000
"""Combinations of host, path and upgrade in one catalogue, about 1 kB each."""

TCP: Final = "tcp"
CONNECT: Final = "connect"

UNCLASSIFIED_CODES: Final = frozenset({"method_override", "tcp_unclassified", "upgrade_unclassified"})
"""What `Classified.refused` says of requests that need an entry and have none; every other code is about the body."""


class Catalogue:
    """All entries of a policy, compiled. Immutable, but for a bounded memory of the tools that were called.

    Attributes:
        actions: for each name that is known at load the action of one of its entries, without refinement by cases.
        families: patterns of the names that are made when a tool is called, such as `files.read_*`; each is itself the
            name of what is made of it beyond `MAX_MADE_NAMES`.
        names: of both; `variants_of` and its like know each of them.
        capture_names: every `{x}` of every path.
        unclassified: the action of requests that no entry fits.
    """

    __slots__ = (
        "_plain",
        "_table",
        "_tcp",
        "_unknown",
        "_upgrades",
        "actions",
        "capture_names",
        "families",
        "names",
        "unclassified",
    )

    def __init__(self, entries: Sequence[ActionEntry], unclassified: Action, named: Collection[str] = ()) -> None:
        """Index the entries; `compile` also reports what is wrong with them.

        Raises:
            ValueError: a pattern is malformed, or the entries make more than 100 000 routes.
        """
        self.unclassified = unclassified
        self._unknown = Classified(unclassified, NO_CAPTURES, "")
        self._plain = HostIndex()
        self._tcp = HostIndex()
        self._upgrades: dict[str, HostIndex] = {}
        self._table = ActionTable(entries)
        routes = 0
        for entry in entries:
            outcome = outcome_of(entry)
            tools = Tools(entry, outcome, named) if TOOL in entry.name else None
            ways: set[tuple[frozenset[str], bool]] = set()
            for tree, segments, route in self._routes(entry, outcome if tools is None else tools):
                tree.add(segments, route)
                ways.add((frozenset(name for name, _ in route.captures), route.reads_call))
                routes += 1
                if routes > MAX_ROUTES:
                    raise ValueError(f"the catalogue has more than {MAX_ROUTES} combinations of host, path and upgrade")
            for each in (outcome,) if tools is None else tools.all():
                for captures, call in ways:
                    self._table.add(each, captures, call=call)
        for tree in self._trees():
            tree.sort()
        self.actions: Mapping[str, Action] = self._table.actions
        self.families = self._table.names.families
        self.names = (*self.actions, *self.families)
        self.capture_names = self._table.all_captures()

    @classmethod
    def compile(
        cls, entries: Sequence[ActionEntry], defaults: Defaults, named: Collection[str] = ()
    ) -> "tuple[Catalogue, list[Fault]]":
        """Compile the entries of a policy.

        Args:
            entries: validated; their order means nothing.
            defaults: what an unclassified request counts as.
            named: names of actions that the rest of the policy speaks of.

        Returns:
            The catalogue and its faults: see `find_faults`.
        """
        unclassified = Action(UNCLASSIFIED, defaults.unclassified_kind, "", defaults.unclassified_sensitivity)
        try:
            catalogue = cls(entries, unclassified, named)
        except ValueError as error:
            return cls((), unclassified), [max(entries, key=lambda entry: bool(entry.team)).where.fault(str(error))]
        return catalogue, find_faults(entries, catalogue._trees())

    def classify(self, request: Request) -> Classified:
        """Classify a decoded request; `unclassified` when no entry fits.

        The body is read at most once, and only when the most specific entry that fits otherwise depends on the call in
        it. A body that cannot be relied on then refuses the request: it never falls to a less specific entry. Neither does a
        request that would fit, read as some servers read it; see `RequestTest.matches`.
        """
        headers = request.headers
        if "x-http-method-override" in headers or "x-http-method" in headers or "x-method-override" in headers:
            # The upstream would do something else than what is classified here. Decoded requests never have one of these;
            # requests that were built for a test or out of a trace may.
            return Classified(self.unclassified, NO_CAPTURES, "method_override")
        try:
            if request.upgrade or request.protocol != "http" or request.method == "CONNECT":
                return self._classify_long_lived(request)
            found = self._plain.classify(request, request.host, request.path, None) or self._unknown
            return found if found is not UNREAD else self._classify_call(request)
        except DecodeError as error:
            return Classified(self.unclassified, NO_CAPTURES, error.code)

    def calls_of(self, request: Request) -> tuple[Request, ...]:
        """The calls of a request that makes several in one body, each as a request of its own; none for any other request."""
        if request.upgrade or request.protocol != "http":
            return ()
        try:
            found = self._plain.classify(request, request.host, request.path, None)
        except DecodeError:  # it is refused as a whole
            return ()
        return split_batch(request) if found is UNREAD else ()

    def _classify_call(self, request: Request) -> Classified:
        rpc = read_rpc(request)
        found = self._plain.classify(request, request.host, request.path, rpc) or self._unknown
        return Classified(found.action, found.captures, found.refused, rpc)

    def _classify_long_lived(self, request: Request) -> Classified:
        if request.protocol != "http":
            # The name of a TLS handshake is spelt as the client likes (RFC 6066, section 3).
            name = request.destination_service.lower().removesuffix(".")
            found = self._tcp.classify(request, name, "", None)
            return found or Classified(self.unclassified, NO_CAPTURES, "tcp_unclassified")
        hosts = self._upgrades.get(request.upgrade)
        if hosts is not None and (request.method == "CONNECT") == (request.upgrade == CONNECT):
            found = hosts.classify(request, request.host, request.path, None)
            # Entries for upgrades have no condition on a call; what has one nevertheless classifies nothing.
            if found is not None and found is not UNREAD:
                return found
        return Classified(self.unclassified, NO_CAPTURES, "upgrade_unclassified")

    def fits(self, pattern: str) -> bool:
        """Whether a pattern of names fits an action that there is or that can be made; never `unclassified`.

        Raises:
            ValueError: the pattern is malformed.
        """
        return self._table.names.fits(pattern)

    def variants_of(self, name: str) -> tuple[Action, ...]:
        """Every action that `classify` can return under a name: of all its entries, with and without their cases."""
        return self._table.variants_of(name)

    def captures_of(self, name: str) -> frozenset[str]:
        """The path captures that every request of an action has."""
        return self._table.captures_of(name)

    def some_captures_of(self, name: str) -> frozenset[str]:
        """The path captures that some request of an action has."""
        return self._table.some_captures_of(name)

    def reads_call(self, name: str) -> bool:
        """Whether some entry of an action reads the call in the body; without one, `mcp.*` and `a2a.*` are empty."""
        return self._table.reads_call(name)

    def _routes(
        self, entry: ActionEntry, outcome: Outcome | Tools
    ) -> Iterator[tuple[PathTree, tuple[Segment, ...] | None, Route]]:
        match = entry.match
        for hosts in self._hosts_of(match.upgrade):
            for tree, patterns in hosts.trees(match):
                host = compile_globs(patterns) if patterns else None
                for segments, narrowed in _paths(match):
                    test = RequestTest(narrowed)
                    yield tree, segments, Route(entry, host, test, segments or (), outcome)
                    if isinstance(outcome, Tools):
                        # Every other tool of the same place: less specific than whoever lists it.
                        test = RequestTest(replace(narrowed, mcp_tool=(), mcp_method=(TOOLS_CALL,)))
                        yield tree, segments, Route(entry, host, test, segments or (), outcome.other)

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
