"""The network of a cluster: scripted nodes for each of their replies, and a real cluster that moves slots and loses nodes."""

from collections.abc import Iterator

import pytest

from authz_server.errors import StateUnavailableError
from authz_server.state.breaker import FAILURES_TO_OPEN
from authz_server.state.cluster import Cluster
from authz_server.state.dial import cluster_seeds
from authz_server.state.network import Command
from authz_server.state.slots import slot_of
from authz_server.state.terms import DOWN_IN_CLUSTER, Terms
from tests.unit.state.networks import CALL, HIGH, LOW, MIDDLE, Clock, Nodes, codes, command, silent, terms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def own(clock: Clock) -> Terms:
    return terms(clock, down=DOWN_IN_CLUSTER)


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    nodes = Nodes()
    yield nodes
    for server in nodes.servers:
        server.close()


@pytest.fixture
def network(nodes: Nodes, own: Terms) -> Iterator[Cluster]:
    network = Cluster(cluster_seeds(nodes.url), own)
    yield network
    network.close()


def ask(network: Cluster, *keys: bytes) -> list:
    commands = [command(b"GET", key, key=key) for key in keys]
    return codes(network.exchange(commands, network._terms.clock()))


def test_each_key_has_its_node(network: Cluster, nodes: Nodes) -> None:
    """Keys go to the owners of their slots, one without a node anywhere, and the replies come back in order."""
    commands = [command(b"GET", b"a", key=HIGH), command(b"SET", b"b", key=LOW), command(b"GET", b"c", key=LOW)]
    assert network.exchange([*commands, Command(b"", (b"SET", b"d"))], network._terms.clock()) == [7, b"OK", 7, b"OK"]
    assert nodes.gets() == [1, 0, 1]
    assert nodes.asked() == 1


def test_all_are_written_to_before_any_is_read(network: Cluster, nodes: Nodes) -> None:
    """A node answers only once the others have been asked: one round trip."""
    ask(network, LOW, MIDDLE, HIGH)

    def answer(received: list[bytes]) -> bytes | None:
        while received[0] == b"GET" and nodes.gets() != [2, 2, 2]:
            pass
        return nodes.answer(received)

    nodes.servers[0].answer = answer
    assert ask(network, LOW, MIDDLE, HIGH) == [7, 7, 7]


def test_moved(network: Cluster, nodes: Nodes, own: Terms) -> None:
    """A moved key is asked for once more, where it is now, and there at once from then on."""
    ask(network, LOW, MIDDLE)
    nodes.refuse(0, b"MOVED %d 127.0.0.1:%d" % (slot_of(LOW), nodes.servers[2].port))
    assert ask(network, LOW, MIDDLE) == [7, 7]
    assert ask(network, LOW) == [7]
    assert nodes.gets() == [2, 2, 2]
    assert own.tally.read() == {"moved": 1}


def test_moved_without_end(nodes: Nodes) -> None:
    """A storm of redirects is followed once each, and does not become one of questions for the slots."""
    network = Cluster(cluster_seeds(nodes.url), terms(lambda: 100.0, down=DOWN_IN_CLUSTER))
    for number in range(3):
        nodes.refuse(number, b"MOVED %d 127.0.0.1:%d" % (slot_of(LOW), nodes.servers[(number + 1) % 3].port))
    for _ in range(50):
        assert ask(network, LOW) == ["moved"]
    assert sum(nodes.gets()) == 100
    assert nodes.asked() == 1
    assert not network.is_open()
    network.close()


@pytest.mark.parametrize("target", [b"", b"1", b"99999 h:1", b"1 :0", b"x h:1"])
def test_faulty_redirect(network: Cluster, nodes: Nodes, target: bytes) -> None:
    """One that cannot be read is followed nowhere."""
    nodes.refuse(0, b"MOVED " + target)
    assert ask(network, LOW) == ["moved"]
    assert nodes.gets() == [1, 0, 0]


def test_ask(network: Cluster, nodes: Nodes) -> None:
    """A key on its way is asked for where it goes, with ASKING in front; the slot stays where it was."""
    nodes.refuse(0, b"ASK %d 127.0.0.1:%d" % (slot_of(LOW), nodes.servers[1].port), 1)
    assert ask(network, LOW, HIGH) == [7, 7]
    received = [parts[0] for parts in nodes.servers[1].received]
    assert received[received.index(b"GET") - 1] == b"ASKING"
    assert ask(network, LOW) == [7]
    assert nodes.gets() == [2, 1, 1]


@pytest.mark.parametrize(
    "error", ["CLUSTERDOWN x", "TRYAGAIN x", "OOM x", "BUSY x", "LOADING x", "MASTERDOWN x", "READONLY x"]
)
def test_other_refusals(network: Cluster, nodes: Nodes, own: Terms, error: str) -> None:
    """They fail their commands alone, are counted, and are not sent again."""
    nodes.refuse(0, error.encode())
    code = error.split(maxsplit=1)[0].lower()
    (reply, other) = network.exchange([command(b"GET", k, key=k) for k in (LOW, HIGH)], own.clock())
    assert isinstance(reply, StateUnavailableError)
    assert (reply.code, reply.sent, other) == (code, False, 7)
    assert nodes.gets() == [1, 0, 1]
    assert own.tally.read() == {code: 1}


def test_forgotten_script(network: Cluster, nodes: Nodes) -> None:
    """It is loaded on the node that forgot it."""
    left = [1]

    def answer(received: list[bytes]) -> bytes:
        if received[0] == b"EVALSHA" and left:
            left.clear()
            return b"-NOSCRIPT x\r\n"
        return nodes.answer(received)

    nodes.servers[0].answer = answer
    assert network.exchange([Command(LOW, CALL), Command(HIGH, CALL)], network._terms.clock()) == [b"OK", b"OK"]
    assert [server.count(b"SCRIPT") for server in nodes.servers] == [2, 0, 1]


def test_lost_node_fails_its_own_keys(network: Cluster, nodes: Nodes, own: Terms) -> None:
    """A node that hangs costs one budget however many hang with it, and the others answer; timeouts are never sent again."""
    own.budget_s = 0.1
    ask(network, LOW, MIDDLE, HIGH)
    nodes.servers[0].answer = nodes.servers[1].answer = silent
    before = own.clock()
    assert ask(network, LOW, MIDDLE, HIGH) == ["timeout", "timeout", 7]
    assert own.clock() - before < 0.19
    assert nodes.gets() == [2, 2, 2]


def test_breaker_of_each_node(network: Cluster, nodes: Nodes) -> None:
    """A node that is away is not asked any more, and the others are."""
    nodes.servers[0].close()
    for _ in range(FAILURES_TO_OPEN):
        assert ask(network, LOW, HIGH) == ["connection", 7]
    assert ask(network, LOW, HIGH) == ["breaker_open", 7]
    assert network.is_open()
    assert ask(network, b"") == [7]
    assert codes(network.ping()).count("connection") == 1
