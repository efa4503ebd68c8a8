"""What a replica knows of a cluster: its primaries, and which slot is whose.

The cluster is asked (CLUSTER SLOTS) after a redirect or a failure, and again and again while a node is away. Whoever tends to
the store does that; a decision only does for the very first answer, and where nobody tends.
"""

from collections.abc import Mapping
from math import inf
from threading import Lock

from authz_server.errors import StateUnavailableError
from authz_server.state.dial import Seeds
from authz_server.state.node import Node
from authz_server.state.slots import MAX_NODES, SLOTS, Address, parse_slots, slot_of
from authz_server.state.terms import Terms
from authz_server.state.wire import CONNECT_S, Wire

REFRESH_S = 0.5
"""At least between two questions: a storm of redirects asks twice in a second."""
TRIES = 8
"""Servers asked in one go, before the others have their turn in the next."""


class SlotMap:
    """The nodes of a cluster; threads share it.

    Args:
        seeds: nodes that tell the others, and how all are spoken to.
        terms: of the store.

    Attributes:
        reason: why the cluster has not told its slots, when it was last asked: a code.
    """

    def __init__(self, seeds: Seeds, terms: Terms) -> None:
        self._seeds = seeds
        self._terms = terms
        self._nodes: dict[Address, Node] = {}
        self._owners: list[Node | None] = []
        """The node of each slot; empty until the cluster has told."""
        self._lock = Lock()
        self._asking = Lock()
        self._wanted = False
        self._begun = False
        self._asked_at = -inf
        self._turn = 0
        self._closed = False
        self.reason = "connection"

    def is_known(self) -> bool:
        """Say whether the slots are known. The very first who wants to know asks, and the others wait for that."""
        if not self._begun:
            with self._asking:
                if not self._begun:
                    self._learn(TRIES)
                    self._begun = True
        elif self._wanted and not self._terms.is_tended():
            self._refresh(1)
        return bool(self._owners)

    def node_of(self, key: bytes) -> Node | None:
        """Give the node of a key, or any for `b""`; None when nobody has its slot."""
        if key:
            return self._owners[slot_of(key)]
        nodes = self.nodes()
        return next((node for node in nodes if not node.breaker.is_open), nodes[0])

    def nodes(self) -> list[Node]:
        """List the primaries that are known."""
        return list(self._nodes.values())

    def node_at(self, address: Address) -> Node | None:
        """Give the node at an address that the cluster has named; None when it names too many."""
        with self._lock:
            return self._at(address) if address in self._nodes or len(self._nodes) < MAX_NODES else None

    def move(self, slot: int, node: Node) -> None:
        """Remember that a slot is now with another node."""
        self._owners[slot] = node

    def want(self) -> None:
        """Have the cluster asked soon."""
        self._wanted = True

    def tend(self) -> None:
        """Probe the nodes that do not answer, and ask for the slots, when it is time to."""
        away = False
        for node in self.nodes():
            node.tend()
            away = away or node.breaker.is_open
        if away or self._wanted:
            self._refresh(TRIES)

    def close(self) -> None:
        """Close all connections, those in use when they come back."""
        with self._lock:
            self._closed = True
            nodes = self.nodes()
        for node in nodes:
            node.close()

    def _is_due(self) -> bool:
        return not self._closed and self._terms.clock() - self._asked_at >= REFRESH_S

    def _refresh(self, tries: int) -> None:
        """Ask anew, unless that was done just now or another thread is doing it."""
        if self._is_due() and self._asking.acquire(blocking=False):
            try:
                self._learn(tries)
            finally:
                self._asking.release()

    def _learn(self, tries: int) -> None:
        """Ask one server after the other, each time beginning with another, until one tells; `_asking` is held."""
        self._asked_at = self._terms.clock()
        self._wanted = False
        known = [*self._nodes, *self._seeds.addresses]
        self._turn += 1
        for place in range(min(tries, len(known))):
            if self._learn_from(known[(self._turn + place) % len(known)]):
                return
        self._wanted = True

    def _learn_from(self, address: Address) -> bool:
        try:
            owners = self._ask(address)
        except StateUnavailableError as error:
            self.reason = error.code
            self._terms.tally.count(error.code)
            return False
        with self._lock:
            nodes = {owner: self._at(owner) for owner in set(owners.values())}
            gone = [node for owner, node in self._nodes.items() if owner not in nodes]
            self._owners = [nodes[owners[slot]] if slot in owners else None for slot in range(SLOTS)]
            self._nodes = nodes
            closed = self._closed
        for node in [*gone, *nodes.values()] if closed else gone:
            node.close()
        return True

    def _ask(self, address: Address) -> Mapping[int, Address]:
        """Ask one server, over a connection of its own.

        Raises:
            StateUnavailableError: it does not tell.
        """
        wire = Wire(self._seeds.ask(address), None, CONNECT_S, self._terms.clock)
        try:
            (reply,) = wire.exchange([(b"CLUSTER", b"SLOTS")], self._terms.clock())
        finally:
            wire.close()
        owners = parse_slots(reply, address)
        if owners is None:
            raise reply if isinstance(reply, StateUnavailableError) else StateUnavailableError("protocol")
        return owners

    def _at(self, address: Address) -> Node:
        """Give the node at an address, a new one if there is none; the lock is held."""
        node = self._nodes.get(address)
        if node is None:
            terms, dial = self._terms, self._seeds.dial

            def connect(limit_s: float) -> Wire:
                return Wire(dial(address), terms.script, terms.budget_s, terms.clock, limit_s=limit_s)

            node = self._nodes[address] = Node(connect, terms, address)
        return node
