"""Sequences, in every store."""

from authz_server.signals import Hit, Signal, SignalKind
from tests.contract.stores import ALICE, CHAIN, WINDOW, Stand


def test_chain_in_order(stand: Stand) -> None:
    """Each stage in order adds one."""
    assert [stand.read(Hit(CHAIN, ALICE, stage=s)) for s in range(5)] == [1, 2, 3, 4, 5]


def test_skipped_stage_counts_half(stand: Stand) -> None:
    """A stage that was passed over counts half a step."""
    stand.read(Hit(CHAIN, ALICE, stage=0))
    assert stand.read(Hit(CHAIN, ALICE, stage=2)) == 2
    assert stand.read(Hit(CHAIN, ALICE, stage=4)) == 4


def test_late_stage_alone_is_one(stand: Stand) -> None:
    """Without an earlier stage there is no chain."""
    assert [stand.read(Hit(CHAIN, ALICE, stage=s)) for s in (4, 3, 2)] == [1, 1, 1]


def test_earlier_stage_lowers_nothing(stand: Stand) -> None:
    """Going back to an earlier stage keeps what was reached, its own depth included."""
    for stage in (0, 1, 2):
        stand.read(Hit(CHAIN, ALICE, stage=stage))
    assert stand.read(Hit(CHAIN, ALICE, stage=0)) == 3
    assert stand.read(Hit(CHAIN, ALICE, stage=1)) == 3
    assert stand.read(Hit(CHAIN, ALICE, stage=3)) == 4


def test_own_depth_outlives_what_it_was_built_on(stand: Stand) -> None:
    """A stage that is met again keeps its depth although the stages before it are gone."""
    signal = Signal("slow", "0000000f", SignalKind.SEQUENCE, WINDOW, stages=3)
    stand.read(Hit(signal, ALICE, stage=0))
    stand.clock.advance(6000)
    assert stand.read(Hit(signal, ALICE, stage=1)) == 2
    stand.clock.advance(4000)
    assert [stand.read(Hit(signal, ALICE, stage=1)) for _ in range(2)] == [2, 2]


def test_without_a_stage_only_reads(stand: Stand) -> None:
    """A step without a stage sees the chain and does not keep it alive."""
    assert stand.read(Hit(CHAIN, ALICE)) == 0
    stand.read(Hit(CHAIN, ALICE, stage=0))
    stand.clock.advance(WINDOW - 1)
    assert stand.read(Hit(CHAIN, ALICE)) == 1
    stand.clock.advance(1)
    assert stand.read(Hit(CHAIN, ALICE)) == 0


def test_halves_with_whole_half_lives(stand: Stand) -> None:
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


def test_stages_leave_with_the_window(stand: Stand) -> None:
    """A stage older than the window is nothing, whatever its depth."""
    signal = Signal("slow", "0000000c", SignalKind.SEQUENCE, WINDOW, stages=3)
    stand.read(Hit(signal, ALICE, stage=0))
    stand.clock.advance(6000)
    assert stand.read(Hit(signal, ALICE, stage=1)) == 2
    stand.clock.advance(4000)
    assert stand.read(Hit(signal, ALICE)) == 2
    stand.clock.advance(6000)
    assert stand.read(Hit(signal, ALICE, stage=2)) == 1
