"""One server of a store: its connections, and its breaker."""

from collections.abc import Callable, Sequence
from typing import Any

from authz_server.errors import StateUnavailableError
from authz_server.state.breaker import Breaker
from authz_server.state.exchange import Exchange
from authz_server.state.network import Command, Sendable
from authz_server.state.pool import Pool
from authz_server.state.slots import Address
from authz_server.state.terms import ELSEWHERE, Terms
from authz_server.state.wire import CONNECT_S, Wire


class Node:
    """One server; threads share it.

    While its breaker is open nobody waits for it. It is probed by whoever tends to the store, and only where nobody does, by a
    decision.

    Args:
        connect: opens a connection, given how long each step may take (s); raises StateUnavailableError.
        terms: of the store.
        address: where it listens, as far as that matters.

    Attributes:
        address: as given.
        breaker: open while the server does not answer.
        pool: its connections.
        terms: of the store.
    """

    __slots__ = ("address", "breaker", "pool", "terms")

    def __init__(self, connect: Callable[[float], Wire], terms: Terms, address: Address | None = None) -> None:
        self.address = address
        self.pool = Pool(connect, terms.clock)
        self.breaker = Breaker(terms.jitter)
        self.terms = terms

    def start(
        self,
        commands: Sequence[Sendable],
        forced: bool,  # noqa: FBT001 - by place: named arguments cost a tenth of a microsecond for each step
        proven: bool,  # noqa: FBT001 - likewise
        limit_s: float | None = None,
    ) -> Exchange:
        """Send commands; their replies are to be received next.

        Args:
            commands: at least one.
            forced: whatever the breaker says, and however long opening a connection takes.
            proven: the commands' own replies prove whose they are; else one more command does.
            limit_s: for each step of opening a connection; None is as long as it is worth.

        Raises:
            StateUnavailableError: `breaker_open`, or whatever stopped a connection from being opened. Nothing was sent.
        """
        if (
            self.breaker.is_open
            and not forced
            and (self.terms.is_tended() or not self.breaker.admit(self.terms.clock()))
        ):
            self.terms.tally.count("breaker_open")
            raise StateUnavailableError("breaker_open", sent=False)
        if limit_s is None and self.breaker.failures and not forced:
            # Since a failure nothing was answered: opening a connection is no longer worth more than the budget.
            limit_s = self.terms.budget_s
        try:
            wire = self.pool.take(CONNECT_S if limit_s is None else min(limit_s, CONNECT_S))
        except StateUnavailableError as error:
            self.lost(error.code)
            raise StateUnavailableError(error.code, sent=False) from None
        return Exchange(self, wire, commands, limit_s is not None or not wire.is_new, proven)

    def lost(self, code: str) -> None:
        """Record a failure of the whole server, or of the way to it."""
        self.terms.tally.count(code)
        self.failed(code)

    def failed(self, code: str) -> None:
        """Record the same of an error that is counted already."""
        self.breaker.failed(self.terms.clock())
        if code in ELSEWHERE or self.breaker.is_open:
            self.pool.drain()

    def close(self) -> None:
        """Close its connections, those in use when they come back."""
        self.pool.close()

    def tend(self) -> None:
        """Probe, when it is time to."""
        if self.breaker.is_open and self.breaker.admit(self.terms.clock()):
            self.ask(self.terms.probe)  # an answer closes the breaker

    def ask(self, parts: tuple[bytes, ...]) -> Any:
        """Send one command whatever the breaker says, and give its reply or error."""
        try:
            exchange = self.start([Command(b"", parts)], True, False)
        except StateUnavailableError as error:
            return error
        # Within the budget of a batch: an answer closes the breaker, and one that is later is of no use to decisions.
        return exchange.receive(self.terms.clock() + self.terms.budget_s, True)[0]
