"""The two stores agree on random histories: in what they read, and in what they store."""

import marshal
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authz_server.model import Containment, Entity
from authz_server.signals import Measurement, SignalKind
from authz_server.state.memory import MemoryStore
from authz_server.state.redis import RedisStore
from tests.property.histories import KEYED, QUICK, SIGNALS, START, long_histories, random_history
from tests.servers import Server, VirtualClock, step_on_virtual_time

STEPS = 50_000
"""At least so many random steps in each run of the tests."""
KINDS = {signal.id.encode(): signal.kind for signal in SIGNALS}
EPOCHS = iter(range(1, 1 << 30))


class Pair:
    """A store in a server and, for each history, one in this process, on the same clock."""

    def __init__(self, server: Server, clock: VirtualClock, shared: RedisStore) -> None:
        self.server = server
        self.clock = clock
        self.shared = shared

    def live_through(self, history: list, *, steady: bool) -> int:
        """Compare all readings of a history and all that is stored at its end, and give the number of steps."""
        self.clock.advance(START - self.clock.now_ms)
        local = MemoryStore(KEYED, self.clock)
        if not steady:
            # The server's values live for real time: what the memory store has swept may be there after a step back.
            local._sweep = lambda now, most: None  # type: ignore[method-assign]
        epoch = str(next(EPOCHS))  # every history has entities of its own in the shared server
        serial = done = 0
        for advance, steps in history:
            self.clock.advance(abs(advance) if steady else advance)
            batch = []
            for step_hits, twice, flags in steps:
                serial += 1
                mine = tuple(hit._replace(entity=_of(hit.entity, epoch)) for hit in step_hits)
                fingerprint = f"{epoch}.{serial}".encode().ljust(16)
                asked = tuple(_of(entity, epoch) for entity in flags)
                batch += [Measurement(mine, fingerprint, asked)] * (1 + twice)
                if serial % 17 == 0 and asked:
                    for store in (self.shared, local):
                        store.contain(Containment(asked[0], self.clock.now_ms / 1000 + 10_000_000, "r"))
            assert self.shared.apply(batch) == local.apply(batch)
            done += len(batch)
        self._compare_stored(local)
        return done

    def _compare_stored(self, local: MemoryStore) -> None:
        values = {key: marshal.loads(packed) for shard in local._shards for key, packed in shard.items()}
        if values:
            with self.server.client() as client:
                stored = dict(zip(values, client.mget(list(values)), strict=True))
            assert stored == {key: _as_stored(key, value) for key, value in values.items()}


@pytest.fixture(scope="module")
def pair(valkey_server: Server) -> Iterator[Pair]:
    clock = VirtualClock(START)
    with valkey_server.client() as client:
        clock.drive(client)
        store = RedisStore(
            valkey_server.url, KEYED, clock_ms=clock, monotonic=lambda: 0.0, jitter=random.random, budget_ms=5000,
            step=step_on_virtual_time(),
        )  # fmt: skip
        yield Pair(valkey_server, clock, store)
        assert store.resets == 0
        store.close()


@settings(QUICK, max_examples=150)
@given(history=long_histories(), steady=st.booleans())
def test_memory_and_script_agree(pair: Pair, history: list, steady: bool) -> None:  # noqa: FBT001
    """Whatever the history, both stores read and store the same; a failure is shrunk."""
    pair.live_through(history, steady=steady)


def test_memory_and_script_agree_for_many_steps(pair: Pair) -> None:
    """The same for tens of thousands of steps, each kind with its share of them."""
    steps, seed = 0, 0
    hits: Counter[SignalKind] = Counter()
    while steps < STEPS:
        seed += 1
        history = random_history(random.Random(seed))
        try:
            steps += pair.live_through(history, steady=seed % 2 == 0)
        except AssertionError as error:
            error.add_note(f"history of seed {seed}")
            raise
        hits.update(hit.signal.kind for _, batch in history for step_hits, _, _ in batch for hit in step_hits)
    assert steps >= STEPS
    assert set(hits) == set(SignalKind)
    assert min(hits.values()) >= STEPS // 10, hits


def _of(entity: Entity, epoch: str) -> Entity:
    return Entity(entity.type, (*entity.parts, epoch))


def _as_stored(key: bytes, value: Any) -> bytes:
    """Write a value of the memory store as the script does."""
    kind = KINDS[key.split(b":s:")[1][:8]]
    if kind is SignalKind.COUNT:
        _, last, current, previous = value
        return b"\x01" + _u(last, 6) + _u(current, 4) + _u(previous, 4)
    if kind is SignalKind.DISTINCT:
        return b"\x01" + _list(value[1], value[2])
    if kind is SignalKind.SEQUENCE:
        return b"\x01" + b"".join(bytes((stage, depth)) + _u(last, 6) for stage, depth, last in value[1])
    if kind is SignalKind.FAMILIAR:
        _, members, times, born, events = value
        return b"\x01" + _u(born, 6) + _u(events, 2) + _list(members, times)
    if kind is SignalKind.LEVEL:
        _, level, since, ring = value
        return b"\x01" + _u(level, 4) + _u(since, 6) + bytes(ring)
    return b"\x01" + _u(value[1], 6) + _u(value[2], 4)


def _list(members: tuple[bytes, ...], times: tuple[int, ...]) -> bytes:
    return b"".join(_u(last, 6) + member for last, member in zip(times, members, strict=True))


def _u(number: int, size: int) -> bytes:
    return number.to_bytes(size, "big")
