"""Containment on a cluster: records, inbox and flags lie on different nodes."""

import time
from collections.abc import Iterator

import pytest

from authz_server.model import Containment, Entity
from authz_server.state.names import HELD
from tests.topologies import ClusterServers, cluster
from tests.unit.containment.fleet import ALICE, ALL, OPS, SOC, Replica, open_store

TASKS = [Entity("task", (str(n),)) for n in range(40)]


@pytest.fixture(scope="module")
def nodes() -> Iterator[ClusterServers]:
    with cluster() as nodes:
        yield nodes


@pytest.fixture
def pair(nodes: ClusterServers) -> Iterator[tuple[Replica, Replica]]:
    """A control replica and a data replica."""
    nodes.flush()
    stores = [open_store(nodes.url) for _ in range(2)]
    control = Replica(stores[0], time.time, name="control")  # type: ignore[arg-type]
    data = Replica(stores[1], time.time, name="data-1", signs=False)  # type: ignore[arg-type]
    for each in (control, data):
        each.feed.poll()
        assert each.feed.ready
    yield control, data
    for store in stores:
        store.close()


def test_contains_and_releases(pair: tuple[Replica, Replica]) -> None:
    """What is contained or asked for anywhere is enforced everywhere until it is released."""
    control, data = pair
    data.inbox.post(Containment(ALICE, time.time() + 60, "burst"))
    control.reader.poll()
    for task in TASKS:
        control.desk.contain(SOC, ALL, task, 60, "INC-1")
    data.feed.poll()
    assert all(data.holds(entity) for entity in (ALICE, *TASKS))
    control.desk.release(OPS, ALL, ALICE, "done")
    data.feed.poll()
    assert not data.holds(ALICE)
    assert control.publisher.flags_failed == 0
    assert not data.feed.failed


def test_flags_of_all_nodes_are_kept_right(pair: tuple[Replica, Replica], nodes: ClusterServers) -> None:
    """Flags that are lost on any node are set again, and records that the store lost are given back."""
    control, _ = pair
    for task in TASKS:
        control.desk.contain(SOC, ALL, task, 60, "INC-1")
    control.feed.poll()
    nodes.flush()
    control.upkeep.run()
    assert control.upkeep.mended == len(TASKS)
    deadline = time.monotonic() + 20
    while len(control.store.command(HELD, b"HKEYS", HELD)) < len(TASKS):
        assert time.monotonic() < deadline
        control.feed.wait()
        control.feed.poll()
