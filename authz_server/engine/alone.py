"""What this replica knows by itself, for the steps that the store does not answer."""

from collections.abc import Callable, Mapping
from threading import Lock
from typing import Final, NamedTuple

from authz_server.engine.journal import Journal, shortened
from authz_server.errors import StateUnavailableError
from authz_server.keyhash import KeyedHash
from authz_server.signals import NO_READINGS, Measurement, Readings, Signal
from authz_server.state.memory import MemoryStore

LOCAL_S: Final = 30.0
"""So long one caller's steps may go by what this replica alone has counted. A failover takes seconds; who takes the store away
for longer is not to live on limits that each replica keeps for itself."""
SETTLED_S: Final = 1.0
"""Without a failure for so long an outage is over. Not with the first answer: of a cluster one node may be away, and a store that
answers now and then would otherwise start this replica's counters afresh with each answer."""
MAX_ALONE: Final = 65_536
"""Callers that one outage keeps apart, about 10 MB; those beyond are denied what only local counts would let through."""


class Lone(NamedTuple):
    """How a step was measured that the store did not answer."""

    readings: Readings
    local: bool
    """Whether rules may go by these readings."""
    owed: bool = False
    """Whether the store has certainly not counted it, so that it can be told later."""


class Alone:
    """This replica's own memory. Threads share it.

    The memory is empty while the store answers: what is counted is noted in the journal. With the first step of a caller that
    the store does not answer, what the journal holds of that caller is counted at its own times, so that an outage gives
    nobody fresh counters; what the store answers in between follows with the caller's next step that it does not. When the
    outage is over the memory is emptied, and the journal still knows what happened in it.

    Attributes:
        under_way: whether there is an outage.
    """

    __slots__ = (
        "_counted",
        "_failed_at",
        "_journal",
        "_keyed",
        "_local",
        "_lock",
        "_monotonic",
        "_signals",
        "_since",
        "under_way",
    )

    def __init__(
        self,
        local: MemoryStore,
        keyed: KeyedHash,
        monotonic: Callable[[], float],
        signals: Callable[[], Mapping[str, Signal]],
    ) -> None:
        """Take the memory, which is this object's from now on.

        Args:
            local: nobody else's store: it is emptied.
            keyed: hashes what is too long to be kept.
            monotonic: seconds.
            signals: gives those of the policy in force by id.
        """
        self._signals = signals
        self._local = local
        self._keyed = keyed
        self._monotonic = monotonic
        self._journal = Journal()
        self._lock = Lock()
        self._since: dict[str, float] = {}
        """By caller, when its first step since the store's last answer was decided without it."""
        self._counted: dict[str, int] = {}
        """By caller, the number of the last note that the memory has counted."""
        self._failed_at = 0.0
        self.under_way = False

    @property
    def noted(self) -> int:
        """How many measurements the journal holds."""
        return len(self._journal)

    def note(self, owner: str, now: float, measurement: Measurement, *, large: bool) -> None:
        """Note what the store has counted; see `Journal.note`. A `large` one may have long texts."""
        self._journal.note(owner, now, self._own(measurement) if large else measurement)

    def measure(self, owner: str, now: float, measurement: Measurement) -> Lone:
        """Count and read what the store did not answer.

        Args:
            owner: as in `Journal.note`.
            now: Unix time in seconds.
            measurement: of one of its steps.
        """
        with self._lock:
            self.under_way = True
            self._failed_at = moment = self._monotonic()
            since = self._since.get(owner)
            if since is None:
                if len(self._since) >= MAX_ALONE:
                    return unread(measurement)
                since = self._since[owner] = moment
            self._recall(owner)
            own = self._own(measurement)
            (result,) = self._local.apply([own])
            if isinstance(result, StateUnavailableError):  # it is full
                return unread(measurement)
            if measurement.hits and not result.repeated:
                self._counted[owner] = self._journal.note(owner, now, own)
            return Lone(result._replace(degraded=True), moment - since < LOCAL_S)

    def answered(self, owner: str, *, counts: bool = True) -> None:
        """Take note, during an outage, that the store has answered a step of this caller.

        One that counts nothing says nothing about counting, and ends only an outage in which nobody has counted either.
        """
        with self._lock:
            if not counts and self._counted:
                return
            self._since.pop(owner, None)
            if self.under_way and self._monotonic() - self._failed_at >= SETTLED_S:
                self.under_way = False
                self._since.clear()
                self._counted.clear()
                self._local.clear()

    def _recall(self, owner: str) -> None:
        """Count what the journal holds of a caller and the memory does not, each at its own time."""
        for number, time, noted in self._journal.recall(owner, self._counted.get(owner, 0), self._signals()):
            self._local.apply_at([self._own(noted)], int(time * 1000))
            self._counted[owner] = number

    def _own(self, measurement: Measurement) -> Measurement:
        """The measurement as the memory and the journal keep it: long texts hashed, without flags, which only the store has."""
        return measurement._replace(hits=shortened(measurement.hits, self._keyed), flags=())


def unread(measurement: Measurement) -> Lone:
    """What is known of a step that nobody has counted: nothing, by which no rule may go."""
    return Lone(NO_READINGS._replace(values=(0,) * len(measurement.hits), degraded=True), local=False)
