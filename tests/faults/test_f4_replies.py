"""F4: the store answers, and every answer is an error: none of them opens anything, and each has a metric of its own."""

import time
from contextlib import suppress

import pytest
import redis as redis_py

from tests.faults import figures
from tests.faults.forms import DECLARED, LIMIT, long_form, now, seconds
from tests.faults.oracle import check_changes, judge
from tests.faults.traffic import spend, traffic

SHORT_S = 0.3
WRITES = frozenset({b"EVALSHA", b"EVAL", b"SET", b"XADD"})
KEYED = WRITES | {b"MGET", b"GET", b"XRANGE", b"HSCAN", b"HGETALL"}
EVERYTHING = KEYED | {b"PING"}
"""A server that loads its data does not answer PING either; SCRIPT LOAD it does."""


def replied(text, commands):
    """Let the proxy answer these commands."""

    def cause(store, between, length):
        between.answers = lambda command: text if command[0].upper() in commands else None
        time.sleep(length)
        between.answers = None

    return cause


def flushed_scripts(store, between, length):
    """SCRIPT FLUSH, again and again."""
    end = now() + length
    with store.client() as client:
        while now() < end:
            client.script_flush()
            time.sleep(0.03)


def full(store, between, length):
    """A real server with `noeviction` that may hold next to nothing."""
    with store.client() as client:
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", 1)
        time.sleep(length)
        client.config_set("maxmemory", 0)


def demoted(store, between, length):
    """A real server that has become a replica."""
    with store.client() as client:
        client.replicaof("127.0.0.1", 1)
        time.sleep(length)
        client.replicaof("NO", "ONE")


def orphaned(store, between, length):
    """A real replica that gives no stale answers."""
    with store.client() as client:
        client.config_set("replica-serve-stale-data", "no")
        demoted(store, between, length)
        client.config_set("replica-serve-stale-data", "yes")


def forbidden(store, between, length):
    """A real server whose access list has been changed."""
    with store.client() as client:
        client.execute_command("ACL", "SETUSER", "default", "-evalsha", "-eval")
        time.sleep(length)
        with suppress(redis_py.RedisError):
            client.execute_command("ACL", "SETUSER", "default", "+@all")


CAUSES = {
    "noscript": flushed_scripts,
    "noscript for ever": replied(b"-NOSCRIPT No matching script. Please use EVAL.\r\n", {b"EVALSHA"}),
    "oom": full,
    "readonly": demoted,
    "masterdown": orphaned,
    "noperm": forbidden,
    "moved": replied(b"-MOVED 3999 127.0.0.1:1\r\n", KEYED),
    "ask": replied(b"-ASK 3999 127.0.0.1:1\r\n", KEYED),
    "loading": replied(b"-LOADING Valkey is loading the dataset in memory\r\n", EVERYTHING),
    "clusterdown": replied(b"-CLUSTERDOWN The cluster is down\r\n", KEYED),
    "misconf": replied(b"-MISCONF Errors writing to the AOF file\r\n", WRITES),
    "error_reply": replied(b"-ERR user_script:1: no such thing\r\n", {b"EVALSHA"}),
}
ONCE = frozenset({"noscript"})
"""Refused before anything was carried out, and sent once more: nothing has to go without the store."""


ONLY_LONG = frozenset({"noscript for ever", "masterdown", "noperm", "ask", "clusterdown", "misconf"})


@pytest.mark.parametrize("fault", [fault for fault in CAUSES if long_form() or fault not in ONLY_LONG])
def test_an_error_reply_opens_nothing(scene, fault):
    """Changes are denied, contained identities are refused, limits hold; the metric of this sort of reply counts."""
    store, between, site = scene
    name = fault.replace(" ", "-")
    code = fault.partition(" ")[0]
    contained = {DECLARED: 0.0, site.contain(f"caught-{name}"): now()}
    spend(site, f"spent-{name}", LIMIT + 20)
    before = [site.metrics(number) for number in range(2)]
    with traffic(
        site, [f"a-{name}", f"b-{name}", f"spent-{name}", *contained], rate=250, methods=("GET", "PUT"), direct=True
    ) as running:
        running.settle(40)
        begin = now()
        CAUSES[fault](store, between, seconds(SHORT_S, 20))
        back = now()
        recovered, told = site.await_recovery(back)
        running.settle(20)
    history = running.history(site)
    site.assert_sound()
    judge(history, contained=contained, limit=LIMIT)
    away = history.between(begin, back)
    assert not [each for each in away.of(f"spent-{name}").steps if each.allowed]
    if fault not in ONCE:
        assert away.degraded, "the fault did not happen"
        assert check_changes(away) > 0
    counted = sum(_errors(site.metrics(number), code) - _errors(before[number], code) for number in range(2))
    assert counted > 0, f"no metric counts `{code}`"
    figures.add(
        "F4",
        fault,
        history.figures(),
        f"{check_changes(away)} changes denied",
        f"{counted:.0f} x {code} counted",
        f"counting after {figures.ms(recovered)}, ready after {figures.ms(told)}",
    )


def _errors(metrics: dict[str, float], code: str) -> float:
    return metrics.get(f'authz_state_errors_total{{code="{code}"}}', 0.0)
