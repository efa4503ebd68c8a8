"""Lending connections."""

import time
from collections.abc import Iterator

import pytest

from authz_server.state import pool as pool_module
from authz_server.state.dial import dialler
from authz_server.state.pool import Pool
from authz_server.state.script import STEP
from authz_server.state.wire import Wire
from tests.servers import Server


class Opened:
    """Opens real connections and remembers them."""

    def __init__(self, server: Server) -> None:
        self._dial = dialler(server.url)
        self.wires: list[Wire] = []

    def __call__(self, limit_s: float) -> Wire:
        self.wires.append(Wire(self._dial(), STEP, 2.0, time.monotonic))
        return self.wires[-1]


def is_open(wire: Wire) -> bool:
    return wire._link.is_connected


@pytest.fixture
def opened(valkey_server: Server) -> Iterator[Opened]:
    opened = Opened(valkey_server)
    yield opened
    for wire in opened.wires:
        wire.close()


def test_last_used_first(opened: Opened) -> None:
    """The connection that came back last is lent first; a new one is opened only when none is idle."""
    pool = Pool(opened, time.monotonic)
    first, second = pool.take(), pool.take()
    assert len(opened.wires) == 2
    pool.put_back(first)
    pool.put_back(second)
    assert pool.take() is second
    assert pool.take() is first
    assert len(opened.wires) == 2


def test_few_stay_idle(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a few the longest unused is closed."""
    monkeypatch.setattr(pool_module, "MAX_IDLE", 2)
    pool = Pool(opened, time.monotonic)
    for wire in [pool.take() for _ in range(4)]:
        pool.put_back(wire)
    assert [is_open(wire) for wire in opened.wires] == [False, False, True, True]


def test_stale_ones_are_replaced(opened: Opened, valkey_server: Server) -> None:
    """A connection that the server has closed is not lent again."""
    now = [time.monotonic()]
    pool = Pool(opened, lambda: now[0])
    pool.put_back(pool.take())
    with valkey_server.client() as client:
        client.client_kill_filter(_type="normal", skipme=True)
    now[0] += 5
    assert pool.take() is opened.wires[1]
    assert not is_open(opened.wires[0])


def test_closed_pool_keeps_nothing(opened: Opened) -> None:
    """Closing closes what is idle, and what is lent when it comes back."""
    pool = Pool(opened, time.monotonic)
    lent, idle = pool.take(), pool.take()
    pool.put_back(idle)
    pool.close()
    assert (is_open(idle), is_open(lent)) == (False, True)
    pool.put_back(lent)
    assert not is_open(lent)


def test_drained_pool_lends_new_ones(opened: Opened) -> None:
    """What is idle when a pool is drained is closed, and what is lent when it comes back; new ones stay."""
    pool = Pool(opened, time.monotonic)
    lent, idle = pool.take(), pool.take()
    pool.put_back(idle)
    pool.drain()
    assert (is_open(idle), is_open(lent)) == (False, True)
    pool.put_back(lent)
    assert not is_open(lent)
    fresh = pool.take()
    pool.put_back(fresh)
    assert pool.take() is fresh
