"""One way to one entry of the catalogue, and what it makes of a request.

Whether a route fits may depend on the call in the body. The body is read only when everything else fits, and then once
for all routes: see `UNREAD`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from authz_server.content.rpc import Rpc
from authz_server.model import Action, Request
from authz_server.policy.call_test import RPC_METHODS
from authz_server.policy.entries import ActionEntry
from authz_server.policy.outcomes import Outcome, Tools
from authz_server.policy.paths import Segment, captures_of
from authz_server.policy.patterns import Globs
from authz_server.policy.request_test import RequestTest

NO_CAPTURES: Final[Mapping[str, str]] = MappingProxyType({})


class Classified(NamedTuple):
    """What the catalogue says about a request."""

    action: Action
    captures: Mapping[str, str]
    """The segments that the path captures, still percent-encoded as in `Request.path`."""
    refused: str
    """`""`, or the stable code of a request that no rule may admit, such as `upgrade_unclassified` or `body_partial`."""
    rpc: Rpc | None = None
    """The call in the body, when an entry asked for it."""


UNREAD: Final = Classified(Action("", "", "", ""), NO_CAPTURES, "")
"""What a search without the call gives when the most specific route that fits otherwise depends on it: read it, and
search again. It is told from every answer by its identity, and never leaves the catalogue."""


class Route:
    """One way to one entry: the entry's conditions for one host, one path and one upgrade.

    Attributes:
        entry: what was written.
        host: patterns of which the host must match one; None when the index has matched it.
        test: the conditions beside host and path.
        captures: (name, index of the segment).
        reads_call: whether the answer depends on the call in the body.
    """

    __slots__ = ("_classified", "_outcome", "_tools", "captures", "entry", "host", "reads_call", "test")

    def __init__(
        self,
        entry: ActionEntry,
        host: Globs | None,
        test: RequestTest,
        segments: tuple[Segment, ...],
        outcome: Outcome | Tools,
    ) -> None:
        """Take the parts.

        Args:
            entry: what was written.
            host: patterns that remain to be matched, or None.
            test: the conditions beside host and path.
            segments: of the path.
            outcome: what the entry makes of a request, or of the tool that it calls.
        """
        self.entry = entry
        self.host = host
        self.test = test
        self.captures = captures_of(segments)
        self._tools = outcome if isinstance(outcome, Tools) else None
        self._outcome = outcome.other if isinstance(outcome, Tools) else outcome
        action, cases = self._outcome
        self.reads_call = test.call is not None or any(case.call is not None for case, _ in cases)
        plain = not (self.captures or cases or self.reads_call)
        self._classified = Classified(action, NO_CAPTURES, "") if plain else None

    @property
    def rank(self) -> tuple[bool, int]:
        """What decides between the routes of one path; the higher, the more specific."""
        return self.test.methods is not None, self.test.weight

    def fits(self, request: Request, host: str, rpc: Rpc | None) -> bool:
        """Whether the conditions beside the path hold; those on a call that is not read yet count as holding."""
        if self.host is not None and not self.host.matches(host):
            return False
        return self.test.matches(request, rpc)

    def conclude(self, request: Request, segments: list[str], rpc: Rpc | None) -> Classified:
        """The answer for a request that this route fits, or `UNREAD`."""
        known = self._classified
        if known is not None:
            return known
        if not self.reads_call:
            action, cases = self._outcome
        elif rpc is not None:
            action, cases = self._outcome if self._tools is None else self._tools.outcome(rpc.tool)
        elif request.method in RPC_METHODS:
            return UNREAD
        else:
            action, cases = self._outcome
        for test, refined in cases:
            if test.matches(request, rpc):
                action = refined
                break
        captures = self.captures
        return Classified(action, {name: segments[at] for name, at in captures} if captures else NO_CAPTURES, "")

    def overlaps(self, other: "Route") -> bool:
        """Whether a request with a path that both match can fit both."""
        if self.host is not None and other.host is not None and not self.host.overlaps(other.host):
            return False
        return self.test.overlaps(other.test)
