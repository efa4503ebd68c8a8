"""Decisions are counted without a lock and without a loss."""

from threading import Thread

from authz_server.engine.tally import Sort, Tally
from authz_server.verdict import Decision, Reason, Verdict

ALLOW = Verdict(Decision.ALLOW, Reason.OK)
DENY = Verdict(Decision.DENY, Reason.NO_MATCH)


def test_each_sort_is_counted_apart():
    """By decision, reason and whether it was only recorded; reading changes nothing."""
    tally = Tally()
    for verdict in (ALLOW, ALLOW, DENY, DENY._replace(shadow=True)):
        tally.add(verdict)
    expected = [
        (Sort("allow", "ok", False), 2),
        (Sort("deny", "no_match", False), 1),
        (Sort("deny", "no_match", True), 1),
    ]
    assert list(tally.totals()) == expected
    assert list(tally.totals()) == expected


def test_threads_lose_nothing():
    """Several decision threads share it."""
    tally = Tally()

    def count():
        for _ in range(20_000):
            tally.add(ALLOW)

    threads = [Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert dict(tally.totals()) == {Sort("allow", "ok", False): 80_000}


def test_degraded_decisions_are_counted_beside():
    """Of whatever sort they are; looking counts nothing."""
    tally = Tally()
    for verdict in (ALLOW, ALLOW._replace(degraded=True), DENY._replace(degraded=True)):
        tally.add(verdict)
    assert (tally.degraded, tally.degraded) == (2, 2)
