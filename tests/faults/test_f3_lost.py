"""F3: the store loses what it was told: a failover, FLUSHALL, an older file, an epoch that goes back. Nobody is released."""

import shutil
import time
from collections.abc import Callable

import pytest
import redis as redis_py

from authz_server.state.names import EPOCH
from tests.faults import figures
from tests.faults.forms import DECLARED, LIMIT, long_form, now, seconds
from tests.faults.oracle import EVERYTHING, Loss, check_containment, judge
from tests.faults.scene import Scene
from tests.faults.traffic import spend, traffic
from tests.servers import Server, valkey

HEALED_S = 3.0
"""A gap is healed within one second; the servers, the test and its neighbours share two processors."""
PATIENCE_S = 5.0
LAG_S = 0.2
"""A replica is at most so far behind its primary when it is cut off."""
LOST_S = 0.6
"""Writes of so long are lost; of a whole second in the long form."""


@pytest.fixture
def spare(scene):
    """Another store, with nothing in it; the proxy leads to the first one again afterwards."""
    with valkey(tcp=True) as server:
        yield server
        if scene.between.target != scene.store.port:
            scene.store.start()
            lead_to(scene, scene.store)
            scene.site.await_ok()


def lead_to(scene: Scene, server: Server) -> None:
    """Let the name lead to another server."""
    scene.between.target = server.port
    scene.between.reset()
    scene.between.restore()


def failover(scene: Scene, spare: Server, meanwhile: Callable[[], None]) -> tuple[Server, Loss]:
    """A failover to a replica that lacks the last writes."""
    with spare.client() as client:
        client.replicaof("127.0.0.1", scene.store.port)
        while client.info("replication")["master_link_status"] != "up":
            time.sleep(0.01)
        time.sleep(LAG_S)
        cut = now() - LAG_S
        client.replicaof("NO", "ONE")
    meanwhile()
    scene.store.stop()
    lead_to(scene, spare)
    return spare, Loss(cut, now())


def flush(scene: Scene, spare: Server, meanwhile: Callable[[], None]) -> tuple[Server, Loss]:
    """FLUSHALL."""
    meanwhile()
    with scene.store.client() as client:
        client.flushall()
    return scene.store, Loss(EVERYTHING, now())


def older_file(scene: Scene, spare: Server, meanwhile: Callable[[], None]) -> tuple[Server, Loss]:
    """A restart with an older append-only file."""
    folder = scene.store.socket_path.parent / "appendonlydir"
    copy = folder.with_name("older")
    with scene.store.client() as client:
        # Otherwise what was answered may wait in memory for two seconds while a slow disk is synchronised.
        client.config_set("appendfsync", "always")
    taken = now()
    shutil.copytree(folder, copy)
    meanwhile()
    scene.store.stop()
    shutil.rmtree(folder)
    copy.rename(folder)
    scene.store.start()
    return scene.store, Loss(taken, now())


def epoch_back(scene: Scene, spare: Server, meanwhile: Callable[[], None]) -> tuple[Server, Loss]:
    """An epoch that goes back, with feed and flags."""
    with scene.store.client() as client:
        assert client.exists(EPOCH), "there is no feed of records"
        kept = {name: (client.dump(name), client.pttl(name)) for name in _control(client)}
        meanwhile()
        client.delete(*_control(client))
        for name, (value, left_ms) in kept.items():
            client.restore(name, max(left_ms, 0), value)
    return scene.store, Loss(1.0, 0.0)


def _control(client: redis_py.Redis) -> list[bytes]:
    """Name what the control plane has stored."""
    return [*client.scan_iter("az:{c}:*"), *client.scan_iter("az:{*}:q")]


@pytest.mark.parametrize("fault", [failover, flush, older_file, epoch_back], ids=lambda fault: fault.__name__)
def test_the_store_forgets(scene, spare, fault):
    """Who was contained within the lost second stays contained on every replica, and the store is told again."""
    site, name = scene.site, fault.__name__
    contained = {DECLARED: 0.0, site.contain(f"caught-{name}"): now()}
    spend(site, f"spent-{name}", LIMIT + 20)
    late = f"late-{name}"

    def meanwhile() -> None:
        site.contain(late)
        contained[late] = now()
        time.sleep(seconds(LOST_S, 1.0))

    with traffic(site, [f"a-{name}", f"b-{name}", f"spent-{name}", late, *contained], rate=150, direct=True) as running:
        running.settle(50)
        server, loss = fault(scene, spare, meanwhile)
        struck = now()
        counted, told = site.await_recovery(struck)
        healed = site.await_flags(server, [f"caught-{name}", late], PATIENCE_S) - struck
        running.settle(100)
        time.sleep(seconds(0, 20))
    history = running.history(site)
    judge(history, contained=contained, limit=LIMIT, losses=[loss])
    assert healed < HEALED_S
    if server is not scene.store or long_form():
        site.restart(1)
        assert site.refused(contained, 1), "a server that has only just started has to learn it from the store"
    site.assert_sound()
    figures.add(
        "F3",
        str(fault.__doc__).rstrip("."),
        history.figures(),
        f"counting after {figures.ms(counted)}, ready after {figures.ms(told)}, containments stored again after {figures.ms(healed)}",
        f"0 of {check_containment(history, contained)} contained allowed",
    )
