"""The bounded queue between decisions and their records.

A decision only appends; one thread builds the records and gives them to the sink. When the sink is slower than the decisions the
queue fills, and the configuration says what happens then: `drop` loses the newest records and counts them, `block` makes the
decision threads wait, so that nothing is answered that is not on record.
"""

import logging
from collections import deque
from collections.abc import Callable
from threading import Event, Lock
from typing import Any, Final, Protocol

from authz_server import record
from authz_server.record import DecisionEvent

LOG: Final = logging.getLogger(__name__)

MAX_QUEUED: Final = 65_536
"""About 60 MB of events, ten times that where all have the longest paths; four seconds of decisions at full load."""
WHOLE: Final = 256
"""So many may wait as they are, with bodies, headers and certificates: 70 MB at worst. Of the others only what is recorded waits."""
_IDLE_S: Final = 0.05
"""How long a record may wait for company before it is written."""
_BATCH: Final = 256
"""Records in one write to the sink."""


class Sink(Protocol):
    """Where records go."""

    def write(self, records: list[dict[str, Any]]) -> None:
        """Write the records, in order; may raise OSError."""

    def close(self) -> None:
        """Write out everything and let go of the file."""


class AuditQueue:
    """Hands decision events to a sink. `submit` may be called from any thread; `run` is one thread's loop."""

    def __init__(self, sink: Sink, *, block: bool, capacity: int = MAX_QUEUED, sleep: Callable[[float], None]) -> None:
        """Build the queue.

        Args:
            sink: receives the records.
            block: when full, wait instead of dropping.
            capacity: events that may wait.
            sleep: how a blocked `submit` waits, in seconds.
        """
        self._sink = sink
        self._block = block
        self._capacity = capacity
        self._sleep = sleep
        self._events: deque[DecisionEvent] = deque()
        self._stopping = Event()
        self._lock = Lock()
        self.dropped = 0
        self.failed = 0

    def submit(self, event: DecisionEvent) -> None:
        """Queue one event; the record is built later, by `run`."""
        if len(self._events) >= self._capacity:
            if not self._block:
                with self._lock:
                    self.dropped += 1
                return
            while len(self._events) >= self._capacity and not self._stopping.is_set():
                self._sleep(_IDLE_S)
        self._events.append(event if len(self._events) < WHOLE else record.slim(event))

    def run(self) -> None:
        """Write records until `stop`, then those that are left."""
        while not self._stopping.wait(_IDLE_S):
            self.flush()
        self.flush()
        self._sink.close()

    def stop(self) -> None:
        """Make `run` return after the queue is written out."""
        self._stopping.set()

    def flush(self) -> None:
        """Write what is queued now."""
        while self._events:
            events = [self._events.popleft() for _ in range(min(_BATCH, len(self._events)))]
            try:
                self._sink.write([record.build(event) for event in events])
            except OSError as error:
                self.failed += len(events)
                LOG.error("decision records could not be written: %s", error.strerror)  # noqa: TRY400 - the text is enough
