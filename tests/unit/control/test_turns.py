"""Whose calls are answered: one caller's many keep no other one waiting."""

import threading
from contextlib import ExitStack

import pytest

from authz_server.control.service import CallRefusedError
from authz_server.control.turns import MAX_OF_ONE, THREADS, THREADS_OF_ONE, Turns
from tests.envoy_site import await_value


class Calls:
    """Calls in threads of their own, which hold their turns until they are told."""

    def __init__(self, turns):
        self._turns, self._end = turns, threading.Event()
        self._threads = []
        self.begun = []

    def call(self, caller, times=1):
        for _ in range(times):
            self._threads.append(threading.Thread(target=self._hold, args=(caller,)))
            self._threads[-1].start()

    def end(self):
        self._end.set()
        for thread in self._threads:
            thread.join(10)

    def _hold(self, caller):
        with self._turns.of(caller):
            self.begun.append(caller)
            self._end.wait(10)


@pytest.fixture
def turns():
    return Turns()


@pytest.fixture
def calls(turns):
    found = Calls(turns)
    yield found
    found.end()


def test_one_caller_has_half_of_the_turns(turns, calls):
    """However many it asks for; another one is answered at once, and in the end all are."""
    calls.call("agent", MAX_OF_ONE)
    await_value(lambda: len(calls.begun) == THREADS_OF_ONE and len(turns._waiting) == MAX_OF_ONE - THREADS_OF_ONE)
    calls.call("soc")
    await_value(lambda: calls.begun[-1] == "soc")
    assert calls.begun.count("agent") == THREADS_OF_ONE
    calls.end()
    assert len(calls.begun) == MAX_OF_ONE + 1
    assert (turns._free, turns._there, turns._under_way, turns._waiting) == (THREADS, {}, {}, [])


def test_next_is_who_has_the_fewest(turns, calls):
    """Though others have waited for longer."""
    with ExitStack() as others, ExitStack() as one:
        for caller in ["a"] * 3 + ["b"] * 4:
            others.enter_context(turns.of(caller))
        one.enter_context(turns.of("a"))
        for number, caller in enumerate(("a", "b", "soc"), 1):
            calls.call(caller)
            await_value(lambda count=number: len(turns._waiting) == count)
        one.close()
        await_value(lambda: calls.begun)
        assert calls.begun == ["soc"]


def test_more_than_a_connection_takes_is_refused(turns, calls):
    """By name, and others are not; what fails gives its turn back."""
    calls.call("agent", MAX_OF_ONE)
    await_value(lambda: turns._there["agent"] == MAX_OF_ONE)
    with pytest.raises(CallRefusedError) as caught, turns.of("agent"):
        pass
    assert caught.value.code == "too_many_calls"
    for _ in range(2 * THREADS):
        with pytest.raises(ValueError, match="x"), turns.of("soc"):
            raise ValueError("x")
