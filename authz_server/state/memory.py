"""The store inside this process: for one replica, for tests, and as the other reading of `signals.py`."""

import marshal
from collections import deque
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any

from authz_server.errors import StateUnavailableError
from authz_server.keyhash import KeyedHash
from authz_server.model import Containment, Entity
from authz_server.signals import Hit, Measurement, Readings
from authz_server.state.guards import Guards, Mark
from authz_server.state.keys import Keys
from authz_server.state.layout import (
    COUNT,
    DISTINCT,
    FAMILIAR,
    LEVEL,
    SEQUENCE,
    Layouts,
    is_reader,
    ring_entry,
    shares,
    unite,
)
from authz_server.state.values import (
    measure_budget,
    measure_count,
    measure_distinct,
    measure_familiar,
    measure_level,
    measure_sequence,
)

MAX_KEYS = 500_000
"""Values held at once, unless configured: about 130 MB. A full store refuses new ones: what it knows must not be pushed out by keys
that an attacker makes."""
MAX_FLAGS = 100_000
"""Containments."""
REPEAT_MS = 2_000
"""A repeat comes within Envoy's time limits; as in `step.lua`."""
OUTCOME_MS = 3_600_000
"""An outcome is told within the hour; as in `step.lua`."""
SWEPT_PER_STEP = 1
"""Values looked at for expiry on each step ..."""
SWEPT_PER_KEY = 2
"""... and for each new one: twice as many as are added, so that the expired cannot pile up, and never many at once."""
SWEPT_WHEN_FULL = 64
"""Tried before a step is refused."""
SHARDS = 64
"""Dicts that share the values: a dict that grows copies itself, which would stall a decision if it were all one."""

_OOM = "oom"
_MARSHAL = 2
"""The format without references, which is the quickest for values as small as these."""


class MemoryStore:
    """Signals and containment flags of one process.

    Args:
        keyed: hashes keys and members, which makes them small and of one size whatever clients choose.
        clock_ms: the store's clock.
        max_keys: values held at once; a step that would need more fails with `oom`.
    """

    def __init__(self, keyed: KeyedHash, clock_ms: Callable[[], int], max_keys: int = MAX_KEYS) -> None:
        self._keys = Keys(keyed)
        self._layouts = Layouts()
        self._clock_ms = clock_ms
        self._max_keys = max_keys
        self._lock = Lock()
        self._shards: list[dict[bytes, bytes]] = [{} for _ in range(SHARDS)]
        """Values as bytes: half a million tuples would stop every full garbage collection for 40 ms."""
        self._cycle: deque[bytes] = deque()
        """Each key of the shards once, in the order in which they are next looked at for expiry."""
        self._guards = Guards(REPEAT_MS)
        self._outcomes = Guards(OUTCOME_MS)
        self._flags: dict[Entity, int] = {}

    def __len__(self) -> int:
        """How many values are held."""
        return len(self._cycle)

    def apply(self, measurements: Sequence[Measurement]) -> Sequence[Readings | StateUnavailableError]:
        """Count and read a batch; see `Store.apply`."""
        with self._lock:
            now = self._clock_ms()
            return [self._measure(measurement, now) for measurement in measurements]

    def apply_at(self, measurements: Sequence[Measurement], now_ms: int) -> Sequence[Readings | StateUnavailableError]:
        """Count a batch as of an earlier moment, of which this store did not hear at the time.

        Args:
            measurements: in the order in which they happened; nothing stored carries an earlier time than what it replaces.
            now_ms: when that was, in milliseconds of the store's clock.
        """
        with self._lock:
            return [self._measure(measurement, now_ms) for measurement in measurements]

    def clear(self) -> None:
        """Forget all signals and repeats; containments stay."""
        with self._lock:
            self._shards = [{} for _ in range(SHARDS)]
            self._cycle.clear()
            self._guards = Guards(REPEAT_MS)
            self._outcomes = Guards(OUTCOME_MS)

    def contain(self, containment: Containment) -> None:
        """Store a containment; a longer one that is stored stays. See `Store.contain`."""
        until = int(containment.until * 1000)
        with self._lock:
            now = self._clock_ms()
            if len(self._flags) >= MAX_FLAGS:
                self._flags = {entity: end for entity, end in self._flags.items() if end > now}
            if len(self._flags) >= MAX_FLAGS:
                raise StateUnavailableError(_OOM)
            if until > now:
                self._flags[containment.entity] = max(until, self._flags.get(containment.entity, 0))

    def release(self, entity: Entity) -> None:
        """Remove a containment; see `Store.release`."""
        with self._lock:
            self._flags.pop(entity, None)

    def ping(self) -> None:
        """Do nothing: it always answers."""

    def close(self) -> None:
        """Do nothing: it holds no connection."""

    def _measure(self, measurement: Measurement, now: int) -> Readings | StateUnavailableError:
        contained: tuple[Entity, ...] = ()
        if self._flags and measurement.flags:
            contained = tuple([entity for entity in measurement.flags if self._flags.get(entity, 0) > now])
        if not measurement.hits:
            return Readings((), contained=contained)
        hits = measurement.hits
        located = self._locate(hits)
        if located is None:
            return _failed("signal_unsupported", measurement, contained)
        names, kinds = located
        self._sweep(now, SWEPT_PER_STEP)
        if not self._has_room(names, hits, now):
            return _failed(_OOM, measurement, contained)
        guard = self._keys.guard(hits[0].entity, measurement.fingerprint) if measurement.fingerprint else b""
        mark = Mark(self._outcomes if measurement.lasting else self._guards, guard) if guard else None
        counted = mark is None or mark.guards.is_first(guard, now)
        if len(set(names)) == len(names):
            parts = zip(names, kinds, hits, strict=True)
            values = [self._read(key, kind, hit, now, mark, counted=counted) for key, kind, hit in parts]
        else:
            standing = unite(names, hits)
            readings = {
                p: self._read(names[p], kinds[p], hits[p], now, mark, counted=counted) for p in sorted({*standing})
            }
            values = [max([readings[place] for place in group]) for group in shares(names, hits, standing)]
        return Readings(tuple(values), not counted, contained)

    def _locate(self, hits: tuple[Hit, ...]) -> tuple[list[bytes], list[int]] | None:
        """Give keys and kinds of the hits, or None if one is out of bounds."""
        names, kinds = [], []
        for hit in hits:
            layout = self._layouts.of(hit)
            if layout is None:
                return None
            names.append(self._keys.signal(layout.suffix, hit.entity, hit.rest))
            kinds.append(layout.kind)
        return names, kinds

    def _has_room(self, names: list[bytes], hits: tuple[Hit, ...], now: int) -> bool:
        if len(self._cycle) + len(names) <= self._max_keys:
            return True
        self._sweep(now, SWEPT_WHEN_FULL)
        counting = {key for key, hit in zip(names, hits, strict=True) if not is_reader(hit)}
        new = sum([key not in self._shards[hash(key) % SHARDS] for key in counting])
        return len(self._cycle) + new <= self._max_keys

    def _read(self, key: bytes, kind: int, hit: Hit, now: int, mark: Mark | None, *, counted: bool) -> int:
        shard = self._shards[hash(key) % SHARDS]
        packed = shard.get(key)
        state = None if packed is None else _unpack(packed)
        after: Any
        if kind == COUNT:
            reading, after = measure_count(state, hit.signal, now, amount=hit.amount if counted else 0)
        elif kind == DISTINCT:
            member = self._keys.member(hit.member) if hit.member else b""
            reading, after = measure_distinct(state, hit.signal, now, member, counted=counted)
        elif kind == SEQUENCE:
            reading, after = measure_sequence(state, hit.signal, now, hit.stage, counted=counted)
        elif kind == FAMILIAR:
            member = self._keys.member(hit.member) if hit.member else b""
            reading, after = measure_familiar(state, hit.signal, now, member, counted=counted and hit.amount > 0)
        elif kind == LEVEL:
            entry = ring_entry(self._keys, hit)
            reading, after = measure_level(state, hit.signal, now, hit.amount, entry, counted=counted)
        else:
            reading, after = self._reserve(state, hit, now, mark, counted=counted)
        if after is not None:
            shard[key] = marshal.dumps(after, _MARSHAL)
            if packed is None:
                self._cycle.append(key)
                self._sweep(now, SWEPT_PER_KEY)
        return reading

    def _reserve(self, state: Any, hit: Hit, now: int, mark: Mark | None, *, counted: bool) -> tuple[int, Any]:
        refused = mark is not None and not counted and mark.guards.was_refused(mark.key)
        reading, after = measure_budget(state, hit.signal, now, hit.amount, counted=counted, refused=refused)
        if mark is not None and counted and hit.amount > 0 and after is None:
            mark.guards.refuse(mark.key)
        return reading, after

    def _sweep(self, now: int, most: int) -> None:
        """Drop the expired among the next values of the cycle."""
        cycle = self._cycle
        for _ in range(min(most, len(cycle))):
            key = cycle.popleft()
            shard = self._shards[hash(key) % SHARDS]
            if _unpack(shard[key])[0] <= now:
                del shard[key]
            else:
                cycle.append(key)


def _unpack(packed: bytes) -> Any:
    return marshal.loads(packed)  # noqa: S302 - only what this process packed


def _failed(code: str, measurement: Measurement, contained: tuple[Entity, ...]) -> Readings | StateUnavailableError:
    """Fail the counting of a step, and still report what is contained."""
    if contained:
        return Readings((0,) * len(measurement.hits), contained=contained, degraded=True)
    return StateUnavailableError(code)
