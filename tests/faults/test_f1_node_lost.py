"""F1 on a cluster and with sentinels: a primary is killed under traffic, and its replica takes over."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import redis as redis_py

from authz_server.contain import containment_entities
from authz_server.demo.site import EDGE
from authz_server.model import Entity
from authz_server.state.keys import Keys
from authz_server.state.names import EPOCH
from authz_server.state.slots import slot_of
from tests.faults import figures
from tests.faults.asking import source_of
from tests.faults.forms import DECLARED, LIMIT, long_form, now, policy
from tests.faults.harness import ground
from tests.faults.oracle import Loss, check_containment, judge
from tests.faults.traffic import spend, traffic
from tests.site_pki import agent
from tests.topologies import PRIMARIES, SLOTS, cluster, wait_for, watched

LAG_S = 1.0
"""What a failover may lose: what the replica had not heard of yet."""
STRAY = 0.05
"""Of the steps that have nothing to do with the node: they may be late on a busy machine, and then go without the store."""
PROMOTION_S = 20.0


def place_of(key: bytes) -> int:
    """Say which primary of a cluster a key belongs to at the beginning."""
    return slot_of(key) * PRIMARIES // SLOTS


CONTROL = place_of(EPOCH)
"""Where the feed of records is."""


def homes(keys: Keys, identity: str) -> Iterator[int]:
    """The places of the nodes that a step of this identity asks."""
    principal, source = SimpleNamespace(id=agent(identity)), source_of(identity)
    request = SimpleNamespace(credentials=(), source_address=source, destination_principal=EDGE)
    return (place_of(keys.flag(entity)) for entity in containment_entities(principal, request))


def names(keys: Keys, victim: int, count: int, *, at_home: bool) -> list[str]:
    """Find identities that are counted on the victim, or that have nothing to do with it."""
    found = []
    for number in range(10_000):
        name = f"{'home' if at_home else 'other'}-{number}"
        own = place_of(keys.flag(Entity("principal", (agent(name),)))) == victim
        if own if at_home else victim not in homes(keys, name):
            found.append(name)
        if len(found) == count:
            break
    return found


def serves(server) -> bool:
    """Whether a server has become a primary, of a cluster that serves."""
    try:
        with server.client() as client:
            promoted = client.info("replication")["role"] == "master"
            return promoted and b"cluster_state:ok" in bytes(client.execute_command("CLUSTER", "INFO"))
    except redis_py.RedisError:
        return False


@pytest.mark.parametrize("victim", [(CONTROL + 1) % 3, CONTROL] if long_form() else [(CONTROL + 1) % 3])
def test_a_node_is_lost(victim):
    """Who is counted elsewhere notices nothing; the others go by local counts until the replica serves; nobody is released."""
    with cluster(replicas=True) as store, ground(store.url, text=policy(LIMIT)) as site:
        keys = Keys(site.keyed)
        caught, spent, *home = names(keys, victim, 4, at_home=True)
        others = names(keys, victim, 2, at_home=False)
        contained = {site.contain(caught): now(), DECLARED: 0.0}
        spend(site, spent, LIMIT + 20)
        before = site.sizes()
        with traffic(site, [*home, *others, spent, *contained], rate=120) as running:
            running.settle(30)
            killed = now()
            store.primaries[victim].stop()
            wait_for(lambda: serves(store.replicas[victim]), PROMOTION_S)
            back = now()
            counted, told = site.await_recovery(back, home)
            running.settle(30)
        history = running.history(site)
        growth = site.assert_no_growth(before)
        site.assert_sound()
    judge(history, contained=contained, limit=LIMIT, losses=[Loss(killed - LAG_S, back)])
    away = history.between(killed, back)
    assert not [each for each in away.of(spent).steps if each.allowed]
    stray = [each for name in others for each in history.of(name).degraded]
    assert len(stray) <= STRAY * len(history.steps), stray[:5]
    assert any(each.degraded for name in home for each in away.of(name).steps), "the fault did not happen"
    figures.add(
        "F1",
        "a node of a cluster is lost" + (", that of the feed" if victim == CONTROL else ""),
        history.figures(),
        f"{len(stray)} of those degraded that have nothing to do with it",
        f"0 of {check_containment(history, contained)} contained allowed",
        f"promoted after {figures.ms(back - killed)}, counting {figures.ms(counted)} later, ready {figures.ms(told)}",
        growth,
    )


@pytest.mark.skipif(not long_form(), reason="the short form has the failover of a cluster")
def test_a_primary_is_lost():
    """The sentinels name the replica, and the servers go there."""
    with watched() as store, ground(store.url, text=policy(LIMIT)) as site:
        contained = {site.contain("caught"): now(), DECLARED: 0.0}
        spend(site, "spent", LIMIT + 20)
        before = site.sizes()
        with traffic(site, ["a", "b", "spent", *contained], rate=120) as running:
            running.settle(30)
            killed, named = now(), store.named()
            store.primary.stop()
            wait_for(lambda: store.named() != named, PROMOTION_S)
            back = now()
            counted, told = site.await_recovery(back)
            running.settle(30)
        history = running.history(site)
        growth = site.assert_no_growth(before)
        site.assert_sound()
    judge(history, contained=contained, limit=LIMIT, losses=[Loss(killed - LAG_S, back)])
    assert not [each for each in history.between(killed, back).of("spent").steps if each.allowed]
    figures.add(
        "F1",
        "a primary that sentinels watch is lost",
        history.figures(),
        f"0 of {check_containment(history, contained)} contained allowed",
        f"named after {figures.ms(back - killed)}, counting {figures.ms(counted)} later, ready {figures.ms(told)}",
        growth,
    )
