"""What is known of a cluster, and when it is asked."""

from collections.abc import Iterator

import pytest

from authz_server.state.cluster import Cluster
from authz_server.state.dial import cluster_seeds
from authz_server.state.slotmap import REFRESH_S
from authz_server.state.slots import SLOTS, slot_of
from authz_server.state.terms import DOWN_IN_CLUSTER, Terms
from tests.unit.state.networks import HIGH, LOW, MIDDLE, Clock, Nodes, codes, command, silent, terms


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


def test_slots_are_learnt_anew(network: Cluster, nodes: Nodes, clock: Clock) -> None:
    """After a redirect the cluster is asked again; the connections to a node that has left are closed."""
    ask(network, LOW, MIDDLE, HIGH)
    nodes.bounds = [0, 0, 10923, SLOTS]
    nodes.refuse(0, b"MOVED %d 127.0.0.1:%d" % (slot_of(LOW), nodes.servers[1].port))
    gone = network._map.node_of(LOW)
    ask(network, LOW)
    clock.ahead += REFRESH_S
    network.tend()
    ports = {node.address.port for node in network._map.nodes() if node.address}
    assert ports == {server.port for server in nodes.servers[1:]}
    assert gone is not None
    assert len(gone.pool._idle) == 0


def test_slot_of_nobody(network: Cluster, nodes: Nodes) -> None:
    """A slot that no node has fails its keys, and nothing was carried out."""
    nodes.bounds = [0, 0, 10923, SLOTS]
    (reply,) = network.exchange([command(b"GET", LOW, key=LOW)], network._terms.clock())
    assert reply == 7
    network._map._owners[slot_of(LOW)] = None
    (reply,) = network.exchange([command(b"GET", LOW, key=LOW)], network._terms.clock())
    assert (reply.code, reply.sent) == ("clusterdown", False)


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (b"-ERR This instance has cluster support disabled\r\n", "error_reply"),
        (b"*0\r\n", "protocol"),
        (b"-NOPERM x\r\n", "noperm"),
    ],
)
def test_slots_are_not_told(network: Cluster, nodes: Nodes, clock: Clock, reply: bytes, code: str) -> None:
    """Why is the code of every failure, and the servers are not asked without end."""
    for server in nodes.servers:
        server.answer = lambda received: reply
    assert [ask(network, LOW) for _ in range(50)] == [[code]] * 50
    assert nodes.asked() == 3
    for server in nodes.servers:
        server.answer = nodes.answer
    clock.ahead += REFRESH_S
    assert ask(network, LOW) == [7]


def test_tended_map_is_not_asked_for_by_decisions(network: Cluster, nodes: Nodes, clock: Clock) -> None:
    """Where somebody tends to the store, decisions leave the question for the slots to them."""
    ask(network, LOW)
    nodes.refuse(0, b"CLUSTERDOWN x")
    network.tend()
    ask(network, LOW)
    clock.ahead += REFRESH_S
    asked = nodes.asked()
    ask(network, LOW)
    assert nodes.asked() == asked
    network.tend()
    assert nodes.asked() == asked + 1


def test_hanging_servers_cost_little(network: Cluster, nodes: Nodes, clock: Clock) -> None:
    """After the first time a decision asks one server at most, and none where somebody tends to the store."""
    for server in nodes.servers:
        server.answer = silent
    assert ask(network, LOW) == ["timeout"]
    assert nodes.asked() == 3
    clock.ahead += REFRESH_S
    assert ask(network, LOW) == ["timeout"]
    assert nodes.asked() == 4
    clock.ahead += REFRESH_S
    network.tend()
    assert nodes.asked() == 7
    clock.ahead += REFRESH_S
    assert ask(network, LOW) == ["timeout"]
    assert nodes.asked() == 7


def test_nobody_there(clock: Clock) -> None:
    """Without any node everything fails, and nothing was carried out."""
    network = Cluster(cluster_seeds("redis+cluster://127.0.0.1:1,127.0.0.1:2"), terms(clock))
    (reply,) = network.exchange([command(b"GET", LOW, key=LOW)], clock())
    assert (reply.code, reply.sent) == ("connection", False)
    assert codes(network.ping()) == ["connection"]
    network.close()
