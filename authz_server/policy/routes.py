"""The index of the catalogue: hosts, then a tree of path segments, then the few entries that share one path.

The more specific is always tried first: an exact host before a pattern before none, and in each of them the path from
left to right, a literal before `{x}` before `*` before `**`. A tree node is visited at most once per request, so that a
request costs at most as much as the policy is large, whatever its path.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from authz_server.model import Action, Request
from authz_server.policy.entries import ActionEntry, RequestMatch
from authz_server.policy.paths import Segment, SegmentKind, captures_of
from authz_server.policy.patterns import Globs
from authz_server.policy.request_test import RequestTest

NO_CAPTURES: Final[Mapping[str, str]] = MappingProxyType({})


Outcome = tuple[Action, tuple[tuple[RequestTest, Action], ...]]
"""The action of an entry, and what its cases make of it, in their order."""


class Classified(NamedTuple):
    """What the catalogue says about a request."""

    action: Action
    captures: Mapping[str, str]
    """The segments that the path captures, still percent-encoded as in `Request.path`."""
    refused: str
    """`""`, or the stable code of a request that no rule may admit, such as `upgrade_unclassified`."""


class Route:
    """One way to one entry: the entry's conditions for one host, one path and one upgrade.

    Attributes:
        entry: what was written.
        host: patterns of which the host must match one; None when the index has matched it.
        test: the conditions beside host and path.
        captures: (name, index of the segment).
    """

    __slots__ = ("_action", "_cases", "_classified", "captures", "entry", "host", "test")

    def __init__(
        self,
        entry: ActionEntry,
        host: Globs | None,
        test: RequestTest,
        segments: tuple[Segment, ...],
        outcome: Outcome,
    ) -> None:
        self.entry = entry
        self.host = host
        self.test = test
        self.captures = captures_of(segments)
        self._action, self._cases = outcome
        self._classified = None if self.captures or self._cases else Classified(self._action, NO_CAPTURES, "")

    @property
    def rank(self) -> tuple[bool, int]:
        """What decides between the routes of one path; the higher, the more specific."""
        return self.test.methods is not None, self.test.weight

    def fits(self, request: Request, host: str) -> bool:
        """Whether the conditions beside the path hold."""
        if self.host is not None and not self.host.matches(host):
            return False
        return self.test.matches(request)

    def conclude(self, request: Request, segments: list[str]) -> Classified:
        """The answer for a request that this route fits."""
        known = self._classified
        if known is not None:
            return known
        action = self._action
        for test, refined in self._cases:
            if test.matches(request):
                action = refined
                break
        captures = self.captures
        return Classified(action, {name: segments[at] for name, at in captures} if captures else NO_CAPTURES, "")

    def overlaps(self, other: "Route") -> bool:
        """Whether a request with a path that both match can fit both."""
        if self.host is not None and other.host is not None and not self.host.overlaps(other.host):
            return False
        return self.test.overlaps(other.test)


class _Node:
    """A place in the tree of paths."""

    __slots__ = ("any", "capture", "ends", "literals", "rest")

    def __init__(self) -> None:
        self.literals: dict[str, _Node] = {}
        self.capture: _Node | None = None
        self.any: _Node | None = None
        self.rest: _Node | None = None
        self.ends: list[Route] = []

    def below(self, segment: Segment) -> "_Node":
        """The node behind a segment, made when it is new."""
        if segment.kind is SegmentKind.LITERAL:
            return self.literals.setdefault(segment.text, _Node())
        name = {SegmentKind.CAPTURE: "capture", SegmentKind.ANY: "any", SegmentKind.REST: "rest"}[segment.kind]
        node: _Node | None = getattr(self, name)
        if node is None:
            node = _Node()
            setattr(self, name, node)
        return node

    def nodes(self) -> "Iterator[_Node]":
        """This node and all below it."""
        stack = [self]
        while stack:
            node = stack.pop()
            yield node
            stack += node.literals.values()
            stack += (below for below in (node.capture, node.any, node.rest) if below is not None)


class PathTree:
    """The routes of one host, or of all hosts that are named by pattern, or of any host."""

    __slots__ = ("_anywhere", "_depth", "_root")

    def __init__(self) -> None:
        self._root = _Node()
        self._anywhere = _Node()
        self._depth = 1

    def add(self, segments: tuple[Segment, ...] | None, route: Route) -> None:
        """Add a route under its path, or under any path and none."""
        node = self._root if segments is not None else self._anywhere
        for segment in segments or ():
            node = node.below(segment)
        node.ends.append(route)
        self._depth = max(self._depth, len(segments or ()))

    def groups(self) -> Iterator[list[Route]]:
        """The routes that share a path, the most specific first once `sort` was called."""
        yield from (node.ends for node in (*self._root.nodes(), self._anywhere) if node.ends)

    def sort(self) -> None:
        """Put the most specific routes first; to be called when all are added."""
        for group in self.groups():
            group.sort(key=lambda route: route.rank, reverse=True)

    def classify(self, request: Request, host: str, path: str) -> Classified | None:
        """The answer of the most specific route that fits, or None."""
        if path[:1] == "/":
            # What is longer than every pattern stays in one piece: no path makes a list of thousands.
            segments = path.split("/", self._depth + 1)
            found = self._find(request, host, segments, len(segments) if path != "/" else 1)
            if found is not None:
                return found.conclude(request, segments)
        for route in self._anywhere.ends:
            if route.fits(request, host):
                return route.conclude(request, [])
        return None

    def _find(self, request: Request, host: str, segments: list[str], count: int) -> Route | None:
        node, at = self._root, 1
        waiting: list[tuple[_Node, int]] = []
        while True:
            if at == count:
                for route in node.ends:
                    if route.fits(request, host):
                        return route
                following = None
                if node.rest is not None:
                    waiting.append((node.rest, count))
            else:
                # The last one put aside is tried first, so the least specific goes aside first.
                if node.rest is not None:
                    waiting.append((node.rest, count))
                if node.any is not None:
                    waiting.append((node.any, at + 1))
                following = node.literals.get(segments[at])
                if node.capture is not None:
                    if following is None:
                        following = node.capture
                    else:
                        waiting.append((node.capture, at + 1))
            if following is not None:
                node = following
                at += 1
            elif waiting:
                node, at = waiting.pop()
            else:
                return None


class HostIndex:
    """The trees of one kind of traffic: plain HTTP, one upgrade, or connections without HTTP."""

    __slots__ = ("_any", "_exact", "_patterns")

    def __init__(self) -> None:
        self._exact: dict[str, PathTree] = {}
        self._patterns = PathTree()
        self._any = PathTree()

    def trees(self, match: RequestMatch) -> "Iterator[tuple[PathTree, tuple[str, ...]]]":
        """The trees that an entry belongs to, each with the host patterns that its routes there must check."""
        patterns = tuple(host for host in match.host if "*" in host)
        for host in match.host:
            if "*" not in host:
                yield self._exact.setdefault(host, PathTree()), ()
        if patterns:
            yield self._patterns, patterns
        if not match.host:
            yield self._any, ()

    def all(self) -> "Iterator[PathTree]":
        """Every tree."""
        yield from (*self._exact.values(), self._patterns, self._any)

    def classify(self, request: Request, host: str, path: str) -> Classified | None:
        """The answer of the most specific route, or None."""
        tree = self._exact.get(host)
        if tree is not None:
            found = tree.classify(request, host, path)
            if found is not None:
                return found
        return self._patterns.classify(request, host, path) or self._any.classify(request, host, path)
