"""The rates of envelopes, shared by all replicas: each leases blocks of a window's steps from the store, and serves from them.

For each window of an envelope there is one budget in the store, of as many units as the envelope has steps. A reservation
that does not fit stores nothing, so that the blocks of all replicas are never more than the rate, whatever they do at the
same time. A decision only takes from the block that is there; the ticker asks for the next one before it is used up. Windows
are numbered by each replica's own clock: one that is off serves another window's budget, and not more of any.

A block whose answer is lost is lost with it, and so are those of a replica that dies: then less is let through, never more.
While the store does not answer each replica goes by its share of the rate; what it lets through is paid from the blocks that
it gets later in the same window.
"""

from collections.abc import Callable, Iterator, Sequence
from threading import Lock

from authz_server.engine.lease import Lease
from authz_server.errors import StateUnavailableError
from authz_server.policy.envelopes import MAX_RATES, Envelope
from authz_server.signals import Hit, Measurement, Readings
from authz_server.state.base import Store


class LeasedMeter:
    """Says whether a step is within its envelope's rate. Threads share `admits`; all else is for the one ticker.

    Args:
        replicas: how many share the rates.
        wake: asks for a tick before its time.
    """

    __slots__ = ("_closed", "_down", "_leases", "_lock", "_replicas", "_wake")

    def __init__(self, replicas: int, wake: Callable[[], None]) -> None:
        self._replicas = max(1, replicas)
        self._wake = wake
        self._lock = Lock()
        self._leases: dict[str, Lease] = {}
        self._down = False
        self._closed = False

    def admits(self, envelope: Envelope, now: float) -> bool:
        """Count one step; false when there is no room left for it here. Asks nobody.

        Args:
            envelope: whose rate it is.
            now: Unix time in seconds.
        """
        with self._lock:
            lease = self._leases.get(envelope.name)
            if lease is None or not lease.fits(envelope):
                lease = self._learn(envelope, now)
            lease.turn(now)
            lease.seen_at, lease.wanted = now, True
            if lease.left:
                lease.left -= 1
                lease.used_at = now
                admitted = True
            else:
                admitted = self._down and lease.served < envelope.share(self._replicas)
                lease.owed += admitted
            lease.served += admitted
            wakes = lease.is_low and not (lease.woken or lease.dry or self._down)
            if wakes:
                lease.woken = True
        if wakes:
            self._wake()
        return admitted

    def due(self, now: float) -> list[Measurement]:
        """What is to be asked of the store at this tick, each on its own; the answers go to `took`.

        Args:
            now: Unix time in seconds.
        """
        with self._lock:
            if self._closed:
                return []
            for lease in [*self._leases.values()]:
                if not lease.is_needed and (now - lease.seen_at) * 1000 > 2 * lease.envelope.window_ms:
                    del self._leases[lease.envelope.name]
            return _measured(hit for lease in self._leases.values() for hit in lease.due(now))

    def took(
        self, measurements: Sequence[Measurement], results: Sequence[Readings | StateUnavailableError], now: float
    ) -> None:
        """Take the answers of the store, and of nothing but the store.

        Args:
            measurements: of `due`.
            results: parallel to them.
            now: Unix time in seconds.
        """
        with self._lock:
            for measurement, result in zip(measurements, results, strict=True):
                (hit,) = measurement.hits
                if isinstance(result, StateUnavailableError) or result.degraded:
                    self._down = True
                    continue
                self._down = False
                lease = self._leases.get(hit.entity.parts[0])
                if lease is not None and lease.signal.id == hit.signal.id and hit.amount > 0:
                    lease.took(int(hit.rest[0]), hit.amount, result.values[0], now)
            again = any(lease.is_partly_refused for lease in self._leases.values())
        if again and not self._down:
            self._wake()

    def renew(self, store: Store, now: float) -> None:
        """Ask the store for what is due, and take its answers: one round trip, or none.

        Args:
            store: that the replicas share, and no other.
            now: Unix time in seconds.
        """
        asked = self.due(now)
        if asked:
            self.took(asked, store.apply(asked), now)

    def close(self, now: float) -> list[Measurement]:
        """Let nothing through any more, and give back what is left.

        Args:
            now: Unix time in seconds.

        Returns:
            What is to be told to the store; nobody waits for its answers.
        """
        with self._lock:
            self._closed = True
            leases, self._leases = [*self._leases.values()], {}
            for lease in leases:
                lease.turn(now)
            return _measured(hit for lease in leases for hit in lease.give_back())

    def _learn(self, envelope: Envelope, now: float) -> Lease:
        leases = self._leases
        if envelope.name not in leases and len(leases) >= MAX_RATES:
            del leases[min(leases, key=lambda name: leases[name].seen_at)]
        lease = leases[envelope.name] = Lease(envelope, self._replicas, now)
        return lease


def _measured(hits: Iterator[Hit]) -> list[Measurement]:
    return [Measurement((hit,), b"") for hit in hits]
