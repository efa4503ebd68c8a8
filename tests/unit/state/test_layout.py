"""What the stores can hold."""

import pytest

from authz_server.signals import Signal, SignalKind
from authz_server.state import layout
from authz_server.state.layout import Layouts, fault_of

COUNT = Signal("c", "0000000a", SignalKind.COUNT, 1000, cap=10)
DISTINCT = Signal("d", "0000000b", SignalKind.DISTINCT, 1000, cap=10)
SEQUENCE = Signal("s", "0000000c", SignalKind.SEQUENCE, 1000, half_life_ms=0, stages=5)


@pytest.mark.parametrize(
    "signal",
    [
        COUNT,
        COUNT._replace(cap=2**32 - 1),
        COUNT._replace(window_ms=2**36, cap=2**17 - 1),
        DISTINCT._replace(cap=1024, window_ms=2**36),
        SEQUENCE._replace(stages=100, half_life_ms=2**36),
    ],
)
def test_within_bounds(signal: Signal) -> None:
    """Signals up to the bounds have no fault and a layout."""
    assert fault_of(signal) == ""
    assert Layouts().of(signal) is not None


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
        (DISTINCT._replace(cap=0), "1 to 1024 members"),
        (DISTINCT._replace(cap=1025), "1 to 1024 members"),
        (SEQUENCE._replace(stages=0), "1 to 100 stages"),
        (SEQUENCE._replace(stages=101), "1 to 100 stages"),
        (SEQUENCE._replace(half_life_ms=-1), "half-life"),
        (SEQUENCE._replace(half_life_ms=2**36 + 1), "half-life"),
    ],
)
def test_out_of_bounds(signal: Signal, said: str) -> None:
    """A signal beyond a bound has a fault that names the bound, and no layout."""
    assert said in fault_of(signal)
    assert Layouts().of(signal) is None


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
        assert layouts.of(COUNT._replace(id=f"{n:08x}")) is not None
    assert len(layouts._known) <= 5
