"""F5: the policy is exchanged every 200 ms under load, good and broken versions in turn."""

import itertools
import sys
import time
from bisect import bisect_left
from pathlib import Path
from typing import NamedTuple

import pytest

from authz_server.errors import PolicyError
from authz_server.keyhash import KeyedHash
from authz_server.policy.compiler import compile_policy
from tests.faults import figures
from tests.faults.harness import ground, now, seconds
from tests.faults.oracle import SHOWN
from tests.faults.traffic import traffic
from tests.replica import Replica
from tests.site_pki import agent

EVERY_S = 0.2
LONG_S = 60
RULES = 200
"""Further rules with conditions of their own: compiling them takes a while, as with a real policy."""
EAGER = """\
from authz_server.sources.reload import Reloader
Reloader.__init__.__kwdefaults__.update(interval_s=0.03, settle_s=0.01)
from authz_server.__main__ import main
main()
"""
"""The server with the one change that it looks at its files far more often than once a second."""
NEAR_S = 0.2
"""A step was made around a reload when it was sent so long after the files were exchanged, or less."""
GROWTH = 0.5
"""MiB of resident memory that a reload may cost, old versions forgotten: a version takes some 5."""
PAUSE_S = 1.0
"""No decision takes longer, reload or not; its figure says how long it really takes."""


class Version(NamedTuple):
    """A policy that was in force, and since when it can have been."""

    number: int
    written: float


def version(number: int) -> str:
    """Give a version: an even one allows GET and refuses PUT, an odd one the other way round, each by rules of its own name."""
    refused, allowed = ("write", "read") if number % 2 == 0 else ("read", "write")
    guards = "".join(
        f'  - {{name: guard-{count}, when: \'request.path == "/{number}/{count}" || principal.namespace == "n{count}"\', then: deny}}\n'
        for count in range(RULES)
    )
    return f"""\
version: 1
actions:
  - {{name: thing.read, match: {{method: GET, path: "/v1/things/{{thing}}"}}, kind: read}}
  - {{name: thing.write, match: {{method: PUT, path: "/v1/things/{{thing}}"}}, kind: write}}
signals:
  calls: {{count: steps, per: [principal], window: 5m}}
rules:
  - {{name: allow-{number}, match: {{principal: "{agent("*")}", action: thing.{allowed}}}, then: allow}}
  - {{name: deny-{number}, match: {{action: thing.{refused}}}, then: deny}}
  - {{name: too-fast, when: signals.calls > 1000000, then: throttle}}
{guards}"""


def broken(number: int) -> str:
    """Give a version that must never be in force; each sort of fault comes in turn, and each of them would allow everything."""
    open_door = f'  - {{name: open-{number}, match: {{principal: "{agent("*")}", action: thing.*}}, then: allow}}\n'
    good = version(number).replace("then: deny", "then: observe") + open_door
    return (
        good + "  - {name: odd, then: alow}\n",
        good + "ruels: []\n",
        good.replace("window: 5m", "window: 5 parsecs"),
        good[:-20],
        good + "  - {name: typed, when: 'request.path == 7', then: deny}\n",
        good.replace("signals.calls", "signals.cals"),
        "",
    )[number % 7]


def digest_of(text: str) -> str:
    """Give the digest by which a version is known."""
    return compile_policy({"policy.yaml": text.encode()}, KeyedHash(b"digests need no secret")).digest


def test_no_broken_version_compiles():
    """What this test calls broken is: the server is asked to refuse it, and not to be lucky."""
    for number in range(7):
        with pytest.raises(PolicyError):
            compile_policy({"policy.yaml": broken(number).encode()}, KeyedHash(b"digests need no secret"))


@pytest.fixture
def eager(monkeypatch):
    """Servers that notice changes at once."""

    def start(self):
        command = [sys.executable, "-c", EAGER, "serve", "--config", str(self.config)]
        self.process = self._servers.start(self.name, command)

    monkeypatch.setattr(Replica, "start", start)


def resident(site):
    """MiB of resident memory of the server (proc(5), statm)."""
    pages = Path(f"/proc/{site.replicas[0].process.pid}/statm").read_text().split()[1]
    return int(pages) * 4096 / (1 << 20)


def exchange(site, running, texts, length):
    """Exchange the policy until the time is over, a good version and a broken one in turn.

    Returns:
        When each was written, by its text, and what the server's memory grew by with each good one, but for the first few.
    """
    written: dict[str, float] = {}
    sizes = []
    until = now() + length
    for text in itertools.chain.from_iterable(texts):
        due = now() + EVERY_S
        if due > until:
            break
        written[text] = now()
        site.policies.write(text)
        time.sleep(max(0.0, due - now()))
        sizes.append(resident(site))
    running.settle(20)
    few = len(sizes) // 3
    return written, (sizes[-1] - sizes[few]) / ((len(sizes) - few) / 2)


def check_versions(history, known):
    """Assert that each decision is that of the version whose digest it bears, and that no version comes back."""
    for each in history.steps:
        assert each.policy in known, f"decided by a policy that was never good: {each}"
        number = known[each.policy].number
        allowed = (each.method == "GET") == (number % 2 == 0)
        wanted = (200, f"allow-{number}") if allowed else (403, f"deny-{number}")
        assert (each.status, each.rule) == wanted, f"version {number} decides {wanted}: {each}"
        assert each.answered >= known[each.policy].written, f"decided before the version was there: {each}"
    for name in {each.asked for each in history.steps}:
        steps = sorted((each for each in history.steps if each.asked == name), key=lambda each: each.answered)
        newest = list(itertools.accumulate((known[each.policy].number for each in steps), max))
        answered = [each.answered for each in steps]
        for each in steps:
            before = bisect_left(answered, each.sent)
            assert not before or known[each.policy].number >= newest[before - 1], f"an old version is back: {each}"


def around(history, moments):
    """Divide the steps into those around an exchange of the files and the others; seconds."""
    near, far = [], []
    for each in history.steps:
        place = bisect_left(moments, each.sent)
        is_near = place > 0 and each.sent - moments[place - 1] < NEAR_S
        (near if is_near else far).append(each.took)
    return near, far


def test_the_policy_is_exchanged_under_load(eager):
    """Every check is decided, by exactly one version, whole; a broken version decides nothing."""
    length = seconds(4.0, LONG_S)
    count = int(length / EVERY_S / 2)
    # All before the load: compiling here would hold up those who ask, and look like a pause of the server.
    numbers = {digest_of(version(number)): number for number in range(count + 1)}
    texts = [(version(number), broken(number)) for number in range(1, count + 1)]
    with ground(replicas=1, text=version(0)) as site:
        with traffic(site, ["a", "b", "c"], rate=200, methods=("GET", "PUT")) as running:
            running.settle(200)
            written, growth = exchange(site, running, texts, length)
        history = running.history(site)
        log = site.replicas[0].log()
        site.assert_sound()
    known = {digest: Version(number, written.get(version(number), 0.0)) for digest, number in numbers.items()}
    assert not history.errors, history.errors[:SHOWN]
    check_versions(history, known)
    used = {each.policy for each in history.steps}
    assert len(used) > count / 2, "too few versions were in force to say anything"
    refused = log.count("the last good one stays in force")
    assert refused > count / 3, "too few broken versions were looked at to say anything"
    near, far = around(history, sorted(written.values()))
    figures.add(
        "F5",
        f"a policy of {RULES} rules exchanged every {EVERY_S * 1000:.0f} ms",
        history.figures(),
        f"{len(used)} of {count + 1} good versions decided",
        f"{refused} broken ones refused, 0 decided",
        f"around an exchange p99 {figures.ms(figures.percentile(near, 0.99))}, longest {figures.ms(max(near))}",
        f"before p99 {figures.ms(figures.percentile(far, 0.99))}, longest {figures.ms(max(far))}",
        f"resident {growth:+.2f} MiB a reload",
    )
    assert max(near + far) < PAUSE_S
    assert growth < GROWTH, "old versions are not forgotten"
