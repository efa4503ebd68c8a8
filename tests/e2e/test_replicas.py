"""Two replicas behind one Envoy: shared counts, a drain that nobody notices, and a gate that stays closed without them."""

from collections import Counter

import pytest

from tests.envoy_site import await_value, decision_of
from tests.load import load
from tests.site_pki import agent

pytestmark = [pytest.mark.e2e, pytest.mark.server]

WARM = 30
"""Answers after which the load runs evenly."""


def made_by(pair, identifiers):
    """How many of these decisions each replica has made."""
    wanted = set(identifiers)

    def count():
        found = Counter(
            replica.name for replica in pair.replicas for entry in replica.records() if entry["decision_id"] in wanted
        )
        return found if found.total() == len(wanted) else None

    return await_value(count)


def test_counts_are_shared(pair):
    """Five requests pass, whichever replica is asked: no replica counts for itself."""
    with pair.client("spiffe://corp.example/ns/bursts/sa/shared") as client:
        answers = [client.get("/v1/things/7") for _ in range(12)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 7
    makers = made_by(pair, map(decision_of, answers))
    assert min(makers[replica.name] for replica in pair.replicas) >= 2


def test_containment_reaches_the_other_replica(pair):
    """Whom one replica contains, both refuse, on every action that reads a signal."""
    victim = agent("hunted")
    assert pair.get(victim, "/v1/things/7").status_code == 200
    caught = pair.get(victim, "/v1/trap")
    assert caught.status_code == 403
    # Stored within a tick; in each window afterwards nobody lets the caller through.
    await_value(lambda: {pair.get(victim, "/v1/things/7").status_code for _ in range(4)} == {403})
    answers = [pair.get(victim, "/v1/things/7") for _ in range(8)]
    assert {answer.status_code for answer in answers} == {403}
    makers = made_by(pair, map(decision_of, answers))
    assert set(makers) == {replica.name for replica in pair.replicas}


def test_a_drain_under_load_fails_no_request(pair):
    """SIGTERM to one replica, then to the other one, while requests flow: every request is answered 200."""
    with load(pair) as running:
        await_value(lambda: len(running.answers) > WARM)
        for replica in pair.replicas:
            replica.terminate()
            pair.await_healthy(1)
            assert replica.wait() == 0
            replica.start()
            replica.await_ready()
            pair.await_healthy(2)
        seen = len(running.answers)
        await_value(lambda: len(running.answers) > seen + WARM)
    assert running.others() == []
    for replica in pair.replicas:
        assert "Traceback" not in replica.log()


def test_the_loss_of_a_replica_fails_no_request(pair):
    """SIGKILL under load: what was on its way to the victim is asked of the survivor, and no request notices."""
    victim, survivor = pair.replicas
    with load(pair) as running:
        await_value(lambda: len(running.answers) > WARM)
        victim.kill()
        pair.await_healthy(1)
        seen = len(running.answers)
        await_value(lambda: len(running.answers) > seen + WARM)
    assert running.others() == []
    assert all(decision_of(answer) for answer in running.answers)
    assert survivor.process.poll() is None


def test_without_a_server_everything_is_refused(pair):
    """Both killed: 503 for what was allowed, for what was denied and for the anonymous action; back, it goes on."""
    for replica in pair.replicas:
        replica.kill()
    for path in ("/v1/things/7", "/admin/x", "/healthz"):
        answer = pair.get(agent("reader"), path)
        assert answer.status_code == 503
        assert "x-authz-decision-id" not in answer.headers
    for replica in pair.replicas:
        replica.start()
    for replica in pair.replicas:
        replica.await_ready()
    pair.await_healthy(2)
    assert pair.get(agent("reader"), "/v1/things/7").status_code == 200
    assert pair.get(agent("reader"), "/admin/x").status_code == 403
