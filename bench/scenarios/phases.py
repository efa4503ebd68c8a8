"""The phases that intrusions are made of; the scenarios and the grammar put them together."""

from bench.scenarios.catalogue import SENSITIVE
from bench.scenarios.chain import identity_of
from bench.scenarios.site import LISTED, OPERATIONS, STORES

OUTSIDE = ("198.51.100.{}", "203.0.113.{}", "192.0.2.{}")
"""Addresses of hosting providers (RFC 5737)."""
STAGE_OF = {
    "export": "collection",
    "send": "exfiltration",
    "secret": "credential-access",
    "delete": "impact",
    "grant": "impact",
    "exec": "impact",
    "enroll": "lateral-movement",
}


def jewels(site):
    """What an intruder of this site is after: the sensitive operations that its catalogue has, as (role, operation)."""
    return [
        (role, op)
        for role, operations in OPERATIONS.items()
        for op in operations
        if op in SENSITIVE and op != "enroll" and site.knows(role, op)
    ]


def jewel(site, rng, *wanted):
    """One of the wanted operations, or another that the site cares for."""
    known = jewels(site)
    return rng.choice([pair for pair in known if pair[1] in wanted] or known)


def outside(rng):
    """An address that is not of the site."""
    return rng.choice(OUTSIDE).format(rng.randrange(1, 250))


def scan(chain, actor, count, *, refused=0.25, absent=0.7, guessed=0.85):
    """Distinct endpoints, one step each; most of them are not there or not for the caller."""
    rng, seen = chain.rng, set()
    while len(seen) < count:
        role = rng.choice(LISTED)
        real = rng.random() > guessed
        target = chain.ask(role, _looking(rng, role)) if real else chain.probe(role)
        if target.endpoint in seen:
            guessed = min(1.0, guessed + 0.005)
            continue
        seen.add(target.endpoint)
        yield from chain.act(
            actor, target, _answer(chain, target, real=real, refused=refused, absent=absent), stage="discovery"
        )


def _looking(rng, role):
    """Listing or reading."""
    return rng.choice(("list", "read")) if "read" in OPERATIONS[role] else "list"


def _answer(chain, target, *, real, refused, absent):
    """What a scanned endpoint answers; an MCP server has no word for a tool that is not there but 400."""
    roll = chain.rng.random()
    if real:
        return 200 if roll > refused else chain.rng.choice((401, 403))
    if roll < refused:
        return chain.rng.choice((401, 403, 403))
    if target.tool or roll > refused + absent:
        return 400
    return chain.rng.choice((404, 404, 404, 405))


def look_around(chain, actor, count, refused=0.2):
    """Lists and single objects of services that are really there: what a careful intruder looks at."""
    for _ in range(count):
        role = chain.rng.choice(LISTED)
        target = chain.ask(role, _looking(chain.rng, role))
        status = 200 if chain.rng.random() > refused else chain.rng.choice((403, 404, 401))
        yield from chain.act(actor, target, status, stage="discovery")


def harvest(chain, actor, count, refused=0.4):
    """Secrets that are read; the last one succeeds."""
    for number in range(count):
        status = 200 if number == count - 1 or chain.rng.random() > refused else 403
        yield from chain.act(actor, chain.ask("vault", "secret"), status, stage="credential-access")


def try_credentials(chain, actor, credentials, services):
    """Each harvested credential at each service; each one opens one or two of them."""
    rng = chain.rng
    for credential in credentials:
        opens = set(rng.sample(services, rng.randrange(1, 3)))
        thief = actor._replace(headers=credential)
        for role in rng.sample(services, len(services)):
            status = 200 if role in opens else rng.choice((401, 401, 401, 403))
            yield from chain.act(thief, chain.ask(role, "list"), status, stage="credential-access")


def jump(chain, actor, number=1, *, away=0.3, steps=4):
    """Go on as somebody else, mostly from the same place; afterwards `chain.guise` is who the intruder is."""
    rng = chain.rng
    other = chain.site.worker(f"{rng.getrandbits(40):x}-{number}")
    chain.guise = other._replace(address=outside(rng)) if rng.random() < away else identity_of(actor, other)
    yield from chain.act(chain.guise, chain.ask(rng.choice(STORES), "list"), 200, stage="lateral-movement")
    yield from look_around(chain, chain.guise, steps, refused=0.25)


def walk_objects(chain, actor, role, count):
    """One object after the other: nothing fails, nothing is fast."""
    for _ in range(count):
        status = 200 if chain.rng.random() > 0.03 else 404
        yield from chain.act(actor, chain.ask(role, "read"), status, stage="collection")


def strike(chain, actor, role, op, times=1):
    """The objective."""
    for _ in range(times):
        target = chain.ask(role, op)
        if chain.habits.invent:
            target = _disguised(chain, target)
        yield from chain.act(actor, target, 200, stage=STAGE_OF[op], objective=True)


def _disguised(chain, target):
    """The same call under a name that no catalogue has."""
    if not target.tool:
        return target
    invented = f"{chain.rng.choice(('quick', 'sync', 'batch', 'v2'))}_{target.tool}_{chain.rng.randrange(99)}"
    headers = {**target.headers, "mcp-name": invented} if "mcp-name" in target.headers else target.headers
    body = target.body.replace(f'"{target.tool}"', f'"{invented}"')
    return target._replace(action="", tool=invented, headers=headers, body=body)
