"""One server: what its errors lead to."""

import time
from collections.abc import Iterator

import pytest

from authz_server.errors import StateUnavailableError
from authz_server.state.breaker import FAILURES_TO_OPEN, PROBE_AFTER_S
from authz_server.state.dial import dialler
from authz_server.state.script import STEP
from authz_server.state.single import Single, single
from authz_server.state.terms import Terms
from tests.scripted import Scripted
from tests.unit.state.networks import CALL, GET, Clock, codes, command, refuse, silent, terms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def own(clock: Clock) -> Terms:
    return terms(clock)


@pytest.fixture
def server() -> Iterator[Scripted]:
    server = Scripted()
    refuse(server, b"", 0)
    yield server
    server.close()


@pytest.fixture
def network(server: Scripted, own: Terms) -> Iterator[Single]:
    network = single(dialler(f"redis://127.0.0.1:{server.port}"), own)
    yield network
    network.close()


def ask(network: Single, *commands: tuple[bytes, ...], budget_s: float | None = None) -> list:
    return codes(network.exchange([command(*c) for c in commands or (GET,)], network._terms.clock(), budget_s=budget_s))


def idle(network: Single) -> int:
    return len(network._node.pool._idle)


def test_replies_in_order(network: Single, server: Scripted) -> None:
    """One reply for each command, and a proof that they are of these commands, which nobody sees."""
    assert ask(network, GET, (b"SET", b"a", b"b"), GET) == [7, b"OK", 7]
    assert server.received[-1][0] == b"PING"
    assert idle(network) == 1


def test_reply_of_another(network: Single, server: Scripted, own: Terms) -> None:
    """A reply that was left on the connection shifts the others, is found out, and the connection closed."""
    assert ask(network) == [7]
    server.answer = lambda received: b"+a\r\n+b\r\n" if received[0] == b"GET" else b"+OK\r\n"
    assert ask(network) == ["protocol"]
    assert idle(network) == 0
    assert own.tally.read() == {"protocol": 1}


@pytest.mark.parametrize(
    "error", ["OOM", "MISCONF", "NOREPLICAS", "NOPERM", "ERR", "WRONGTYPE", "ASK 1 h:1", "TRYAGAIN", "BUSY"]
)
def test_error_of_one_command(network: Single, server: Scripted, own: Terms, error: str) -> None:
    """It is the answer of its command alone, is counted, and the connection stays."""
    refuse(server, error.encode())
    code = {"ERR": "error_reply", "WRONGTYPE": "error_reply"}.get(error, error.partition(" ")[0].lower())
    assert ask(network, GET, (b"SET", b"a", b"b")) == [code, b"OK"]
    assert own.tally.read() == {code: 1}
    assert idle(network) == 1


@pytest.mark.parametrize("error", ["LOADING", "NOAUTH", "MOVED 1 h:1", "READONLY", "MASTERDOWN"])
def test_error_of_the_whole_server(network: Single, server: Scripted, error: str) -> None:
    """The next connection may lead to another server, so that this one is closed; the breaker counts it."""
    refuse(server, error.encode())
    code = error.partition(" ")[0].lower()
    assert ask(network) == [code]
    assert idle(network) == 0
    for _ in range(FAILURES_TO_OPEN):
        ask(network)
    assert ask(network) == ["breaker_open"]
    assert network.is_open()


@pytest.mark.parametrize("error", [b"READONLY x", b"MASTERDOWN x"])
def test_sent_again_after_a_failover(network: Single, server: Scripted, own: Terms, error: bytes) -> None:
    """What a server refused that has become a replica is sent once more, over a new connection, and the rest is not."""
    ask(network)
    refuse(server, error, 1)
    before = server.count(b"SCRIPT")
    assert ask(network, GET, (b"INCR", b"a")) == [7, b"OK"]
    assert server.count(b"SCRIPT") == before + 1
    assert server.count(b"INCR") == 1
    assert sum(own.tally.read().values()) == 1


def test_forgotten_script(network: Single, server: Scripted, own: Terms) -> None:
    """It is loaded, and the calls that were refused are sent once more; another script is its owner's business."""
    refuse(server, b"NOSCRIPT x", 2, only=b"EVALSHA")
    other = (b"EVALSHA", b"0" * 40, b"0")
    assert ask(network, CALL, GET, CALL) == [7, b"OK", 7]
    assert own.tally.read() == {"noscript": 2}
    assert server.count(b"GET") == 1
    assert server.count(b"SCRIPT", b"LOAD", STEP.text) == 2
    refuse(server, b"NOSCRIPT x", only=b"EVALSHA")
    assert ask(network, other) == ["noscript"]
    assert ask(network, CALL) == ["noscript"]
    assert server.count(*CALL) == 6
    assert server.count(*other) == 1
    assert idle(network) == 1


def test_script_that_cannot_be_sent_again(network: Single, server: Scripted) -> None:
    """A server that falls silent at that fails those calls alone."""
    ask(network)

    def answer(received: list[bytes]) -> bytes | None:
        if received[0] == b"EVALSHA":
            return b"-NOSCRIPT x\r\n" if server.count(b"EVALSHA") == 1 else None
        return b":7\r\n" if received[0] == b"GET" else b"+OK\r\n"

    server.answer = answer
    server.received.clear()
    assert ask(network, GET, CALL, budget_s=0.1) == [7, "timeout"]
    assert idle(network) == 0


def test_timeout_is_never_sent_again(server: Scripted, clock: Clock) -> None:
    """Whether it was carried out is not known; the next call has a connection of its own."""
    own = terms(clock, budget_s=0.05)
    network = single(dialler(f"redis://127.0.0.1:{server.port}"), own)
    ask(network)
    server.answer = silent
    (reply,) = network.exchange([command(*GET)], clock())
    assert isinstance(reply, StateUnavailableError)
    assert (reply.code, reply.sent) == ("timeout", True)
    assert server.count(b"GET") == 2
    refuse(server, b"", 0)
    assert ask(network) == [7]
    network.close()


def test_nobody_there(clock: Clock) -> None:
    """Without a connection it is certain that nothing was carried out."""
    network = single(dialler("redis://127.0.0.1:1"), terms(clock))
    replies = network.exchange([command(*GET)] * 2, clock())
    assert [(reply.code, reply.sent) for reply in replies] == [("connection", False)] * 2
    for _ in range(FAILURES_TO_OPEN - 1):
        ask(network)
    (reply,) = network.exchange([command(*GET)], clock())
    assert (reply.code, reply.sent) == ("breaker_open", False)


class TestProbes:
    def open(self, network: Single, server: Scripted) -> None:
        refuse(server, b"LOADING x")
        for _ in range(FAILURES_TO_OPEN):
            ask(network)
        assert ask(network) == ["breaker_open"]
        refuse(server, b"", 0)

    def test_decisions_probe_where_nobody_else_does(self, network: Single, server: Scripted, clock: Clock) -> None:
        """One call in each interval passes, and its answer closes the breaker."""
        self.open(network, server)
        clock.ahead += 2 * PROBE_AFTER_S
        assert ask(network) == [7]
        assert not network.is_open()

    def test_no_decision_probes_where_the_store_is_tended(
        self, network: Single, server: Scripted, clock: Clock
    ) -> None:
        """Whoever tends to the store makes the probes, and decisions fail at once until one is answered."""
        self.open(network, server)
        network.tend()
        clock.ahead += 2 * PROBE_AFTER_S
        server.received.clear()
        assert ask(network) == ["breaker_open"]
        assert server.received == []
        network.tend()
        assert ask(network) == [7]

    def test_tending_costs_nothing_when_nothing_is_due(self, network: Single, server: Scripted) -> None:
        """A store that answers is not asked."""
        ask(network)
        server.received.clear()
        network.tend()
        assert server.received == []

    def test_ping_asks_whatever_the_breaker_says(self, network: Single, server: Scripted) -> None:
        """And its answer closes the breaker."""
        self.open(network, server)
        assert codes(network.ping()) == [b"OK"]
        assert ask(network) == [7]

    def test_after_a_failure_opening_takes_no_longer_than_the_budget(self, server: Scripted, clock: Clock) -> None:
        """A server that accepts connections and says nothing costs a decision its budget, and no more."""
        network = single(dialler(f"redis://127.0.0.1:{server.port}"), terms(clock, budget_s=0.02))
        ask(network)
        server.answer = silent
        server._reply = silent  # type: ignore[method-assign]
        ask(network)
        started = time.monotonic()
        assert ask(network) == ["timeout"]
        assert time.monotonic() - started < 0.09
        network.close()
