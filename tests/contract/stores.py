"""What the contract tests share: a store on virtual time, entities and signals."""

from authz_server.keyhash import KeyedHash
from authz_server.model import Entity
from authz_server.signals import Hit, Measurement, Readings, Signal, SignalKind
from authz_server.state.base import Store
from tests.servers import Server, VirtualClock

KEYED = KeyedHash(b"k" * 32)
WINDOW = 10_000
ALICE = Entity("principal", ("spiffe://corp.example/ns/agents/sa/alice",))
BOB = Entity("principal", ("spiffe://corp.example/ns/agents/sa/bob",))
CALLS = Signal("calls", "00000001", SignalKind.COUNT, WINDOW, cap=4)
TARGETS = Signal("targets", "00000002", SignalKind.DISTINCT, WINDOW, cap=3)
CHAIN = Signal("chain", "00000003", SignalKind.SEQUENCE, 6 * WINDOW, half_life_ms=WINDOW, stages=5)
HABITS = Signal("habits", "00000004", SignalKind.FAMILIAR, WINDOW, cap=3)
RISK = Signal("risk", "00000005", SignalKind.LEVEL, 0, cap=24, half_life_ms=WINDOW)
WALK = Signal("walk", "00000006", SignalKind.LEVEL, 0, cap=24, half_life_ms=WINDOW, ring=4, share=2)
SPEND = Signal("spend", "00000007", SignalKind.BUDGET, WINDOW, cap=100)


class Stand:
    """A store and the clock that drives it; `server` is where it stores, if not in this process."""

    def __init__(self, store: Store, clock: VirtualClock, server: Server | None = None) -> None:
        self.store = store
        self.clock = clock
        self.server = server

    def step(self, *hits: Hit, fingerprint: bytes = b"", flags: tuple[Entity, ...] = ()) -> Readings:
        (entry,) = self.store.apply([Measurement(hits, fingerprint, flags)])
        assert isinstance(entry, Readings), entry
        return entry

    def read(self, hit: Hit) -> int:
        return self.step(hit).values[0]


def align(stand: Stand, window: int = WINDOW) -> None:
    """Move to the beginning of a bucket."""
    stand.clock.advance(-stand.clock.now_ms % window)
