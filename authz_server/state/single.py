"""A store on one server, or on whichever server its address leads to after a failover."""

from collections.abc import Callable, Sequence
from typing import Any

from authz_server.errors import StateUnavailableError
from authz_server.state.dial import Link
from authz_server.state.network import Sendable, is_error
from authz_server.state.node import Node
from authz_server.state.terms import Terms
from authz_server.state.wire import Wire

_ELSEWHERE = frozenset({"masterdown", "readonly"})
"""Error replies of a server that has become a replica: another one has taken its place."""


class Single:
    """One server at a time; see `Network`.

    Args:
        connect: opens a connection, given how long each step may take (s); raises StateUnavailableError.
        terms: of the store.
    """

    undivided = True

    def __init__(self, connect: Callable[[float], Wire], terms: Terms) -> None:
        self._terms = terms
        self._node = Node(connect, terms)

    def exchange(
        self,
        commands: Sequence[Sendable],
        started: float,
        *,
        budget_s: float | None = None,
        forced: bool = False,
        limit_s: float | None = None,
    ) -> list[Any]:
        """Make one round trip, and another with a server that has taken the place of the first; see `Network.exchange`.

        `limit_s`, for each step of opening a connection, is given with the second of the two only.
        """
        node, terms = self._node, self._terms
        try:
            exchange = node.start(commands, forced, commands[-1].read is not None, limit_s)
        except StateUnavailableError as error:
            return [error] * len(commands)
        begun = started if exchange.charged else terms.clock()
        replies = exchange.receive(begun + (budget_s or terms.budget_s), budget_s is not None)
        if node.breaker.failures and limit_s is None and not node.breaker.is_open:
            places = [place for place, reply in enumerate(replies) if is_error(reply) and reply.code in _ELSEWHERE]
            left = begun + (budget_s or terms.budget_s) - terms.clock()
            if places and left > 0:
                moved = [commands[place] for place in places]
                again = self.exchange(moved, begun, budget_s=budget_s, forced=forced, limit_s=left)
                for place, reply in zip(places, again, strict=True):
                    replies[place] = reply
        return replies

    def ping(self) -> list[Any]:
        """Ask for a sign of life; see `Network.ping`."""
        return [self._node.ask(self._terms.probe)]

    def tend(self) -> None:
        """Probe, when it is time to; see `Network.tend`."""
        self._terms.tended_at = self._terms.clock()
        self._node.tend()

    def is_open(self) -> bool:
        """Say whether the breaker is open."""
        return self._node.breaker.is_open

    def close(self) -> None:
        """Close all connections; see `Network.close`."""
        self._node.close()


def single(link: Callable[[], Link], terms: Terms) -> Single:
    """Build the network of one server, whose connections `link` makes."""
    return Single(lambda limit_s: Wire(link(), terms.script, terms.budget_s, terms.clock, limit_s=limit_s), terms)
