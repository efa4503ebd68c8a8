"""A primary that sentinels name: scripted sentinels for what they may say, and real ones that fail over."""

from collections.abc import Iterator

import pytest

from authz_server.errors import StateUnavailableError
from authz_server.state.dial import sentinel_seeds
from authz_server.state.sentinel import LOOK_S, Finder, Sentinel
from authz_server.state.terms import Terms
from tests.scripted import Scripted
from tests.unit.state.networks import GET, Clock, codes, command, refuse, silent, terms


class Setting:
    """Two servers, and three sentinels that name the first."""

    def __init__(self) -> None:
        self.servers = [Scripted() for _ in range(2)]
        for server in self.servers:
            refuse(server, b"", 0)
        self.named = self.servers[0].port
        self.sentinels = [Scripted(self.answer) for _ in range(3)]

    @property
    def url(self) -> str:
        return "redis+sentinel://" + ",".join(f"127.0.0.1:{s.port}" for s in self.sentinels) + "/signals"

    def answer(self, received: list[bytes]) -> bytes:
        assert received == [b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", b"signals"]
        port = b"%d" % self.named
        return b"*2\r\n$9\r\n127.0.0.1\r\n$%d\r\n%b\r\n" % (len(port), port)

    def asked(self) -> list[int]:
        """Count the questions to each sentinel."""
        return [sentinel.count(b"SENTINEL") for sentinel in self.sentinels]

    def gets(self) -> list[int]:
        """Count the GETs to each server."""
        return [server.count(b"GET") for server in self.servers]

    def close(self) -> None:
        """Stop all."""
        for server in self.servers + self.sentinels:
            server.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def own(clock: Clock) -> Terms:
    return terms(clock)


@pytest.fixture
def setting() -> Iterator[Setting]:
    setting = Setting()
    yield setting
    setting.close()


@pytest.fixture
def network(setting: Setting, own: Terms) -> Iterator[Sentinel]:
    network = Sentinel(sentinel_seeds(setting.url), own)
    yield network
    network.close()


def ask(network: Sentinel) -> list:
    return codes(network.exchange([command(*GET)], network._terms.clock()))


def test_asks_for_the_primary(network: Sentinel, setting: Setting) -> None:
    """The server that the first sentinel names, which must call itself the primary."""
    assert [ask(network) for _ in range(3)] == [[7]] * 3
    assert (setting.gets(), setting.asked()) == ([3, 0], [1, 0, 0])
    assert setting.servers[0].count(b"ROLE") == 1


@pytest.mark.parametrize(
    "reply", [b"*-1\r\n", b"-NOAUTH x\r\n", b"+what\r\n", b"*2\r\n$1\r\nh\r\n$1\r\n0\r\n", b"junk\r\n"]
)
def test_the_next_one_that_knows(network: Sentinel, setting: Setting, reply: bytes) -> None:
    """A sentinel that does not tell is passed over, and whoever told is asked first the next time."""
    setting.sentinels[0].answer = lambda received: reply
    setting.sentinels[1].close()
    assert ask(network) == [7]
    network._node.pool.drain()
    assert ask(network) == [7]
    assert setting.asked() == [1, 0, 2]


def test_no_sentinel(network: Sentinel, setting: Setting, clock: Clock) -> None:
    """Without them no primary is found; one that is known goes on as long as it calls itself one."""
    for sentinel in setting.sentinels:
        sentinel.close()
    (reply,) = network.exchange([command(*GET)], clock())
    assert (reply.code, reply.sent) == ("connection", False)
    known = Finder(sentinel_seeds(setting.url), terms(clock))
    known.known = sentinel_seeds(f"redis+sentinel://127.0.0.1:{setting.servers[1].port}/x").addresses[0]
    known.connect(0.1).close()
    assert setting.servers[1].count(b"ROLE") == 1


def test_hanging_sentinels_cost_little(setting: Setting, clock: Clock) -> None:
    """Only so many are waited for at a time, and the others have their turn with the next call."""
    url = setting.url.replace("://", "://" + ",".join(f"127.0.0.1:{s.port}" for s in setting.sentinels[:2] * 3) + ",")
    for sentinel in setting.sentinels[:2]:
        sentinel.answer = silent
    finder = Finder(sentinel_seeds(url), terms(clock))
    with pytest.raises(StateUnavailableError, match="timeout"):
        finder.ask(0.02)
    assert 3 <= sum(setting.asked()) <= 5
    for _ in range(3):
        try:
            assert finder.ask(0.02).port == setting.named
            break
        except StateUnavailableError:
            continue
    else:
        pytest.fail("the one that answers was never asked")


def test_named_server_is_a_replica(network: Sentinel, setting: Setting) -> None:
    """It is not used, and the sentinels are asked again with the next call."""
    role = b"*3\r\n$5\r\nslave\r\n$1\r\nx\r\n:1\r\n"
    plain = setting.servers[0]._reply
    setting.servers[0]._reply = lambda c: role if c == [b"ROLE"] else plain(c)  # type: ignore[method-assign]
    assert ask(network) == ["readonly"]
    setting.named = setting.servers[1].port
    assert ask(network) == [7]
    assert setting.gets() == [0, 1]


def test_failover_that_the_server_tells(network: Sentinel, setting: Setting, own: Terms) -> None:
    """A primary that has become a replica refuses; the command is sent once more, to the new one, in the same call."""
    ask(network)
    setting.named = setting.servers[1].port
    refuse(setting.servers[0], b"READONLY x")
    assert ask(network) == [7]
    assert setting.gets() == [2, 1]
    assert own.tally.read() == {"readonly": 1}


def test_failover_that_the_server_does_not_know_of(network: Sentinel, setting: Setting, clock: Clock) -> None:
    """An old primary that still answers is left when the sentinels name another."""
    ask(network)
    setting.named = setting.servers[1].port
    clock.ahead += LOOK_S
    ask(network)
    assert setting.gets() == [1, 1]


def test_failover_that_a_second_connection_learns_of(network: Sentinel, setting: Setting) -> None:
    """A thread that needs a connection of its own is led to the new primary; then nobody goes on with the old one."""
    pool = network._node.pool
    assert ask(network) == [7]
    first = pool.take()
    setting.named = setting.servers[1].port
    second = pool.take()
    for wire in (second, first):
        pool.put_back(wire)
    assert [ask(network) for _ in range(3)] == [[7]] * 3
    assert setting.gets() == [1, 3]


def test_tended_network_asks_the_sentinels_beside_the_decisions(
    network: Sentinel, setting: Setting, clock: Clock
) -> None:
    """Where somebody tends to the store, no decision waits for a sentinel."""
    ask(network)
    clock.ahead += LOOK_S
    network.tend()
    clock.ahead += LOOK_S / 2
    asked = setting.asked()
    setting.named = setting.servers[1].port
    ask(network)
    network.tend()
    assert setting.asked() == asked
    clock.ahead += LOOK_S / 2
    network.tend()
    ask(network)
    assert setting.gets() == [2, 1]


def test_lost_primary(network: Sentinel, setting: Setting) -> None:
    """When it is gone, the next connection leads to the one that the sentinels name by then."""
    ask(network)
    setting.servers[0].close()
    setting.named = setting.servers[1].port
    assert ask(network) == ["connection"]
    assert ask(network) == [7]
