"""The index of the catalogue: hosts, then a tree of path segments, then the few entries that share one path.

The more specific is always tried first: an exact host before a pattern before none, and in each of them the path from
left to right, a literal before `{x}` before `*` before `**`. A tree node is visited at most once per search, so that a
request costs at most as much as the policy is large, whatever its path.
"""

from collections.abc import Iterator

from authz_server.content.rpc import Rpc
from authz_server.model import Request
from authz_server.policy.matches import RequestMatch
from authz_server.policy.paths import Segment, SegmentKind
from authz_server.policy.routes import Classified, Route


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

    def classify(self, request: Request, host: str, path: str, rpc: Rpc | None = None) -> Classified | None:
        """The answer of the most specific route that fits, or None, or `UNREAD`."""
        if path[:1] == "/":
            # What is longer than every pattern stays in one piece: no path makes a list of thousands.
            segments = path.split("/", self._depth + 1)
            found = self._find(request, host, segments, len(segments) if path != "/" else 1, rpc)
            if found is not None:
                return found.conclude(request, segments, rpc)
        for route in self._anywhere.ends:
            if route.fits(request, host, rpc):
                return route.conclude(request, [], rpc)
        return None

    def _find(self, request: Request, host: str, segments: list[str], count: int, rpc: Rpc | None) -> Route | None:
        node, at = self._root, 1
        waiting: list[tuple[_Node, int]] = []
        while True:
            if at == count:
                for route in node.ends:
                    # As `fits` says, without the call.
                    if (route.host is None or route.host.matches(host)) and route.test.matches(request, rpc):
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

    def classify(self, request: Request, host: str, path: str, rpc: Rpc | None = None) -> Classified | None:
        """The answer of the most specific route, or None, or `UNREAD`."""
        tree = self._exact.get(host)
        if tree is not None:
            found = tree.classify(request, host, path, rpc)
            if found is not None:
                return found
        return self._patterns.classify(request, host, path, rpc) or self._any.classify(request, host, path, rpc)
