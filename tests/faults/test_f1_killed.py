"""F1: the store is killed under traffic, and comes back."""

import time

import pytest

from tests.faults import figures
from tests.faults.forms import DECLARED, long_form, now, policy, seconds
from tests.faults.harness import ground
from tests.faults.oracle import EVERYTHING, Loss, check_containment, judge
from tests.faults.traffic import spend, traffic
from tests.servers import valkey

IDENTITIES = ["a", "b", "spent", DECLARED]
AWAY_S = 2.5
"""Longer than a replica remembers what it has read of another's containment, so that only the feed of records can keep it."""
LIMIT = 40


@pytest.mark.parametrize(
    "envoy", [True, False] if long_form() else [True], ids=lambda envoy: "envoy" if envoy else "grpc"
)
def test_the_store_is_killed(envoy):
    """SIGKILL, and a restart with nothing stored: whom the replicas contained stays contained, and every step is answered."""
    with valkey() as store, ground(store.url, envoy=envoy, text=policy(LIMIT)) as site:
        contained = {site.contain("caught"): now(), DECLARED: 0.0}
        spend(site, "spent", LIMIT + 20)
        before = site.sizes()
        with traffic(site, [*IDENTITIES, "caught"]) as running:
            running.settle(50)
            killed = now()
            store.stop()
            time.sleep(seconds(AWAY_S))
            starts = now()
            store.start()
            back = now()
            counted, told = site.await_recovery(back)
            running.settle(50)
        history = running.history(site)
        growth = site.assert_no_growth(before)
        site.assert_sound()
    judge(history, contained=contained, limit=LIMIT, losses=[Loss(EVERYTHING, back)])
    refused = check_containment(history, contained)
    # The store that comes back has nothing stored, and may answer before `start` has noticed: it gives fresh counters indeed.
    away = history.between(killed, starts)
    wrong = [each for each in away.of("spent").steps if each.allowed and each.answered < starts]
    assert not wrong, "an outage gave an identity a fresh counter"
    figures.add(
        "F1",
        f"kill -9 of the store ({'through Envoy' if envoy else 'gRPC'})",
        history.figures(),
        f"0 of {refused} contained allowed",
        f"p99 while away {figures.ms(away.p(0.99))}",
        f"counting after {figures.ms(counted)}, ready after {figures.ms(told)}",
        growth,
    )
