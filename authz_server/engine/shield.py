"""A local answer for hot keys: a caller that goes on against a limit which it has reached does not ask the store each time.

The store would not answer otherwise: the same step with the same hits, refused a moment ago because its readings had reached
their limit, reads the same or more. So after `BEGINS` such refusals within a second the readings of the last one are given
again, for a second at most, and what these steps would have counted is added up and told to the store at once. The engine
concludes from them as from any others. It allows nothing by them, and what contains the caller is looked at before.

What rises with the refusals, such as a score on which a caller is contained, is read up to a second later for it.
"""

from collections.abc import Iterator, Sequence
from threading import Lock
from typing import Final

from authz_server.signals import Hit, Measurement, Readings, SignalKind
from authz_server.state.layout import MAX_AMOUNT, MAX_STEPS, is_reader
from authz_server.verdict import Decision, Verdict

SHIELD_S: Final = 1.0
"""So long at most the same readings are given: a caller that has become quiet waits no longer for it."""
BEGINS: Final = 8
"""Identical refusals within `SHIELD_S`: beyond what an honest client tries again."""
MAX_SHIELDED: Final = 4096
"""Callers looked at, about 1 kB each; beyond it the one that came first goes, and asks the store again."""
MAX_VARIANTS: Final = 4
"""Different steps of one caller; whoever varies them more asks the store, as everybody does."""
MAX_ANSWERS: Final = 4
"""Different things that the answers to one step teach, such as a share of `enforce`; more are measured one by one."""
MAX_TEXT: Final = 256
"""Characters of a part of a key or of a member; steps with longer ones ask the store, for they would have to be kept."""
MAX_TOLD: Final = 16
"""Measurements by which the skipped steps of one shield are told at a time: 4 080 steps in a tenth of a second."""
MAX_TAKEN: Final = 64
"""Measurements of several shields at a time, as many as a full batch; the rest waits for the next."""

SERVED: Final = frozenset({Decision.THROTTLE, Decision.DENY, Decision.QUARANTINE})
"""What may be concluded from readings that are given again; for anything else the store is asked."""


class _Hot:
    """One step that is made again and again."""

    __slots__ = ("after", "began", "count", "digest", "hits", "readings", "since", "skipped", "until")

    def __init__(self, digest: str, hits: tuple[Hit, ...], now: float) -> None:
        self.digest = digest
        self.hits = hits
        self.count = 0
        """Refusals since `since`."""
        self.since = now
        self.readings: Readings | None = None
        self.began = 0.0
        self.until = 0.0
        self.skipped = 0
        """Steps of which the store was not told yet ..."""
        self.after: dict[tuple[Hit, ...], int] = {}
        """... and how often their answers taught what."""


class Shield:
    """Remembers refusals. Threads share it: a caller that is not remembered costs one look without a lock."""

    __slots__ = ("_hot", "_limit", "_lock", "_owing")

    def __init__(self, limit: int = MAX_SHIELDED) -> None:
        self._hot: dict[str, tuple[_Hot, ...]] = {}
        self._limit = limit
        self._lock = Lock()
        self._owing: dict[_Hot, None] = {}
        """Those of whose skipped steps the store is to be told, the first ones first."""

    def __len__(self) -> int:
        """How many callers are remembered."""
        return len(self._hot)

    def find(self, whose: str, digest: str, hits: tuple[Hit, ...], now: float) -> Readings | None:
        """Give the readings that this step would have, or None when the store has to be asked.

        Args:
            whose: the principal's id; of an anonymous step any text that names the caller, such as its address.
            digest: of the policy that judges the step.
            hits: what it would measure.
            now: Unix time in seconds.

        Returns:
            Readings that say `repeated`: nothing of theirs was measured, so that nothing is given back.
        """
        hot = self._hot.get(whose)
        if hot is None:
            return None
        known = _same(hot, digest, hits)
        return known.readings if known is not None and known.began <= now < known.until else None

    def refused(self, whose: str, digest: str, hits: tuple[Hit, ...], readings: Readings, now: float) -> None:
        """Tell that a step was refused by its readings; see `is_by_readings`, and `find` for the arguments.

        Args:
            whose: the caller.
            digest: of the policy.
            hits: that were measured.
            readings: of the store.
            now: Unix time in seconds.
        """
        if readings.degraded or readings.repeated or readings.contained or not _can_be_skipped(hits, readings.values):
            return
        with self._lock:
            hot = self._remember(whose, digest, hits, now)
            if not 0 <= now - hot.since < SHIELD_S:
                hot.count, hot.since = 0, now
            hot.count += 1
            if hot.count >= BEGINS:
                hot.count, hot.since = 0, now
                hot.readings, hot.began, hot.until = readings._replace(repeated=True), now, _end(hits, now)

    def skip(self, whose: str, digest: str, hits: tuple[Hit, ...], after: tuple[Hit, ...]) -> tuple[Hit, ...]:
        """Count a step that was refused by the readings of `find`.

        Args:
            whose: the caller.
            digest: of the policy.
            hits: that were not measured.
            after: what the answer teaches.

        Returns:
            What has to be measured as that of any other step; usually nothing.
        """
        with self._lock:
            hot = _same(self._hot.get(whose, ()), digest, hits)
            if hot is None:  # another caller has just taken its place
                return (*[hit for hit in hits if _is_told(hit)], *after)
            hot.skipped += 1
            self._owing[hot] = None
            if not after:
                return ()
            if after not in hot.after and len(hot.after) >= MAX_ANSWERS:
                return after
            hot.after[after] = hot.after.get(after, 0) + 1
            return ()

    def take_skipped(self) -> list[Measurement]:
        """What the store is to be told of the skipped steps, for the next round trip, in front of what comes after them.

        Returns:
            Measurements that nobody reads; empty when there are none, and `MAX_TAKEN` or somewhat more when there are many.
        """
        found: list[Measurement] = []
        while self._owing and len(found) < MAX_TAKEN:
            with self._lock:
                hot = next(iter(self._owing), None)
                if hot is None:
                    break
                del self._owing[hot]
                skipped, after = hot.skipped, hot.after
                hot.skipped, hot.after = 0, {}
            found += _told(hot.hits, skipped)
            for hits, times in after.items():
                found += _told(hits, times)
        return found

    def _remember(self, whose: str, digest: str, hits: tuple[Hit, ...], now: float) -> _Hot:
        known = self._hot.get(whose, ())
        hot = _same(known, digest, hits)
        if hot is not None:
            return hot
        if not known and len(self._hot) >= self._limit:
            del self._hot[next(iter(self._hot))]
        hot = _Hot(digest, hits, now)
        self._hot[whose] = (hot, *known[: MAX_VARIANTS - 1])
        return hot


def is_by_readings(verdict: Verdict) -> bool:
    """Whether a step was throttled or denied while a reading had reached the limit that rules compare it with."""
    if verdict.decision not in {Decision.THROTTLE, Decision.DENY} or verdict.degraded:
        return False
    return any(threshold is not None and value >= threshold for _, value, threshold in verdict.readings)


def _same(hot: Sequence[_Hot], digest: str, hits: tuple[Hit, ...]) -> _Hot | None:
    return next((each for each in hot if each.hits == hits and each.digest == digest), None)


def _can_be_skipped(hits: Sequence[Hit], values: Sequence[int]) -> bool:
    """Whether the same step once more would change nothing but counts, and the times of what is remembered already."""
    for hit, value in zip(hits, values, strict=True):
        if max(map(len, (hit.member, hit.group, *hit.entity.parts, *hit.rest))) > MAX_TEXT:
            return False
        kind = hit.signal.kind
        if kind is SignalKind.BUDGET:
            if hit.amount and not 0 <= hit.signal.cap < value:  # nothing was stored where there was no room
                return False
        elif kind in {SignalKind.LEVEL, SignalKind.FAMILIAR} and not is_reader(hit):
            return False
    return bool(hits)


def _end(hits: Sequence[Hit], now: float) -> float:
    """When readings of now are given for the last time: at the end of the shortest window that counts, a second at most."""
    windows = [hit.signal.window_ms for hit in hits if hit.signal.kind is SignalKind.COUNT]
    if not windows:
        return now + SHIELD_S
    shortest = min(windows)
    return min(now + SHIELD_S, (int(now * 1000) // shortest + 1) * shortest / 1000)


def _told(hits: Sequence[Hit], times: int) -> Iterator[Measurement]:
    """What `times` equal steps count, in as few measurements as can hold it."""
    left = [_times(hit, times) for hit in hits if _is_told(hit)]
    for _ in range(MAX_TOLD):
        now = [hit._replace(amount=min(hit.amount, MAX_STEPS)) if _counts(hit) else hit for hit in left]
        if not now:
            break
        yield Measurement(tuple(now), b"")
        left = [hit._replace(amount=hit.amount - MAX_STEPS) for hit in left if _counts(hit) and hit.amount > MAX_STEPS]


def _is_told(hit: Hit) -> bool:
    """Whether a step that was refused leaves a trace by this hit: what it would have reserved, it would have given back."""
    return not is_reader(hit) and hit.signal.kind is not SignalKind.BUDGET


def _counts(hit: Hit) -> bool:
    return hit.signal.kind is SignalKind.COUNT


def _times(hit: Hit, times: int) -> Hit:
    """One hit for several equal ones; the amount of a count may still be more than a store takes at once."""
    signal = hit.signal
    if signal.kind is SignalKind.COUNT:
        return hit._replace(
            amount=min(hit.amount * times, signal.cap)
        )  # where its bucket is full, more changes nothing
    if signal.kind is SignalKind.LEVEL and not signal.ring:  # with a ring the same member changes nothing again
        return hit._replace(amount=max(-MAX_AMOUNT, min(MAX_AMOUNT, hit.amount * times)))
    return hit
