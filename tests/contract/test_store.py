"""One suite for all stores: the memory store, and the script in Valkey and (where installed) Redis, on virtual time."""

import random
from collections.abc import Callable, Iterator
from threading import Thread

import pytest

from authz_server.errors import StateUnavailableError
from authz_server.keyhash import KeyedHash
from authz_server.model import Containment, Entity
from authz_server.signals import Hit, Measurement, Readings, Signal, SignalKind
from authz_server.state.base import Store
from authz_server.state.memory import MemoryStore
from authz_server.state.redis import RedisStore
from tests.servers import VirtualClock, step_on_virtual_time

WINDOW = 10_000
ALICE = Entity("principal", ("spiffe://corp.example/ns/agents/sa/alice",))
BOB = Entity("principal", ("spiffe://corp.example/ns/agents/sa/bob",))
CALLS = Signal("calls", "00000001", SignalKind.COUNT, WINDOW, cap=4)
TARGETS = Signal("targets", "00000002", SignalKind.DISTINCT, WINDOW, cap=3)
CHAIN = Signal("chain", "00000003", SignalKind.SEQUENCE, 6 * WINDOW, half_life_ms=WINDOW, stages=5)


class Stand:
    """A store and the clock that drives it."""

    def __init__(self, store: Store, clock: VirtualClock) -> None:
        self.store = store
        self.clock = clock

    def step(self, *hits: Hit, fingerprint: bytes = b"", flags: tuple[Entity, ...] = ()) -> Readings:
        (entry,) = self.store.apply([Measurement(hits, fingerprint, flags)])
        assert isinstance(entry, Readings), entry
        return entry

    def read(self, hit: Hit) -> int:
        return self.step(hit).values[0]


@pytest.fixture(params=["memory", "valkey", "redis"])
def stand(request: pytest.FixtureRequest) -> Iterator[Stand]:
    keyed = KeyedHash(b"k" * 32)
    clock = VirtualClock()
    if request.param == "memory":
        yield Stand(MemoryStore(keyed, clock), clock)
        return
    server = request.getfixturevalue(f"{request.param}_server")
    with server.client() as client:
        client.flushall()
        clock.drive(client)
        store = RedisStore(
            server.url, keyed, clock_ms=clock, monotonic=lambda: 0.0, jitter=random.random, budget_ms=5000,
            step=step_on_virtual_time(),
        )  # fmt: skip
        yield Stand(store, clock)
        store.close()


def align(stand: Stand, window: int = WINDOW) -> None:
    """Move to the beginning of a bucket."""
    stand.clock.advance(-stand.clock.now_ms % window)


class TestCount:
    def test_counts_this_step(self, stand: Stand) -> None:
        """Each step reads itself and the steps before it."""
        align(stand)
        assert [stand.read(Hit(CALLS, ALICE)) for _ in range(3)] == [1, 2, 3]

    def test_saturates(self, stand: Stand) -> None:
        """The current bucket stops at the cap."""
        align(stand)
        assert [stand.read(Hit(CALLS, ALICE)) for _ in range(6)] == [1, 2, 3, 4, 4, 4]

    def test_weighs_the_previous_bucket(self, stand: Stand) -> None:
        """What the previous bucket saw fades as the window slides off it."""
        align(stand)
        stand.clock.advance(5000)
        for _ in range(4):
            stand.read(Hit(CALLS, ALICE))
        stand.clock.advance(5000)
        assert stand.read(Hit(CALLS, ALICE)) == 1 + 4
        stand.clock.advance(2500)
        assert stand.read(Hit(CALLS, ALICE)) == 2 + 3
        stand.clock.advance(2400)
        assert stand.read(Hit(CALLS, ALICE)) == 3 + 2

    def test_saturated_steps_keep_the_window_open(self, stand: Stand) -> None:
        """Steps above the cap are no silence: the next bucket still sees the full one before it."""
        align(stand)
        for _ in range(10):
            stand.read(Hit(CALLS, ALICE))
            stand.clock.advance(999)
        stand.clock.advance(510)
        assert stand.read(Hit(CALLS, ALICE)) == 1 + 3

    def test_silence_of_a_window_empties(self, stand: Stand) -> None:
        """After exactly one window without a step the next one reads 1, wherever the buckets lie."""
        for offset in (0, 1, 4999, 9999):
            align(stand)
            stand.clock.advance(offset)
            for _ in range(9):
                stand.read(Hit(CALLS, ALICE))
            stand.clock.advance(WINDOW)
            assert stand.read(Hit(CALLS, ALICE)) == 1
            stand.clock.advance(WINDOW)

    def test_clock_that_steps_back_over_counts(self, stand: Stand) -> None:
        """A server whose clock goes back goes on counting in the bucket it had."""
        align(stand)
        stand.read(Hit(CALLS, ALICE))
        stand.clock.advance(-35_000)
        assert stand.read(Hit(CALLS, ALICE)) == 2

    def test_clock_that_steps_back_keeps_the_share_of_before(self, stand: Stand) -> None:
        """While the clock is back, the previous bucket weighs what it weighed when the clock was ahead."""
        align(stand)
        stand.clock.advance(5000)
        for _ in range(4):
            stand.read(Hit(CALLS, ALICE))
        stand.clock.advance(10_000 - 2500)
        assert stand.read(Hit(CALLS, ALICE)) == 1 + 3
        stand.clock.advance(-2000)
        assert stand.read(Hit(CALLS, ALICE)) == 2 + 3

    def test_large_numbers_are_exact(self, stand: Stand) -> None:
        """The share of the previous bucket is exact up to the bounds of a signal."""
        year = 365 * 86_400_000
        signal = Signal("year", "0000000a", SignalKind.COUNT, year, cap=200_000)
        align(stand, year)
        stand.clock.advance(year - 1)
        for _ in range(7):
            stand.read(Hit(signal, ALICE))
        stand.clock.advance(2)
        assert stand.read(Hit(signal, ALICE)) == 1 + 6

    def test_instances_are_apart(self, stand: Stand) -> None:
        """Entity and each further part of the key name an instance of their own."""
        align(stand)
        stand.read(Hit(CALLS, ALICE))
        apart = [
            Hit(CALLS, BOB),
            Hit(CALLS, ALICE, ("a", "bc")),
            Hit(CALLS, ALICE, ("ab", "c")),
            Hit(CALLS, ALICE, ("",)),
        ]
        assert stand.step(*apart).values == (1, 1, 1, 1)

    def test_one_instance_counts_once_a_step(self, stand: Stand) -> None:
        """Two hits of a step on the same instance count one, and read the same."""
        align(stand)
        assert stand.step(Hit(CALLS, ALICE), Hit(CALLS, BOB), Hit(CALLS, ALICE)).values == (1, 1, 1)
        assert stand.step(Hit(CALLS, BOB), Hit(CALLS, ALICE), Hit(CALLS, ALICE)).values == (2, 2, 2)


class TestDistinct:
    def test_counts_members(self, stand: Stand) -> None:
        """A known member adds nothing, a new one does."""
        assert [stand.read(Hit(TARGETS, ALICE, member=m)) for m in "aabac"] == [1, 1, 2, 2, 3]

    def test_full_list_reads_cap_and_one(self, stand: Stand) -> None:
        """A full list takes no more members, and still knows its own."""
        assert [stand.read(Hit(TARGETS, ALICE, member=m)) for m in "abcdeda"] == [1, 2, 3, 4, 4, 4, 3]

    def test_members_leave_with_the_window(self, stand: Stand) -> None:
        """A member is alive for less than a window after it was last seen."""
        stand.read(Hit(TARGETS, ALICE, member="a"))
        stand.clock.advance(4000)
        stand.read(Hit(TARGETS, ALICE, member="b"))
        stand.clock.advance(WINDOW - 4001)
        assert stand.read(Hit(TARGETS, ALICE, member="b")) == 2
        stand.clock.advance(1)
        assert stand.read(Hit(TARGETS, ALICE, member="c")) == 2

    def test_refresh_keeps_a_member_alive(self, stand: Stand) -> None:
        """Being seen again starts a member's window anew, and frees the place of those that were not."""
        for member in "abc":
            stand.read(Hit(TARGETS, ALICE, member=member))
        stand.clock.advance(WINDOW - 1)
        stand.read(Hit(TARGETS, ALICE, member="b"))
        stand.clock.advance(1)
        assert stand.read(Hit(TARGETS, ALICE, member="x")) == 2
        assert stand.read(Hit(TARGETS, ALICE, member="b")) == 2

    def test_silence_of_a_window_empties(self, stand: Stand) -> None:
        """After one window without a step only this step's member is there."""
        for member in "abcd":
            stand.read(Hit(TARGETS, ALICE, member=member))
        stand.clock.advance(WINDOW)
        assert stand.read(Hit(TARGETS, ALICE, member="z")) == 1

    def test_empty_member_only_reads(self, stand: Stand) -> None:
        """A step without a value sees what was seen and adds nothing."""
        assert stand.read(Hit(TARGETS, ALICE)) == 0
        stand.read(Hit(TARGETS, ALICE, member="a"))
        assert stand.read(Hit(TARGETS, ALICE)) == 1
        stand.clock.advance(WINDOW)
        assert stand.read(Hit(TARGETS, ALICE)) == 0

    def test_many_members(self, stand: Stand) -> None:
        """A long list finds each member again, whatever bytes their hashes have."""
        signal = Signal("many", "0000000b", SignalKind.DISTINCT, WINDOW, cap=600)
        members = [str(n) for n in range(600)]
        readings = [stand.read(Hit(signal, ALICE, member=m)) for m in members + members]
        assert readings == [*range(1, 601), *[600] * 600]


class TestSequence:
    def test_chain_in_order(self, stand: Stand) -> None:
        """Each stage in order adds one."""
        assert [stand.read(Hit(CHAIN, ALICE, stage=s)) for s in range(5)] == [1, 2, 3, 4, 5]

    def test_skipped_stage_counts_half(self, stand: Stand) -> None:
        """A stage that was passed over counts half a step."""
        stand.read(Hit(CHAIN, ALICE, stage=0))
        assert stand.read(Hit(CHAIN, ALICE, stage=2)) == 2
        assert stand.read(Hit(CHAIN, ALICE, stage=4)) == 4

    def test_late_stage_alone_is_one(self, stand: Stand) -> None:
        """Without an earlier stage there is no chain."""
        assert [stand.read(Hit(CHAIN, ALICE, stage=s)) for s in (4, 3, 2)] == [1, 1, 1]

    def test_earlier_stage_lowers_nothing(self, stand: Stand) -> None:
        """Going back to an earlier stage keeps what was reached, its own depth included."""
        for stage in (0, 1, 2):
            stand.read(Hit(CHAIN, ALICE, stage=stage))
        assert stand.read(Hit(CHAIN, ALICE, stage=0)) == 3
        assert stand.read(Hit(CHAIN, ALICE, stage=1)) == 3
        assert stand.read(Hit(CHAIN, ALICE, stage=3)) == 4

    def test_own_depth_outlives_what_it_was_built_on(self, stand: Stand) -> None:
        """A stage that is met again keeps its depth although the stages before it are gone."""
        signal = Signal("slow", "0000000f", SignalKind.SEQUENCE, WINDOW, stages=3)
        stand.read(Hit(signal, ALICE, stage=0))
        stand.clock.advance(6000)
        assert stand.read(Hit(signal, ALICE, stage=1)) == 2
        stand.clock.advance(4000)
        assert [stand.read(Hit(signal, ALICE, stage=1)) for _ in range(2)] == [2, 2]

    def test_without_a_stage_only_reads(self, stand: Stand) -> None:
        """A step without a stage sees the chain and does not keep it alive."""
        assert stand.read(Hit(CHAIN, ALICE)) == 0
        stand.read(Hit(CHAIN, ALICE, stage=0))
        stand.clock.advance(WINDOW - 1)
        assert stand.read(Hit(CHAIN, ALICE)) == 1
        stand.clock.advance(1)
        assert stand.read(Hit(CHAIN, ALICE)) == 0

    def test_halves_with_whole_half_lives(self, stand: Stand) -> None:
        """A depth stays whole until a whole half-life has passed."""
        for stage in range(4):
            stand.read(Hit(CHAIN, ALICE, stage=stage))
        stand.clock.advance(WINDOW - 1)
        assert stand.read(Hit(CHAIN, ALICE)) == 4
        stand.clock.advance(1)
        assert stand.read(Hit(CHAIN, ALICE)) == 2
        stand.clock.advance(WINDOW)
        assert stand.read(Hit(CHAIN, ALICE)) == 1
        assert stand.read(Hit(CHAIN, ALICE, stage=4)) == 2

    def test_stages_leave_with_the_window(self, stand: Stand) -> None:
        """A stage older than the window is nothing, whatever its depth."""
        signal = Signal("slow", "0000000c", SignalKind.SEQUENCE, WINDOW, stages=3)
        stand.read(Hit(signal, ALICE, stage=0))
        stand.clock.advance(6000)
        assert stand.read(Hit(signal, ALICE, stage=1)) == 2
        stand.clock.advance(4000)
        assert stand.read(Hit(signal, ALICE)) == 2
        stand.clock.advance(6000)
        assert stand.read(Hit(signal, ALICE, stage=2)) == 1


class TestRepeat:
    HITS = (Hit(CALLS, ALICE), Hit(TARGETS, ALICE, member="a"), Hit(CHAIN, ALICE, stage=1))

    def test_repeat_reads_and_counts_nothing(self, stand: Stand) -> None:
        """A byte-identical step reads what the first one read."""
        align(stand)
        first = stand.step(*self.HITS, fingerprint=b"1" * 16)
        again = stand.step(*self.HITS, fingerprint=b"1" * 16)
        assert (first.repeated, again.repeated) == (False, True)
        assert first.values == again.values == (1, 1, 1)
        assert stand.step(*self.HITS, fingerprint=b"2" * 16) == Readings((2, 1, 1))

    def test_repeat_keeps_nothing_alive(self, stand: Stand) -> None:
        """A repeat starts no window anew."""
        chain = CHAIN._replace(id="00000010", window_ms=WINDOW)
        hits = (Hit(CALLS, ALICE), Hit(TARGETS, ALICE, member="a"), Hit(chain, ALICE, stage=1))
        align(stand)
        stand.clock.advance(5000)
        stand.step(*hits, fingerprint=b"5" * 16)
        stand.clock.advance(1999)
        assert stand.step(*hits, fingerprint=b"5" * 16).repeated
        stand.clock.advance(WINDOW - 1999)
        late = (Hit(CALLS, ALICE), Hit(TARGETS, ALICE), Hit(chain, ALICE))
        assert stand.step(*late).values == (1, 0, 0)

    def test_repeat_within_one_batch(self, stand: Stand) -> None:
        """A repeat may overlap the first, down to the same batch."""
        align(stand)
        measurement = Measurement((Hit(CALLS, ALICE),), b"3" * 16)
        entries = stand.store.apply([measurement, measurement])
        assert entries == [Readings((1,)), Readings((1,), repeated=True)]

    def test_full_list_reads_the_same_to_a_repeat(self, stand: Stand) -> None:
        """A member that found no room reads cap + 1 in the repeat as well."""
        for member in "abc":
            stand.read(Hit(TARGETS, ALICE, member=member))
        hit = Hit(TARGETS, ALICE, member="d")
        assert [stand.step(hit, fingerprint=b"4" * 16).values for _ in range(2)] == [(4,), (4,)]

    def test_without_fingerprint_all_count(self, stand: Stand) -> None:
        """No fingerprint, no detection."""
        align(stand)
        assert [stand.step(Hit(CALLS, ALICE)).repeated for _ in range(2)] == [False, False]
        assert stand.read(Hit(CALLS, ALICE)) == 3


class TestContainment:
    def test_reads_what_was_contained(self, stand: Stand) -> None:
        """A contained entity is reported to the steps that ask for it, with and without hits."""
        stand.store.contain(Containment(ALICE, stand.clock.now_ms / 1000 + 60, "r"))
        assert stand.step(flags=(BOB, ALICE)).contained == (ALICE,)
        assert stand.step(Hit(CALLS, BOB), flags=(ALICE,)).contained == (ALICE,)
        assert stand.step(flags=(BOB,)).contained == ()

    def test_release_ends_it(self, stand: Stand) -> None:
        """A released entity is free, and releasing it again is harmless."""
        stand.store.contain(Containment(ALICE, stand.clock.now_ms / 1000 + 60, "r"))
        stand.store.release(ALICE)
        stand.store.release(ALICE)
        assert stand.step(flags=(ALICE,)).contained == ()

    def test_past_containment_is_none(self, stand: Stand) -> None:
        """A containment that has ended is not stored."""
        stand.store.contain(Containment(ALICE, stand.clock.now_ms / 1000 - 1, "r"))
        assert stand.step(flags=(ALICE,)).contained == ()

    def test_failed_counting_still_reports_it(self, stand: Stand) -> None:
        """A step that cannot be counted is reported contained all the same, and marked."""
        stand.store.contain(Containment(ALICE, stand.clock.now_ms / 1000 + 60, "r"))
        broken = Hit(CALLS._replace(id="zz"), BOB)
        entries = stand.store.apply([Measurement((broken,), b"", (ALICE,)), Measurement((broken,), b"", (BOB,))])
        assert entries[0] == Readings((0,), contained=(ALICE,), degraded=True)
        assert isinstance(entries[1], StateUnavailableError)
        assert entries[1].code == "signal_unsupported"


class TestBatch:
    def test_entries_are_in_order(self, stand: Stand) -> None:
        """Each measurement of a batch has its entry, in order, the empty and the impossible ones too."""
        align(stand)
        stand.store.contain(Containment(BOB, stand.clock.now_ms / 1000 + 60, "r"))
        entries = stand.store.apply([
            Measurement((Hit(CALLS, ALICE),), b"a" * 16, (ALICE, BOB)),
            Measurement((), b"b" * 16),
            Measurement((Hit(CALLS._replace(window_ms=0, id="0000000d"), ALICE),), b""),
            Measurement((Hit(CALLS, ALICE), Hit(TARGETS, BOB, member="m")), b"c" * 16, (ALICE,)),
            Measurement((Hit(CHAIN, ALICE, stage=5),), b""),
        ])  # fmt: skip
        assert entries[0] == Readings((1,), contained=(BOB,))
        assert entries[1] == Readings(())
        assert entries[3] == Readings((2, 1))
        assert [e.code for e in entries if isinstance(e, StateUnavailableError)] == ["signal_unsupported"] * 2

    def test_empty_batch(self, stand: Stand) -> None:
        """Nothing asked, nothing answered."""
        assert list(stand.store.apply([])) == []

    def test_threads_share_a_store(self, stand: Stand) -> None:
        """Steps of several threads are all counted, each once."""
        signal = Signal("shared", "0000000e", SignalKind.COUNT, WINDOW, cap=10_000)

        def work() -> None:
            for _ in range(50):
                stand.store.apply([Measurement((Hit(signal, ALICE),), b"")] * 4)

        align(stand)
        in_parallel(work, 4)
        assert stand.read(Hit(signal, ALICE)) == 801

    def test_ping(self, stand: Stand) -> None:
        """A store that answers says so by raising nothing."""
        stand.store.ping()


def in_parallel(work: Callable[[], None], times: int) -> None:
    threads = [Thread(target=work) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
