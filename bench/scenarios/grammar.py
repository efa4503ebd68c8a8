"""The attack grammar: random chains and random jobs, most of the attackers quiet, any objective, any disguise.

Chains are called `GA-017/fast` or `/slow`, jobs `GB-017/declared`, `/undeclared` (sensitive work without a task) or
`GB-017` (nothing sensitive). The background of a warmed-up trace is made of the same jobs, called `BG-…`.
"""

from random import Random

from bench.scenarios.catalogue import TEMPLATES, covers, template_for
from bench.scenarios.chain import ATTACK, BENIGN, Chain, Habits
from bench.scenarios.jobs import answer, colleague
from bench.scenarios.phases import harvest, jewels, jump, look_around, scan, strike, walk_objects
from bench.scenarios.site import OPERATIONS, STORES
from bench.scenarios.timing import HOUR, MINUTE, fast, lognormal, slow, working
from bench.scenarios.trace import Opening

CHAINS = JOBS = 200
COLLEAGUES = 40
LENGTH = 36 * HOUR
"""Of one trace: longer than a familiarity signal learns."""
_SENSITIVE = 0.4
_DECLARED = 0.75
_BACKGROUND_GAP = 2 * MINUTE


def grammar(site, seed):
    """The openings of one trace."""
    rng = Random(f"grammar/{site.name}/{seed}")
    starts = [(rng.uniform(0, LENGTH), job, number) for number in range(1, JOBS + 1)]
    starts += [(rng.uniform(6 * HOUR, LENGTH), attack, number) for number in range(1, CHAINS + 1)]
    for start, make, number in sorted(starts, key=lambda item: item[0]):
        own = Random(f"grammar/{site.name}/{seed}/{make.__name__}/{number}")
        yield Opening(start, lambda make=make, own=own, number=number, start=start: [make(site, own, number, start)])


def background(site, seed, length):
    """The openings of ordinary work over a time."""
    rng, start, number = Random(f"background/{site.name}/{seed}"), 0.0, 0
    while start < length:
        number += 1
        own = Random(f"background/{site.name}/{seed}/{number}")
        yield Opening(start, lambda own=own, number=number, start=start: [job(site, own, number, start, "BG")])
        start += rng.expovariate(1 / _BACKGROUND_GAP)


def attack(site, rng, number, start):
    """One random intrusion."""
    pace, word = rng.choice(((fast, "fast"), (slow, "slow")))
    habits = rng.choices(
        (
            Habits(),
            Habits(cover=rng.uniform(0.2, 0.8)),
            Habits(dress="random"),
            Habits(retries=1),
            Habits(pause=rng.choice((MINUTE, 10 * MINUTE))),
        ),
        (60, 20, 6, 6, 8),
    )[0]
    return _attack(Chain(site, rng, f"GA-{number:03}/{word}", ATTACK, start, pace=pace, habits=habits))


def _attack(chain):
    site, rng = chain.site, chain.rng
    chain.guise = site.agent(f"{rng.getrandbits(48):x}", credential=rng.random() < 0.7)
    role, op = rng.choice(jewels(site))
    yield from _recon(chain)
    if op != "secret" and rng.random() < 0.45:
        yield from harvest(chain, chain.guise, rng.randrange(1, 4), refused=0.2)
    if rng.random() < 0.2:
        chain.guise = chain.guise._replace(headers=site.secret(f"{rng.getrandbits(48):x}"))
    for turn in range(rng.choices((0, 1, 2, 3), (50, 35, 10, 5))[0]):
        yield from jump(chain, chain.guise, turn, away=0.25, steps=rng.randrange(0, 4))
    if rng.random() < 0.6:
        yield from walk_objects(chain, chain.guise, rng.choice(STORES), min(60, int(lognormal(rng, 8, 0.9))))
    yield from strike(chain, chain.guise, role, op, rng.randrange(1, 4))
    if rng.random() < 0.3:
        yield from strike(chain, chain.guise, *rng.choice(jewels(site)))


def _recon(chain):
    """None at all, a careful look, a look with failures, or a scan."""
    rng = chain.rng
    how = rng.choices(("none", "quiet", "failing", "scan"), (20, 45, 20, 15))[0]
    if how == "quiet":
        yield from look_around(chain, chain.guise, rng.randrange(1, 7), refused=0.05)
    elif how == "failing":
        yield from look_around(chain, chain.guise, rng.randrange(4, 16), refused=rng.uniform(0.2, 0.7))
    elif how == "scan":
        yield from scan(chain, chain.guise, rng.randrange(10, 41), refused=rng.uniform(0.1, 0.5))


def job(site, rng, number, start, word="GB"):
    """One job of a colleague, who has habits: some stores, and one sensitive thing that is part of the work."""
    who = rng.randrange(COLLEAGUES)
    habit = Random(f"habits/{site.name}/{who}")
    roles, favourite = habit.sample(STORES, habit.randrange(2, 4)), habit.choice(jewels(site))
    sensitive = rng.random() < _SENSITIVE
    wanted = favourite if rng.random() < 0.8 else rng.choice(jewels(site))
    kind = template_for(*wanted) if sensitive and rng.random() < _DECLARED else ""
    mark = "/declared" if kind else "/undeclared" if sensitive else ""
    chain = Chain(site, rng, f"{word}-{number:03}{mark}", BENIGN, start)
    chain.pace = rng.choice((working, working, slow))
    return _job(chain, colleague(site, who), roles, wanted if sensitive else None, kind)


def _job(chain, actor, roles, wanted, kind):
    rng = chain.rng
    if kind:
        chain.open(kind)
        roles = _within(chain.site, kind) or roles
    for _ in range(rng.randrange(4, 30)):
        role = rng.choice(roles)
        op = rng.choice([op for op in ("list", "read", "read", "read", "write") if _may(chain.site, kind, role, op)])
        yield chain.step(actor, chain.ask(role, op), answer(rng))
    if wanted:
        for _ in range(rng.randrange(1, 4)):
            yield chain.step(actor, chain.ask(*wanted), answer(rng, 0.005))


def _within(site, kind):
    """The roles in which a template allows reading."""
    scope = TEMPLATES[kind].scope
    return [role for role in OPERATIONS if _may(site, kind, role, "read")] if scope and site.known is None else []


def _may(site, kind, role, op):
    """Whether a job under this template does it: all that the template covers, or anything where it names little."""
    if op not in OPERATIONS[role]:
        return False
    return not kind or site.known is not None or covers(site, kind, site.action_name(role, op))
