"""The way of measurements to the store and of readings back; without the store they come from this replica.

What the store has certainly not carried out is sent again when it answers. What it may have carried out is not: a step that
counts twice would throttle somebody who did nothing.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple, TypeVar

from authz_server.engine.alone import Alone, Lone, unread
from authz_server.engine.ports import PolicySource, Ports
from authz_server.errors import StateUnavailableError
from authz_server.policy.snapshot import Snapshot
from authz_server.signals import Hit, Measurement, Readings, Signal, SignalKind

MAX_DEFERRED: Final = 4096
"""Measurements of already decided steps that wait for the next round trip; beyond it the oldest are dropped."""
MAX_CARRIED: Final = 64
"""How many of them one round trip takes along: as many as a full batch, so that nobody's wait doubles more than once. When more
are waiting the ticker is woken."""
MAX_OWED: Final = 4096
"""Measurements that wait for the store to be back; beyond it the oldest are dropped. Some seconds of an outage: the windows of
rates are as short, and what is older than its window is not told anyway."""
MAX_LARGE_OWED: Final = 256
"""As many may wait when one is added whose texts are long, of up to a whole message: 16 MB."""

_Item = TypeVar("_Item")


class Asked(NamedTuple):
    """A measurement, and whose it is."""

    owner: str
    """The principal's id, `""` for none."""
    measurement: Measurement
    large: bool = True
    """Whether its texts may be long."""


class Owed(NamedTuple):
    """A measurement that the store has not heard of."""

    asked: Asked
    since: float
    """When the step was made, in Unix seconds."""


class Answers(NamedTuple):
    """What came back for some measurements."""

    readings: list[Readings]
    """In their order."""
    alone: dict[int, Lone]
    """By place in that order those which the store did not answer."""


class Measuring:
    """Counts and reads. Threads may share it."""

    __slots__ = ("_alone", "_deferred", "_owed", "_sparing", "_store", "_wake", "dropped")

    def __init__(self, ports: Ports) -> None:
        self._store = ports.store
        self._wake = ports.wake
        self._sparing = ports.sparing
        self._deferred: deque[Asked] = deque(maxlen=MAX_DEFERRED)
        self._owed: deque[Owed] = deque()
        # Where the store is this replica's own memory already there is no other to go by.
        self._alone = (
            Alone(ports.local, ports.keyed, ports.monotonic, KnownSignals(ports.policy))
            if ports.local is not ports.store
            else None
        )
        self.dropped = 0

    @property
    def outage(self) -> bool:
        """Whether steps are, or a second ago were, decided without the store."""
        return self._alone is not None and self._alone.under_way

    @property
    def owed(self) -> int:
        """How many measurements the store is to be told yet."""
        return len(self._owed)

    def defer(self, asked: Asked) -> None:
        """Leave a measurement that nobody waits for to the next round trip."""
        self._deferred.append(asked)
        if len(self._deferred) >= MAX_CARRIED:
            self._wake()

    def measure(self, asked: Sequence[Asked], now: float) -> Answers:
        """Make the one round trip of a batch, and take along some of what earlier steps left behind.

        Args:
            asked: the batch's measurements.
            now: Unix time in seconds.

        Returns:
            The answers to the batch's own.
        """
        self._tell_skipped()
        earlier = _take(self._deferred, MAX_CARRIED)
        if not earlier:
            return self._ask(asked, now)
        # In front: they happened before, and the batch's readings must see them.
        readings, alone = self._ask([*earlier, *asked], now)
        if not alone:
            return Answers(readings[len(earlier) :], alone)
        self._owe_all(earlier, alone, now)
        own = {place - len(earlier): lone for place, lone in alone.items() if place >= len(earlier)}
        return Answers(readings[len(earlier) :], own)

    def owe(self, asked: Asked, now: float, *, allowed: bool = True) -> None:
        """Keep what the store has certainly not carried out until it answers again.

        Args:
            asked: was answered by this replica.
            now: Unix time in seconds.
            allowed: a refused step reserves nothing after the fact.
        """
        measurement = asked.measurement
        hits = tuple([hit for hit in measurement.hits if allowed or not _reserves(hit)])
        if not hits:
            return
        if len(self._owed) >= (MAX_LARGE_OWED if asked.large else MAX_OWED):
            self.dropped += 1
            if asked.large:
                return
            _take(self._owed, 1)
        self._owed.append(Owed(asked._replace(measurement=measurement._replace(hits=hits, flags=())), now))

    def flush(self, now: float) -> None:
        """Measure what waits: first what nobody has measured yet, then what the store is owed."""
        self._tell_skipped()
        for _ in range(MAX_DEFERRED // MAX_CARRIED):
            taken = _take(self._deferred, MAX_CARRIED)
            if not taken:
                break
            self._owe_all(taken, self._ask(taken, now).alone, now)
        if self._owed:
            self._pay(now)

    def _tell_skipped(self) -> None:
        """Count what was answered without asking."""
        if self._sparing is not None:
            for skipped in self._sparing.take_skipped():
                self.defer(Asked(owner_of(skipped.hits), skipped))

    def _ask(self, asked: Sequence[Asked], now: float) -> Answers:
        """Count and read; what the store does not answer is counted and read in this replica's own memory."""
        results = self._store.apply([each.measurement for each in asked])
        readings: list[Readings] = []
        lones: dict[int, Lone] = {}
        alone = self._alone
        for (owner, measurement, large), result in zip(asked, results, strict=True):
            if isinstance(result, Readings):
                readings.append(result)
                if alone is not None and not (result.repeated or result.degraded):
                    alone.note(owner, now, measurement, large=large)
                    if alone.under_way:
                        self._answered(alone, owner, counts=bool(measurement.hits))
                continue
            lone = alone.measure(owner, now, measurement) if alone is not None else unread(measurement)
            # A repeat has been counted, or is owed, as what it repeats.
            owed = not (result.sent or lone.readings.repeated)
            lones[len(readings)] = lone._replace(owed=owed)
            readings.append(lone.readings)
        return Answers(readings, lones)

    def _answered(self, alone: Alone, owner: str, *, counts: bool) -> None:
        alone.answered(owner, counts=counts)
        if counts and self._owed:
            self._wake()

    def _owe_all(self, asked: Sequence[Asked], alone: dict[int, Lone], now: float) -> None:
        for place, lone in alone.items():
            if lone.owed and place < len(asked):
                self.owe(asked[place], now)

    def _pay(self, now: float) -> None:
        """Tell the store what it is owed: one first, to see whether it is back."""
        size = 1
        while self._owed:
            taken = _take(self._owed, size)
            fresh = [each._replace(asked=asked) for each in taken if (asked := _unfaded(each, now)) is not None]
            results = self._store.apply([each.asked.measurement for each in fresh]) if fresh else ()
            again = [each for each, result in zip(fresh, results, strict=True) if is_undone(result)]
            if again:
                self._owed.extend(again)  # behind the others: one that the store never takes must not keep them back
                return
            size = MAX_CARRIED


class KnownSignals:
    """Gives the signals of the policy in force by id."""

    __slots__ = ("_policy", "_signals", "_snapshot")

    def __init__(self, policy: PolicySource) -> None:
        self._policy = policy
        self._snapshot: Snapshot | None = None
        self._signals: Mapping[str, Signal] = {}

    def __call__(self) -> Mapping[str, Signal]:
        """Give them, looked up once for each policy."""
        snapshot = self._policy.current
        if snapshot is not self._snapshot:
            self._signals = {plan.signal.id: plan.signal for plan in snapshot.plans.values()}
            self._snapshot = snapshot
        return self._signals


def _take(queue: deque[_Item], most: int) -> list[_Item]:
    taken: list[_Item] = []
    while queue and len(taken) < most:
        try:
            taken.append(queue.popleft())
        except IndexError:  # another thread took the last one
            break
    return taken


def is_undone(result: Readings | StateUnavailableError) -> bool:
    """Whether the store has certainly not carried out what this came back for."""
    return isinstance(result, StateUnavailableError) and not result.sent


def _reserves(hit: Hit) -> bool:
    return hit.signal.kind is SignalKind.BUDGET and hit.amount > 0


def _unfaded(owed: Owed, now: float) -> Asked | None:
    """What of a measurement still means something, since it will count as of the moment at which it is told."""
    age_ms = (now - owed.since) * 1000
    hits = tuple([hit for hit in owed.asked.measurement.hits if age_ms < _memory_ms(hit.signal)])
    return owed.asked._replace(measurement=owed.asked.measurement._replace(hits=hits)) if hits else None


def _memory_ms(signal: Signal) -> int:
    """How old a contribution may be told: of a count half its window, so that it reads half as much again at worst."""
    if signal.kind is SignalKind.COUNT:
        return signal.window_ms // 2
    return signal.half_life_ms if signal.kind is SignalKind.LEVEL else signal.window_ms


def owner_of(hits: Iterable[Hit]) -> str:
    """Whose hits these are, where nobody else says it: the principal's that one of them is about, else nobody's."""
    return next((hit.entity.parts[0] for hit in hits if hit.entity.type == "principal"), "")
