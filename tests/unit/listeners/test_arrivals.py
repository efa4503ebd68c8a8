"""Calls whose message is not there yet: bounded, and the oldest of them goes."""

import threading

import grpc
import pytest

from authz_server.listeners.arrivals import Arrivals


class Context:
    """A call: its message comes with `send`, its end with `cancel`."""

    def __init__(self):
        self._told = threading.Event()
        self._message = None
        self.cancelled = False

    def send(self, message):
        self._message = message
        self._told.set()

    def cancel(self):
        self.cancelled = True
        self._told.set()

    def messages(self):
        assert self._told.wait(10)
        if self.cancelled:
            raise grpc.RpcError
        if self._message is not None:
            yield self._message


@pytest.mark.parametrize("message", [b"", b"x", None])
def test_a_message_is_taken(message):
    """And a call that ends without one has none."""
    context = Context()
    context.send(message)
    assert Arrivals().take(context.messages(), context) == message


def test_of_too_many_the_oldest_goes():
    """Whoever waits behind it, and whoever has its message, goes on."""
    arrivals, found = Arrivals(2), {}
    contexts = [Context() for _ in range(3)]

    def take(number):
        found[number] = arrivals.take(contexts[number].messages(), contexts[number])

    threads = []
    for number in range(3):
        threads.append(threading.Thread(target=take, args=(number,)))
        threads[-1].start()
        while len(arrivals._waiting) < min(number + 1, 2) and not contexts[0].cancelled:
            pass
    threads[0].join(10)
    assert (found, arrivals.evicted) == ({0: None}, 1)
    for context in contexts[1:]:
        context.send(b"m")
    for thread in threads[1:]:
        thread.join(10)
    assert found == {0: None, 1: b"m", 2: b"m"}
    assert arrivals._waiting == {}
