"""Finds the primary of a service that sentinels watch (the client's part: redis.io, "Sentinel client spec")."""

from collections.abc import Sequence
from math import inf
from threading import Lock
from typing import Any

from authz_server.errors import StateUnavailableError
from authz_server.state.dial import Seeds
from authz_server.state.network import Sendable
from authz_server.state.single import Single
from authz_server.state.slots import Address, parse_address
from authz_server.state.terms import Terms
from authz_server.state.wire import CONNECT_S, Wire

LOOK_S = 1.0
"""Between two questions while the primary answers: what it counts after a failover is lost."""
ASK_STEPS = 3
"""Of `limit_s` each may be spent on sentinels that do not answer, before those behind them wait for another call."""


class Finder:
    """Opens connections to the primary. Threads share it. The sentinels are asked for each: it is their word that counts after a failover.

    Args:
        seeds: the sentinels, the name of the service, and how both are spoken to.
        terms: of the store.
    """

    def __init__(self, seeds: Seeds, terms: Terms) -> None:
        self._seeds = seeds
        self._sentinels = seeds.addresses
        self._terms = terms
        self.known: Address | None = None
        """The primary that was reached last."""
        self.asked_at = -inf
        """When the sentinels were asked last."""

    def connect(self, limit_s: float) -> Wire:
        """Open a connection to the server that the sentinels name, and that calls itself the primary.

        Args:
            limit_s: for each step.

        Raises:
            StateUnavailableError: no sentinel, or not the server that they name, could be reached.
        """
        try:
            address = self.ask(limit_s)
        except StateUnavailableError:
            # A primary that answers and calls itself one is enough while all sentinels are away.
            if self.known is None:
                raise
            address = self.known
        wire = self._open(address, limit_s)
        self.known = address
        return wire

    def _open(self, address: Address, limit_s: float) -> Wire:
        terms = self._terms
        link = self._seeds.dial(address)
        return Wire(link, terms.script, terms.budget_s, terms.clock, primary=True, limit_s=limit_s)

    def ask(self, limit_s: float) -> Address:
        """Ask one sentinel after the other where the primary is; whoever answers is asked first the next time.

        Args:
            limit_s: for each step.

        Raises:
            StateUnavailableError: none of them tells.
        """
        self.asked_at = self._terms.clock()
        until = self.asked_at + ASK_STEPS * limit_s
        sentinels = self._sentinels
        failure = StateUnavailableError("connection", sent=False)
        for place, sentinel in enumerate(sentinels):
            try:
                address = self._ask_one(sentinel, limit_s)
            except StateUnavailableError as error:
                failure = error
            else:
                self._sentinels = sentinels[place:] + sentinels[:place]
                return address
            if self._terms.clock() > until:
                self._sentinels = sentinels[place + 1 :] + sentinels[: place + 1]
                break
        raise StateUnavailableError(failure.code, sent=False)

    def _ask_one(self, sentinel: Address, limit_s: float) -> Address:
        """Ask one sentinel.

        Raises:
            StateUnavailableError: it does not answer, or does not know the service (`connection`).
        """
        wire = Wire(self._seeds.ask(sentinel), None, limit_s, self._terms.clock, limit_s=limit_s)
        try:
            name = self._seeds.service.encode()
            (reply,) = wire.exchange([(b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", name)], self._terms.clock())
        finally:
            wire.close()
        if isinstance(reply, StateUnavailableError):
            raise reply
        address = parse_address(reply)
        if address is None:
            raise StateUnavailableError("connection")
        return address


class Sentinel(Single):
    """The primary that sentinels name; see `Network`.

    For some seconds after a failover the old primary may still take itself for one. So the sentinels are asked now and then
    although it answers.

    Args:
        seeds: the sentinels, the name of the service, and how both are spoken to.
        terms: of the store.
    """

    def __init__(self, seeds: Seeds, terms: Terms) -> None:
        self._finder = Finder(seeds, terms)
        self._looking = Lock()
        super().__init__(self._connect, terms)

    def exchange(
        self,
        commands: Sequence[Sendable],
        started: float,
        *,
        budget_s: float | None = None,
        forced: bool = False,
        limit_s: float | None = None,
    ) -> list[Any]:
        """Make one round trip; see `Single.exchange`."""
        if started - self._finder.asked_at >= LOOK_S and not self._terms.is_tended():
            self._look(min(self._terms.budget_s, CONNECT_S))
        return super().exchange(commands, started, budget_s=budget_s, forced=forced, limit_s=limit_s)

    def _connect(self, limit_s: float) -> Wire:
        """Open a connection; where it leads to another server than those before, they are to be used no longer.

        Raises:
            StateUnavailableError: as for `Finder.connect`.
        """
        known = self._finder.known
        wire = self._finder.connect(limit_s)
        if known is not None and self._finder.known != known:
            self._node.pool.drain()
        return wire

    def tend(self) -> None:
        """Probe, and ask the sentinels, when it is time to; see `Network.tend`."""
        super().tend()
        if self._terms.tended_at - self._finder.asked_at >= LOOK_S:
            self._look(CONNECT_S)

    def _look(self, limit_s: float) -> None:
        """Leave the server that is the primary no longer."""
        known = self._finder.known
        if known is None or not self._looking.acquire(blocking=False):
            return
        try:
            if self._finder.ask(limit_s) != known:
                self._node.pool.drain()
        except StateUnavailableError as error:
            self._terms.tally.count(error.code)
        finally:
            self._looking.release()
