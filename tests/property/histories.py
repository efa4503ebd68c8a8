"""Random histories of steps for the properties of the stores: as Hypothesis strategies, and from a seeded generator."""

from random import Random

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from authz_server.keyhash import KeyedHash
from authz_server.model import Entity
from authz_server.signals import Hit, Measurement, Readings, Signal, SignalKind
from authz_server.state.base import Store
from tests.servers import VirtualClock

KEYED = KeyedHash(b"k" * 32)
START = 1_700_000_000_000
# Values live for real time in the server and for virtual time here: windows are long against the run of a history.
WINDOW = 60_000
PRESSURE = (
    Signal("count", "00000001", SignalKind.COUNT, WINDOW, cap=5),
    Signal("odd", "00000002", SignalKind.COUNT, 90_001, cap=1000),
    Signal("year", "00000003", SignalKind.COUNT, 31_536_000_000, cap=285_000),
    Signal("distinct", "00000004", SignalKind.DISTINCT, WINDOW, cap=3),
    Signal("many", "00000005", SignalKind.DISTINCT, 2 * WINDOW, cap=40),
    Signal("chain", "00000006", SignalKind.SEQUENCE, 4 * WINDOW, half_life_ms=WINDOW, stages=5),
    Signal("plain", "00000007", SignalKind.SEQUENCE, WINDOW, stages=3),
)
HABITS = Signal("habits", "00000008", SignalKind.FAMILIAR, WINDOW, cap=3)
RISK = Signal("risk", "0000000a", SignalKind.LEVEL, 0, cap=24, half_life_ms=WINDOW)
WALK = Signal("walk", "0000000b", SignalKind.LEVEL, 0, cap=24, half_life_ms=70_001, ring=3, share=2)
SPEND = Signal("spend", "0000000e", SignalKind.BUDGET, WINDOW, cap=100)
SIGNALS = (
    *PRESSURE,
    HABITS,
    Signal("known", "00000009", SignalKind.FAMILIAR, 4 * WINDOW, cap=40),
    RISK,
    WALK,
    Signal("crowd", "0000000c", SignalKind.LEVEL, 0, cap=10_000, half_life_ms=30_000, ring=32, share=5),
    Signal("slow", "0000000d", SignalKind.LEVEL, 0, cap=10_000, half_life_ms=2**36, ring=1),
    SPEND,
    Signal("large", "0000000f", SignalKind.BUDGET, 3 * WINDOW, cap=2**31),
)
ENTITIES = tuple(Entity("principal", (name,)) for name in ("a", "b"))
RESTS: tuple[tuple[str, ...], ...] = ((), (), (), ("x",), ("x", "y"))
MEMBERS = ("", *"mnopqr")
GROUPS = ("", *"gh")
EDGES = (WINDOW // 2, WINDOW - 1, WINDOW, WINDOW + 1, 90_001, 2 * WINDOW, 10 * WINDOW, 24 * WINDOW)
AMOUNTS = {
    SignalKind.COUNT: (0, 1, 1, 1, 3, 255),
    SignalKind.FAMILIAR: (0, 1, 1),
    SignalKind.LEVEL: (0, 1, -1, 400, 1500, 2000, 7003, -500, -1500, 10_000_000, -10_000_000),
    SignalKind.BUDGET: (0, 1, 10, 37, 100, 101, -1, -20, 9_999_999, 10_000_000, -10_000_000),
}

QUICK = settings(
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

entities = st.sampled_from(ENTITIES)
members = st.sampled_from(MEMBERS)
# Mostly short steps, with the edges of windows and half-lives, long silences and a clock that goes back.
advances = st.one_of(
    st.just(0), st.integers(1, 20_000), st.sampled_from(EDGES), st.integers(-3 * WINDOW, -1)
)  # fmt: skip


@st.composite
def hits(draw: st.DrawFn, signal: Signal) -> Hit:
    """One contribution to the signal."""
    kind = signal.kind
    return Hit(
        signal,
        draw(entities),
        draw(st.sampled_from(RESTS)),
        draw(members) if kind not in {SignalKind.COUNT, SignalKind.SEQUENCE, SignalKind.BUDGET} else "",
        draw(st.integers(-1, signal.stages - 1)) if kind is SignalKind.SEQUENCE else -1,
        draw(st.sampled_from(AMOUNTS.get(kind, (1,)))),
        draw(st.sampled_from(GROUPS)) if kind is SignalKind.LEVEL else "",
    )


@st.composite
def batches(draw: st.DrawFn, signals: tuple[Signal, ...] = SIGNALS) -> tuple:
    """How far the clock moves, and the steps: their hits, whether each comes twice, and whose containment is asked."""
    hit = st.sampled_from(signals).flatmap(hits)
    step = st.tuples(st.lists(hit, max_size=4).map(tuple), st.booleans(), st.lists(entities, max_size=2).map(tuple))
    return draw(advances), tuple(draw(st.lists(step, min_size=1, max_size=4)))


histories = st.lists(batches(), max_size=12)


@st.composite
def long_histories(draw: st.DrawFn) -> list:
    """Of few signals, so that their values see many steps."""
    signals = tuple(draw(st.lists(st.sampled_from(SIGNALS), min_size=1, max_size=2)))
    return draw(st.lists(batches(signals), min_size=8, max_size=30))


def random_history(random: Random) -> list:
    """Give a history of the form of `long_histories`, much quicker."""
    signals = random.sample(SIGNALS, random.randint(1, 3))
    return [(_random_advance(random), tuple(_random_step(random, signals) for _ in range(6))) for _ in range(20)]


def _random_advance(random: Random) -> int:
    which = random.random()
    if which < 0.6:
        return random.randint(0, 9_000)
    if which < 0.8:
        return random.choice(EDGES)
    return random.randint(-3 * WINDOW, -1) if which < 0.9 else 0


def _random_step(random: Random, signals: list[Signal]) -> tuple:
    chosen = tuple(_random_hit(random, random.choice(signals)) for _ in range(random.randint(1, 3)))
    return chosen, random.random() < 0.2, ENTITIES[: random.randint(0, 2)]


def _random_hit(random: Random, signal: Signal) -> Hit:
    kind = signal.kind
    member = str(random.randrange(50)) if signal.cap == 40 and random.random() < 0.7 else random.choice(MEMBERS)
    stage = random.randint(-1, signal.stages - 1) if kind is SignalKind.SEQUENCE else -1
    amount = random.choice(AMOUNTS.get(kind, (1,)))
    return Hit(signal, random.choice(ENTITIES), random.choice(RESTS), member, stage, amount, random.choice(GROUPS))


def run(store: Store, clock: VirtualClock, history: list, entity: Entity) -> None:
    """Let one entity live through a history, on a clock that does not go back."""
    for advance, steps in history:
        clock.advance(abs(advance))
        for step_hits, _, _ in steps:
            store.apply([Measurement(tuple(hit._replace(entity=entity, rest=()) for hit in step_hits), b"")])


def read(store: Store, hit: Hit) -> int:
    """Measure one hit alone."""
    (entry,) = store.apply([Measurement((hit,), b"")])
    assert isinstance(entry, Readings)
    return entry.values[0]
