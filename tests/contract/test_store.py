"""What all stores do with a step, whatever it measures: repeats, containment, batches."""

from collections.abc import Callable
from threading import Thread

import pytest

from authz_server.errors import StateUnavailableError
from authz_server.model import Containment
from authz_server.signals import Hit, Measurement, Readings, Signal, SignalKind
from tests.contract.stores import ALICE, BOB, CALLS, CHAIN, HABITS, RISK, SPEND, TARGETS, WALK, WINDOW, Stand, align


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


class TestSharedInstance:
    """Hits of one step on one instance."""

    @pytest.mark.parametrize(
        ("reader", "first", "second", "reading"),
        [
            (Hit(CALLS, ALICE, amount=0), Hit(CALLS, ALICE), Hit(CALLS, ALICE), 1),
            (Hit(TARGETS, ALICE), Hit(TARGETS, ALICE, member="a"), Hit(TARGETS, ALICE, member="a"), 1),
            (Hit(CHAIN, ALICE), Hit(CHAIN, ALICE, stage=0), Hit(CHAIN, ALICE, stage=4), 1),
        ],
    )
    def test_first_that_counts_stands_for_all(
        self, stand: Stand, reader: Hit, first: Hit, second: Hit, reading: int
    ) -> None:
        """Once if any of them counts, whatever stands before it; all read what it reads."""
        align(stand)
        assert stand.step(reader, first, second, reader).values == (reading,) * 4
        assert stand.step(reader).values == (reading,)
        assert stand.step(reader, reader).values == (reading,) * 2

    def test_each_member_counts_and_one_stage(self, stand: Stand) -> None:
        """Two members of one step are two, the same twice is one; the stage of a hit behind the first is not seen."""
        hits = (Hit(TARGETS, ALICE, member="a"), Hit(TARGETS, ALICE, member="b"), Hit(TARGETS, ALICE, member="a"))
        chain = (Hit(CHAIN, ALICE, stage=0), Hit(CHAIN, ALICE, stage=1))
        assert stand.step(*hits, *chain).values == (2, 2, 2, 1, 1)
        assert stand.step(Hit(TARGETS, ALICE, member="b"), Hit(CHAIN, ALICE, stage=1)).values == (2, 2)


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

    @pytest.mark.parametrize(
        "hit",
        [
            Hit(CALLS, ALICE, amount=256), Hit(CALLS, ALICE, amount=-1), Hit(HABITS, ALICE, amount=2),
            Hit(RISK, ALICE, amount=10_000_001), Hit(SPEND, ALICE, amount=-10_000_001), Hit(CALLS, ALICE, stage=0),
            Hit(CHAIN, ALICE, stage=-2), Hit(WALK._replace(id="00000020", share=5), ALICE),
        ],
    )  # fmt: skip
    def test_hit_out_of_bounds_fails_its_step(self, stand: Stand, hit: Hit) -> None:
        """A step with a hit that no store holds is not counted at all."""
        align(stand)
        (entry,) = stand.store.apply([Measurement((Hit(CALLS, ALICE), hit), b"")])
        assert isinstance(entry, StateUnavailableError)
        assert entry.code == "signal_unsupported"
        assert stand.read(Hit(CALLS, ALICE)) == 1

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
