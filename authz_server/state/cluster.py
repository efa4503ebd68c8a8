"""A store on a cluster: each key has its node, and all nodes of a batch are written to before any is read from.

Only primaries are asked. What is lost with a node is lost for the keys on it alone: each node has its own breaker.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from authz_server.errors import StateUnavailableError
from authz_server.state.dial import Seeds
from authz_server.state.exchange import Exchange
from authz_server.state.network import Command, Sendable
from authz_server.state.node import Node
from authz_server.state.reply import RedirectError
from authz_server.state.slotmap import SlotMap
from authz_server.state.slots import parse_target
from authz_server.state.terms import Terms

_SETTLED = frozenset({"busy", "error_reply", "misconf", "noperm", "noreplicas", "noscript", "oom", "protocol"})
"""Errors that say nothing about where a slot is."""


class _Group(NamedTuple):
    """What goes to one node, and where its replies belong."""

    commands: list[Sendable]
    places: list[int]
    """Parallel to `commands`; -1 for ASKING, whose reply goes nowhere."""


class Cluster:
    """The primaries of a cluster; see `Network`.

    Args:
        seeds: nodes that tell the others, and how all are spoken to.
        terms: of the store.
    """

    undivided = False

    def __init__(self, seeds: Seeds, terms: Terms) -> None:
        self._terms = terms
        self._map = SlotMap(seeds, terms)

    def exchange(
        self, commands: Sequence[Sendable], started: float, *, budget_s: float | None = None, forced: bool = False
    ) -> list[Any]:
        """Make one round trip, and another for what was sent to the wrong node; see `Network.exchange`."""
        if not self._map.is_known():
            return [self._failure(self._map.reason)] * len(commands)
        budget_s = budget_s or self._terms.budget_s
        replies: list[Any] = [None] * len(commands)
        self._round(self._grouped(commands, replies), replies, started, budget_s, forced=forced)
        errors = [reply for reply in replies if isinstance(reply, StateUnavailableError)]
        if errors:
            left = started + budget_s - self._terms.clock()
            if left > 0 and any(isinstance(error, RedirectError) for error in errors):
                self._round(
                    self._redirected(commands, replies), replies, started, budget_s, forced=forced, limit_s=left
                )
            if not all(error.code in _SETTLED for error in errors):
                self._map.want()
        return replies

    def ping(self) -> list[Any]:
        """Ask each primary for a sign of life; see `Network.ping`."""
        if not self._map.is_known():
            return [self._failure(self._map.reason)]
        return [node.ask(self._terms.probe) for node in self._map.nodes()]

    def tend(self) -> None:
        """Probe and ask for the slots, when it is time to; see `Network.tend`."""
        self._terms.tended_at = self._terms.clock()
        self._map.tend()

    def is_open(self) -> bool:
        """Say whether the breaker of any primary is open."""
        return any(node.breaker.is_open for node in self._map.nodes())

    def close(self) -> None:
        """Close all connections; see `Network.close`."""
        self._map.close()

    def _grouped(self, commands: Sequence[Sendable], replies: list[Any]) -> Mapping[Node, _Group]:
        """Group the commands by node; those that have none fail."""
        groups: dict[Node, _Group] = {}
        for place, command in enumerate(commands):
            node = self._map.node_of(command.key)
            if node is None:
                replies[place] = self._failure("clusterdown")
                continue
            group = groups.get(node)
            if group is None:
                group = groups[node] = _Group([], [])
            group.commands.append(command)
            group.places.append(place)
        return groups

    def _redirected(self, commands: Sequence[Sendable], replies: list[Any]) -> Mapping[Node, _Group]:
        """Group what is to be sent once more, and remember where moved slots are now."""
        groups: dict[Node, _Group] = {}
        for place, (command, reply) in enumerate(zip(commands, replies, strict=True)):
            if not isinstance(reply, RedirectError):
                continue
            asked = self._map.node_of(command.key)
            target = parse_target(reply.target, asked.address) if asked and asked.address else None
            node = self._map.node_at(target[1]) if target else None
            if target is None or node is None:
                continue
            group = groups.setdefault(node, _Group([], []))
            if reply.code == "ask":
                group.commands.append(Command(b"", (b"ASKING",)))
                group.places.append(-1)
            else:
                self._map.move(target[0], node)
            group.commands.append(command)
            group.places.append(place)
        return groups

    def _round(
        self,
        groups: Mapping[Node, _Group],
        replies: list[Any],
        started: float,
        budget_s: float,
        *,
        forced: bool,
        limit_s: float | None = None,
    ) -> None:
        """Write to all nodes, then read from all, and put the replies in their places."""
        under_way: list[tuple[Exchange, list[int]]] = []
        for node, (commands, places) in groups.items():
            try:
                under_way.append((node.start(commands, forced, False, limit_s), places))
            except StateUnavailableError as error:
                _place(replies, places, [error] * len(places))
        if not all(exchange.charged for exchange, _ in under_way):
            started = self._terms.clock()
        for exchange, places in under_way:
            _place(replies, places, exchange.receive(started + budget_s, True))

    def _failure(self, code: str) -> StateUnavailableError:
        """Count a failure of what could not be sent, and ask the cluster anew."""
        self._terms.tally.count(code)
        self._map.want()
        return StateUnavailableError(code, sent=False)


def _place(replies: list[Any], places: Sequence[int], fresh: Sequence[Any]) -> None:
    for place, reply in zip(places, fresh, strict=True):
        if place >= 0:
            replies[place] = reply
