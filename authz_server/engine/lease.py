"""What one replica has of one envelope: the block it serves from, and when it asks the store for the next."""

from collections.abc import Iterator
from typing import Final

from authz_server.model import Entity
from authz_server.policy.envelopes import Envelope
from authz_server.policy.signalplan import signal_id
from authz_server.signals import Hit, Signal, SignalKind

BLOCKS: Final = 4
"""Blocks into which a replica's share is cut: few round trips, and little that lies with one replica while another has none."""
LONG_MS: Final = 10_000
"""What lies unused of longer windows is given back; that of shorter ones lapses soon enough."""
IDLE_PART: Final = 4
"""It may lie for so many parts of its window before that."""
AHEAD_MS: Final = 300
"""So long before the end of a window the first block of the next one is asked for, three ticks; never in its first half."""
AGAIN_S: Final = 1.0
"""When a long window is used up, how soon others may have given something back."""
KEPT_WINDOWS: Final = 4
KEPT_MS: Final = 60_000
"""So long, and at least so many windows, the store keeps what is leased of a window: clocks differ by less."""
KIND: Final = "envelope"


class Lease:
    """What this replica has of one envelope."""

    __slots__ = (
        "again_at",
        "ahead",
        "ahead_refused",
        "block",
        "dry",
        "envelope",
        "index",
        "left",
        "most",
        "owed",
        "seen_at",
        "served",
        "signal",
        "used_at",
        "wanted",
        "woken",
    )

    def __init__(self, envelope: Envelope, replicas: int, now: float) -> None:
        """Lay out a lease that has nothing yet.

        Args:
            envelope: whose.
            replicas: how many share it.
            now: Unix time in seconds.
        """
        name, window = f"{KIND}:{envelope.name}", envelope.window_ms
        identifier = signal_id(name, envelope.steps, window)
        self.envelope = envelope
        self.signal = Signal(
            name, identifier, SignalKind.BUDGET, max(KEPT_MS, KEPT_WINDOWS * window), cap=envelope.steps
        )
        self.block = max(1, envelope.steps // (replicas * BLOCKS))
        self.seen_at = self.used_at = now
        """When a step last asked, and when one was last served from a block or a block came."""
        self._begin(envelope.index_at(now), 0)

    def _begin(self, index: int, left: int) -> None:
        self.index = index
        self.left = left
        self.ahead = 0
        """Leased of the next window."""
        self.ahead_refused = False
        self.served = 0
        self.owed = 0
        """Let through without a lease."""
        self.most = self.block
        """What the next reservation asks for."""
        self.dry = False
        self.again_at = 0.0
        self.wanted = False
        """Whether a step has asked in this window."""
        self.woken = False

    def turn(self, now: float) -> None:
        """Go on to the window of this moment, with what was leased of it."""
        index = self.envelope.index_at(now)
        # A thread whose batch began a moment ago may still be in the window before; farther back the clock was set.
        if index != self.index and index != self.index - 1:
            self._begin(index, self.ahead if index == self.index + 1 else 0)

    @property
    def is_low(self) -> bool:
        """Whether the next block should be on its way."""
        return self.left * 2 < self.block

    @property
    def is_needed(self) -> bool:
        """Whether it is worth keeping."""
        return bool(self.left or self.ahead)

    def hit(self, index: int, amount: int) -> Hit:
        """Reserve so many steps of a window, or give them back below 0."""
        return Hit(self.signal, Entity(KIND, (self.envelope.name,)), (str(index),), amount=amount)

    def fits(self, envelope: Envelope) -> bool:
        """Whether it is of this rate; a policy may change the rate of a name."""
        own = self.envelope
        return own is envelope or (own.steps == envelope.steps and own.window_ms == envelope.window_ms)

    @property
    def is_partly_refused(self) -> bool:
        """Whether less than a block is there to be had, and steps are waiting for it."""
        return self.wanted and not (self.left or self.dry) and self.most < self.block

    def due(self, now: float) -> Iterator[Hit]:
        """What is to be asked of the store or given back to it."""
        self.turn(now)
        self.woken = False
        window = self.envelope.window_ms / 1000
        if self.is_needed and window * 1000 > LONG_MS and now - self.used_at > window / IDLE_PART:
            yield from self.give_back()
            self.wanted = False  # until the next step asks
        if not self.wanted:
            return
        if self.is_low and (not self.dry or now >= self.again_at):
            yield self.hit(self.index, self.most)
        if not self.ahead and not self.ahead_refused and (self.dry or self._is_ending(now)):
            yield self.hit(self.index + 1, self.block)

    def _is_ending(self, now: float) -> bool:
        window = self.envelope.window_ms
        return int(now * 1000) - self.index * window >= max(window // 2, window - AHEAD_MS)

    def give_back(self) -> Iterator[Hit]:
        """Return what is left; nobody is served from it any more, whether the store hears of it or not."""
        left, ahead, self.left, self.ahead = self.left, self.ahead, 0, 0
        if left:
            yield self.hit(self.index, -left)
        if ahead:
            yield self.hit(self.index + 1, -ahead)

    def took(self, index: int, amount: int, used: int, now: float) -> None:
        """Take the store's answer to a reservation.

        Args:
            index: of the window.
            amount: that was asked for.
            used: what was used of the window together with it, whether it was stored or not.
            now: Unix time in seconds.
        """
        room = self.envelope.steps - (used - amount)
        if room < amount:
            self._refused(index, room, now)
        elif index == self.index:
            paid = min(self.owed, amount)
            self.owed -= paid
            self.left += amount - paid
            self.dry, self.most, self.used_at = False, self.block, now
        elif index == self.index + 1:
            self.ahead += amount
            self.used_at = now

    def _refused(self, index: int, room: int, now: float) -> None:
        if index != self.index:
            self.ahead_refused = True
        elif room > 0:
            self.dry, self.most = False, min(self.block, room)
        else:
            long = self.envelope.window_ms > LONG_MS
            self.dry, self.most = True, self.block if not long else 1
            self.again_at = now + AGAIN_S if long else float("inf")
