"""F6: rolling restarts of two replicas behind a real Envoy, under load: SIGTERM, drain, stop, start."""

import pytest

from tests.faults import figures
from tests.faults.harness import ground, long_form, now, policy
from tests.faults.oracle import SHOWN, check_containment, judge
from tests.faults.traffic import traffic
from tests.servers import valkey

RESTARTS, LONG_RESTARTS = 4, 100
"""Each of one replica, in turn."""
STEP_S = 6
"""What one may take, for the time limit of the long form."""
DRAIN = "1s"
"""Longer than this Envoy takes to notice: two health checks, 0.2 s apart."""
IDENTITIES = ["a", "b", "c"]
LIMIT = 1_000_000
POLICY = policy(LIMIT).replace("window: 5m", "window: 24h")
"""No bucket of the count ends within the long form: the oracle takes every step to count for good."""


@pytest.mark.e2e
@pytest.mark.timeout(LONG_RESTARTS * STEP_S)
def test_rolling_restarts_fail_no_check():
    """Every request is decided and allowed, but for those of a contained caller, and no count is lost."""
    restarts = LONG_RESTARTS if long_form() else RESTARTS
    took, ends = [], []
    with valkey() as store, ground(store.url, envoy=True, drain=DRAIN, text=POLICY) as site:
        contained = {site.contain("caught"): now()}
        with traffic(site, [*IDENTITIES, "caught"], rate=200) as running:
            running.settle(100)
            for number in range(restarts):
                replica = site.replicas[number % len(site.replicas)]
                begun = now()
                replica.terminate()
                ends.append(replica.wait())
                site.envoy.await_healthy(len(site.replicas) - 1)
                replica.start()
                replica.await_ready()
                site.envoy.await_healthy(len(site.replicas))
                took.append(now() - begun)
                running.settle(20)
        history = running.history(site)
        site.assert_sound()
    assert set(ends) == {0}
    judge(history, contained=contained, limit=LIMIT)
    refused = check_containment(history, contained)
    others = [each for each in history.steps if each.identity not in contained and not each.allowed]
    assert not others, f"{len(others)} refused: {others[:SHOWN]}"
    assert {each.asked for each in history.steps} == {replica.name for replica in site.replicas}
    figures.add(
        "F6",
        f"{restarts} rolling restarts of {len(site.replicas)} replicas behind Envoy",
        history.figures(),
        f"0 of {refused} contained allowed",
        f"longest {figures.ms(max(each.took for each in history.steps))}",
        f"a restart takes {figures.ms(figures.percentile(took, 0.5))}",
    )
