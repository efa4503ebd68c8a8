"""One chain: the steps of one intrusion or of one benign job, in the trace format."""

from random import Random
from typing import NamedTuple

from bench.scenarios.catalogue import TEMPLATES, covers
from bench.scenarios.site import Actor
from bench.scenarios.timing import MINUTE, fast, lognormal
from bench.scenarios.wording import ask, health, probe

BENIGN, ATTACK = "benign", "attack"
KEEP = object()
"""The task that the chain holds."""
_SPENT = 0.7
"""The share of a task after which a benign job asks for a new one."""
_SIZES = {"list": 6000, "read": 1200, "export": 900_000, "health": 20}


def child(rng):
    """A source of chance of its own, so that chains of one opening do not depend on how they are interleaved."""
    return Random(rng.getrandbits(64))


class Lease:
    """A task that a chain holds."""

    def __init__(self, chain, kind, suffix=""):
        self.kind = kind
        self.template = TEMPLATES[kind]
        self._prefix = f"t-{chain.name.replace('/', '-').lower()}{suffix}"
        self._number = 0
        self.renew(chain.t)

    def renew(self, now):
        """A new task of the same template."""
        self._number += 1
        self.opened = self.last = now
        self.steps = 0

    def spent(self, now):
        """Whether it is time for a new one."""
        template = self.template
        return (
            now - self.opened > template.ttl * MINUTE * _SPENT
            or (template.idle and now - self.last > template.idle * MINUTE * _SPENT)
            or self.steps >= template.steps * _SPENT
        )

    def use(self, site, now):
        """What a step carries."""
        if self.steps == 0:
            self.opened = now
        self.last = now
        self.steps += 1
        return {"template": site.template.format(task=self.kind), "id": f"{self._prefix}-{self._number}"}


class Habits(NamedTuple):
    """How an attacker hides."""

    cover: float = 0.0
    """Harmless steps for each malicious one."""
    retries: int = 0
    """How often a step is made again."""
    pause: float = 0.0
    """Seconds of silence after each eighth step: just over somebody's window."""
    dress: str = ""
    """What is done to the credential: `random` or `case`."""
    tasks: bool = False
    """A new task every five steps."""
    invent: bool = False
    """Objectives are reached under the names of tools that nobody knows."""


class Chain:
    """Makes the steps of a chain, each at its time; `pace` says how long it waits before one."""

    def __init__(self, site, rng, name, label, start=0.0, *, pace=fast, habits=None):
        self.site, self.rng, self.name, self.label = site, rng, name, label
        self.t = start
        self.pace = pace
        self.habits = habits or Habits()
        self.lease = None
        self.made = 0

    def wait(self, seconds):
        """Do nothing for a while."""
        self.t += seconds

    def open(self, kind, suffix=""):
        """From here on steps carry a task."""
        self.lease = Lease(self, kind, suffix)
        return self.lease

    def ask(self, role, op, obj="", **more):
        """A request in the wording of the site."""
        return ask(self.site, self.rng, role, op, obj, **more)

    def probe(self, role):
        """A guess in the wording of the site."""
        return probe(self.site, self.rng, role)

    def step(self, actor, target, status=200, *, stage="", objective=False, task=KEEP):
        """One step, after the pace's gap.

        Args:
            actor: who makes it.
            target: what it asks for.
            status: what the target would answer.
            stage: ground truth; empty for a step that is harmless in itself.
            objective: whether the chain has then reached what it is for.
            task: a task to carry, None for none, instead of the one that the chain holds.
        """
        self.t += self.pace(self.rng)
        self.made += 1
        record = {"t": round(self.t, 3), "label": self.label, "chain": self.name}
        if stage:
            record["stage"] = stage
        record["objective"] = objective
        record["source"] = {"principal": actor.principal, "address": actor.address}
        record["destination"] = {"principal": target.principal, "service": target.service}
        request = {"method": target.method, "host": target.host, "path": target.path}
        request["headers"] = {**actor.headers, **target.headers}
        if target.body:
            request["body"] = target.body
        record["request"] = request
        carried = self._carried(target) if task is KEEP else task
        if carried:
            record["task"] = carried
        record["outcome"] = self._outcome(target, status)
        return record

    def act(self, actor, target, status=200, *, stage="", objective=False):
        """A step of an attacker: with its cover, retries and pauses."""
        habits, rng = self.habits, self.rng
        if rng.random() < habits.cover:
            yield self.step(actor, health(self.site, rng))
        for _ in range(1 + habits.retries):
            yield self.step(self._dressed(actor), target, status, stage=stage, objective=objective)
        if habits.pause and self.made % 8 == 0:
            self.wait(habits.pause * (1.02 + 0.05 * rng.random()))
        if habits.tasks and self.lease and self.lease.steps >= 5:
            self.lease.renew(self.t)

    def _dressed(self, actor):
        """The credential as an evader shows it."""
        dress = self.habits.dress
        if dress == "random":
            return actor._replace(headers=self.site.secret(f"{self.rng.getrandbits(64):x}"))
        if dress == "case" and "authorization" in actor.headers:
            word = self.rng.choice(("bearer", "Bearer", "BEARER"))
            return actor._replace(
                headers={"authorization": f"{word} {actor.headers['authorization'].partition(' ')[2]}"}
            )
        return actor

    def _carried(self, target):
        """The task of the chain; whoever is benign shows it only where it is good for something, and renews it in time."""
        lease = self.lease
        if lease is None or (self.label == BENIGN and not covers(self.site, lease.kind, target.action)):
            return None
        if self.label == BENIGN and lease.steps and lease.spent(self.t):
            lease.renew(self.t)
        return lease.use(self.site, self.t)

    def _outcome(self, target, status):
        rng = self.rng
        size = _SIZES.get(target.op, 400) if status < 400 else 180
        after = min(5.0, lognormal(rng, 0.08, 0.7, 0.003))
        return {"status": status, "bytes": int(lognormal(rng, size, 0.5)), "after": round(after, 3)}


def identity_of(actor, other):
    """An actor under another identity, at the same place."""
    return Actor(other.principal, actor.address, other.headers)
