"""What the store in this process learns afterwards, and how it forgets."""

from authz_server.model import Containment, Entity
from authz_server.signals import Hit, Measurement, Signal, SignalKind
from authz_server.state.memory import MemoryStore
from tests.harness import KEYED, Clock

CALLS = Signal("calls", "00000001", SignalKind.COUNT, 10_000, cap=100)
SEEN = Signal("seen", "00000002", SignalKind.DISTINCT, 10_000, cap=10)
AGENT = Entity("principal", ("a",))


def store():
    clock = Clock()
    return MemoryStore(KEYED, clock.milliseconds), clock


def step(member="m", mark=b""):
    return Measurement((Hit(CALLS, AGENT), Hit(SEEN, AGENT, member=member)), mark)


def read(it):
    (readings,) = it.apply([Measurement((Hit(CALLS, AGENT, amount=0), Hit(SEEN, AGENT)), b"")])
    return readings.values


def test_what_is_counted_as_of_an_earlier_moment_ends_as_if_it_had_been_counted_then():
    """In the order of the moments."""
    it, clock = store()
    start = clock.milliseconds()
    for second in range(5):
        it.apply_at([step(str(second))], start + second * 1000)
    clock.now += 5
    assert read(it) == (5, 5)
    clock.now += 7.5
    assert read(it)[1] == 2
    clock.now += 10
    assert read(it) == (0, 0)


def test_a_repeat_of_an_earlier_step_is_recognised_for_as_long_as_of_any():
    """Two seconds from its own moment."""
    it, clock = store()
    it.apply_at([step(mark=b"f" * 16)], clock.milliseconds())
    clock.now += 1
    assert it.apply([step(mark=b"f" * 16)])[0].repeated
    clock.now += 2
    assert not it.apply([step(mark=b"f" * 16)])[0].repeated


def test_an_earlier_moment_takes_nothing_from_a_later_one():
    """Nothing stored carries an earlier time than what it replaces."""
    it, clock = store()
    it.apply([step()])
    it.apply_at([step()], clock.milliseconds() - 9_000)
    clock.now += 9.9
    assert read(it)[1] == 1


def test_it_forgets_all_but_containment():
    """Signals and repeats; whoever is contained stays so."""
    it, clock = store()
    it.contain(Containment(AGENT, clock.now + 60, "r"))
    it.apply([step(mark=b"f" * 16)])
    it.clear()
    assert (len(it), read(it)) == (0, (0, 0))
    (readings,) = it.apply([step(mark=b"f" * 16)._replace(flags=(AGENT,))])
    assert (readings.repeated, readings.values, readings.contained) == (False, (1, 1), (AGENT,))
