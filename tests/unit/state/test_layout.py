"""What the stores can hold."""

import pytest

from authz_server.keyhash import KeyedHash
from authz_server.model import Entity
from authz_server.signals import Hit, Signal, SignalKind
from authz_server.state import layout
from authz_server.state.keys import Keys
from authz_server.state.layout import MAX_AMOUNT, NO_GROUP, Layouts, fault_of, is_reader, ring_entry, unite

COUNT = Signal("c", "0000000a", SignalKind.COUNT, 1000, cap=10)
DISTINCT = Signal("d", "0000000b", SignalKind.DISTINCT, 1000, cap=10)
SEQUENCE = Signal("s", "0000000c", SignalKind.SEQUENCE, 1000, half_life_ms=0, stages=5)
FAMILIAR = Signal("f", "0000000d", SignalKind.FAMILIAR, 1000, cap=10)
LEVEL = Signal("l", "0000000e", SignalKind.LEVEL, 0, cap=10, half_life_ms=1000, ring=4, share=2)
BUDGET = Signal("b", "0000000f", SignalKind.BUDGET, 1000, cap=10)
ALICE = Entity("principal", ("alice",))
KEYS = Keys(KeyedHash(b"k" * 32))


@pytest.mark.parametrize(
    "signal",
    [
        COUNT,
        COUNT._replace(cap=2**32 - 1),
        COUNT._replace(window_ms=2**36, cap=2**17 - 1),
        DISTINCT._replace(cap=1024, window_ms=2**36),
        SEQUENCE._replace(stages=100, half_life_ms=2**36),
        FAMILIAR._replace(cap=1024, window_ms=2**36),
        LEVEL._replace(cap=10_000, half_life_ms=2**36, ring=32, share=32),
        LEVEL._replace(cap=1, half_life_ms=1, ring=0, share=0),
        BUDGET._replace(cap=2**31, window_ms=2**36),
    ],
)
def test_within_bounds(signal: Signal) -> None:
    """Signals up to the bounds have no fault and a layout."""
    assert fault_of(signal) == ""
    assert Layouts().of(Hit(signal, ALICE)) is not None


@pytest.mark.parametrize(
    ("signal", "said"),
    [
        (COUNT._replace(id="0000000A"), "8 hexadecimal digits"),
        (COUNT._replace(id="0000000a\n"), "8 hexadecimal digits"),
        (COUNT._replace(window_ms=0), "1 to 68719476736 ms"),
        (COUNT._replace(window_ms=2**36 + 1), "1 to 68719476736 ms"),
        (COUNT._replace(cap=0), "between 1 and 4294967295"),
        (COUNT._replace(cap=2**32), "between 1 and 4294967295"),
        (COUNT._replace(window_ms=2**36, cap=2**17), "between 1 and 131071"),
        (DISTINCT._replace(cap=0), "a distinct list has 1 to 1024 members"),
        (DISTINCT._replace(cap=1025), "1 to 1024 members"),
        (SEQUENCE._replace(stages=0), "1 to 100 stages"),
        (SEQUENCE._replace(stages=101), "1 to 100 stages"),
        (SEQUENCE._replace(half_life_ms=-1), "half-life"),
        (SEQUENCE._replace(half_life_ms=2**36 + 1), "half-life"),
        (FAMILIAR._replace(cap=0), "a familiar list has 1 to 1024 members"),
        (FAMILIAR._replace(cap=1025), "1 to 1024 members"),
        (FAMILIAR._replace(window_ms=0), "a window lasts"),
        (LEVEL._replace(cap=0), "1 to 10000 units"),
        (LEVEL._replace(cap=10_001), "1 to 10000 units"),
        (LEVEL._replace(half_life_ms=0), "half-life of 1 to 68719476736 ms"),
        (LEVEL._replace(half_life_ms=2**36 + 1), "half-life of 1 to 68719476736 ms"),
        (LEVEL._replace(ring=33), "remembers 0 to 32 members"),
        (LEVEL._replace(ring=-1), "remembers 0 to 32 members"),
        (LEVEL._replace(share=5), "0 to 4"),
        (LEVEL._replace(share=-1), "0 to 4"),
        (BUDGET._replace(cap=0), "1 to 2147483648 units"),
        (BUDGET._replace(cap=2**31 + 1), "1 to 2147483648 units"),
        (BUDGET._replace(window_ms=2**36 + 1), "a window lasts"),
    ],
)
def test_out_of_bounds(signal: Signal, said: str) -> None:
    """A signal beyond a bound has a fault that names the bound, and no layout."""
    assert said in fault_of(signal)
    assert Layouts().of(Hit(signal, ALICE)) is None


def test_bound_that_is_named_is_the_bound() -> None:
    """The largest cap that the message names is accepted."""
    signal = COUNT._replace(window_ms=7 * 86_400_000, cap=2**31)
    largest = int(fault_of(signal).rsplit(" ", 1)[1])
    assert fault_of(signal._replace(cap=largest)) == ""
    assert fault_of(signal._replace(cap=largest + 1)) != ""


def test_layouts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Policies that come and go do not pile up."""
    monkeypatch.setattr(layout, "MAX_LAYOUTS", 5)
    layouts = Layouts()
    for n in range(50):
        assert layouts.of(Hit(COUNT._replace(id=f"{n:08x}"), ALICE)) is not None
    assert len(layouts._known) <= 5


@pytest.mark.parametrize(
    ("signal", "least", "most"),
    [
        (COUNT, 0, 255),
        (FAMILIAR, 0, 1),
        (LEVEL, -MAX_AMOUNT, MAX_AMOUNT),
        (BUDGET, -MAX_AMOUNT, MAX_AMOUNT),
    ],
)
def test_bounds_of_an_amount(signal: Signal, least: int, most: int) -> None:
    """A hit whose amount its kind does not know has no layout."""
    layouts = Layouts()
    held = [layouts.of(Hit(signal, ALICE, amount=n)) is not None for n in (least - 1, least, most, most + 1)]
    assert held == [False, True, True, False]


def test_bounds_of_a_stage() -> None:
    """A stage is one of the signal's, or -1; other kinds have none."""
    layouts = Layouts()
    assert [layouts.of(Hit(SEQUENCE, ALICE, stage=n)) is not None for n in (-2, -1, 4, 5)] == [False, True, True, False]
    assert [layouts.of(Hit(LEVEL, ALICE, stage=n)) is not None for n in (-1, 0)] == [True, False]


@pytest.mark.parametrize(
    ("reader", "counter"),
    [
        (Hit(COUNT, ALICE, amount=0), Hit(COUNT, ALICE)),
        (Hit(DISTINCT, ALICE), Hit(DISTINCT, ALICE, (), "m")),
        (Hit(SEQUENCE, ALICE), Hit(SEQUENCE, ALICE, stage=0)),
        (Hit(FAMILIAR, ALICE, (), "m", amount=0), Hit(FAMILIAR, ALICE, (), "m")),
        (Hit(FAMILIAR, ALICE), Hit(FAMILIAR, ALICE, (), "m")),
        (Hit(LEVEL, ALICE, amount=0), Hit(LEVEL, ALICE, amount=-1)),
        (Hit(BUDGET, ALICE, amount=0), Hit(BUDGET, ALICE, amount=-1)),
    ],
)
def test_first_that_counts_stands_for_its_name(reader: Hit, counter: Hit) -> None:
    """Of the hits with one name the first that counts is measured, or the first if none does."""
    assert is_reader(reader)
    assert not is_reader(counter)
    assert unite([b"k", b"k", b"x", b"k"], [reader, counter, reader, counter]) == [1, 1, 2, 1]
    assert unite([b"k", b"x", b"k"], [reader, reader, reader]) == [0, 1, 0]


def test_ring_entry_names_member_and_group() -> None:
    """A group stands in the ring only for a step that raises a level with shares."""
    member, group = KEYS.member("m")[:6], KEYS.member("g")[:2]
    hit = Hit(LEVEL, ALICE, (), "m", amount=5, group="g")
    assert ring_entry(KEYS, hit) == member + group
    assert ring_entry(KEYS, hit._replace(amount=-5)) == member + NO_GROUP
    assert ring_entry(KEYS, hit._replace(signal=LEVEL._replace(share=0))) == member + NO_GROUP
    assert ring_entry(KEYS, hit._replace(signal=LEVEL._replace(ring=0, share=0))) == b""


def test_a_changed_cap_is_laid_out_anew() -> None:
    """A reload that raises a limit keeps the id of what is stored and changes how much of it is kept."""
    layouts = Layouts()
    before = layouts.of(Hit(DISTINCT._replace(cap=8), ALICE))
    after = layouts.of(Hit(DISTINCT._replace(cap=82), ALICE))
    assert before is not None
    assert after is not None
    assert before.record != after.record
