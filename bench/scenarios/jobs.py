"""What benign jobs are made of."""

from bench.scenarios.site import OPERATIONS, STORES

_ODD = 0.012
"""The share of benign steps that a target refuses or does not find."""


def answer(rng, odd=_ODD):
    """What a target answers to somebody who knows what he wants."""
    return 200 if rng.random() > odd else rng.choice((404, 404, 404, 403, 500, 503))


def colleague(site, number, *, credential=True):
    """One of the site's long-standing agents."""
    return site.agent(f"colleague-{number}", credential=credential)


def look_up(chain, actor, roles, count, ops=("list", "read", "read", "read")):
    """Ordinary reading."""
    for _ in range(count):
        role = chain.rng.choice(roles)
        op = chain.rng.choice([op for op in ops if op in OPERATIONS[role]] or OPERATIONS[role][:1])
        yield chain.step(actor, chain.ask(role, op), answer(chain.rng))


def do(chain, actor, *calls):
    """Calls one after the other, each (role, operation)."""
    for role, op in calls:
        yield chain.step(actor, chain.ask(role, op), answer(chain.rng))


def stores(rng, count):
    """Some stores to work with."""
    return rng.sample(STORES, count)
