"""S1 the fast chain, S2 the slow swarm, S3 the spray: the published intrusions, by their published numbers."""

from heapq import merge

from bench.scenarios.chain import ATTACK, Chain, child
from bench.scenarios.phases import (
    harvest,
    jewel,
    jump,
    look_around,
    outside,
    scan,
    strike,
    try_credentials,
    walk_objects,
)
from bench.scenarios.site import LISTED, STORES
from bench.scenarios.timing import HOUR, MINUTE, every, fast, lognormal, slow
from bench.scenarios.trace import by_time

SCANNED, CREDENTIALS, SERVICES, JUMPS, EXTRACTION = 300, 40, 12, 5, 4 * HOUR
ACCOUNTS, SOURCES = 500, 6


def s1(site, rng, number, start):
    """One autonomous chain at machine speed, then hours of extraction between the operator's looks."""
    return [_fast_chain(Chain(site, rng, f"S1-{number:02}", ATTACK, start))]


def _fast_chain(chain):
    site, rng = chain.site, chain.rng
    agent = site.agent(f"{rng.getrandbits(48):x}")
    chain.pace = every(1 / rng.uniform(3.2, 5.8))
    yield from scan(chain, agent, SCANNED)
    chain.pace = fast
    yield from harvest(chain, agent, rng.randrange(3, 7))
    chain.pace = every(0.5)
    credentials = [site.secret(f"{rng.getrandbits(48):x}") for _ in range(CREDENTIALS)]
    yield from try_credentials(chain, agent, credentials, rng.sample(LISTED, SERVICES))
    chain.pace = fast
    guises = []
    for jumped in range(JUMPS):
        yield from jump(chain, agent, jumped, away=0.2, steps=rng.randrange(3, 8))
        guises.append(chain.guise)
    end = chain.t + EXTRACTION
    role, op = jewel(site, rng, "export")
    while chain.t < end:
        guise = rng.choice(guises)
        yield from look_around(chain, guise, rng.randrange(1, 3), refused=0.1)
        yield from walk_objects(chain, guise, rng.choice(STORES), rng.randrange(2, 5))
        yield from strike(chain, guise, role, op, rng.randrange(1, 3))
        if rng.random() < 0.3:
            yield from strike(chain, guise, *jewel(site, rng, "send"))
        chain.wait(lognormal(rng, 4 * MINUTE, 0.4, 2 * MINUTE))


def s2(site, rng, number, start):
    """Up to fifty agents at two to six actions a minute, nearly all failing, and one ladder that succeeds."""
    name = f"S2-{number:02}"
    count = round(50 ** rng.random())
    length = min(6 * HOUR, max(40 * MINUTE, 1500 / (count * 4) * MINUTE))
    seeds = [child(rng) for _ in range(count)]
    ladder = _ladder(Chain(site, child(rng), name, ATTACK, start, pace=slow), length)
    scouts = (
        _scout(Chain(site, seed, name, ATTACK, start + seed.random() * MINUTE, pace=slow), length) for seed in seeds
    )
    return [merge(ladder, *scouts, key=by_time)]


def _scout(chain, length):
    """One agent of the swarm: 95 % of what it tries fails."""
    agent = chain.site.agent(f"{chain.rng.getrandbits(48):x}")
    end = chain.t + length
    while chain.t < end:
        yield from scan(chain, agent, 5, refused=0.4, absent=0.6, guessed=0.95)


def _ladder(chain, length):
    """Secret, new identity minutes later, one key enrolled again and again, two targets within a second."""
    site, rng = chain.site, chain.rng
    agent = site.agent(f"{rng.getrandbits(48):x}")
    end = chain.t + length
    yield from scan(chain, agent, 12, refused=0.5, guessed=0.9)
    chain.wait(length * 0.3)
    yield from look_around(chain, agent, 6, refused=0.6)
    yield from harvest(chain, agent, rng.randrange(6, 14), refused=0.9)
    chain.wait(rng.uniform(2, 6) * MINUTE)
    key = site.secret(f"{rng.getrandbits(48):x}")
    for enrolment in range(rng.randrange(12, 25)):
        other = site.worker(f"{rng.getrandbits(48):x}-{enrolment}")
        chain.guise = other._replace(headers=key, address=agent.address if rng.random() < 0.5 else outside(rng))
        yield chain.step(chain.guise, chain.ask("login", "enroll"), 201, stage="lateral-movement")
    yield from look_around(chain, chain.guise, 4)
    targets = [chain.ask(*jewel(site, rng, "grant")) for _ in range(2)]
    yield chain.step(chain.guise, targets[0], 200, stage="impact")
    chain.pace = every(0.5, 0.1)
    yield chain.step(chain.guise, targets[1], 200, stage="impact")
    chain.pace = slow
    while chain.t < end:
        yield from walk_objects(chain, chain.guise, rng.choice(STORES), rng.randrange(2, 6))
        yield from strike(chain, chain.guise, *jewel(site, rng, "export", "send"))
        chain.wait(lognormal(rng, 3 * MINUTE, 0.5))


def s3(site, rng, number, start):
    """One password at five hundred accounts from several places, and a pivot on the first success."""
    return [_spray_and_pivot(Chain(site, rng, f"S3-{number:02}", ATTACK, start, pace=every(5.0)))]


def _spray_and_pivot(chain):
    rng = chain.rng
    agents = [chain.site.agent(f"{rng.getrandbits(48):x}") for _ in range(2)]
    places = [
        agents[place % 2]._replace(address=chain.site.address(f"{rng.getrandbits(48):x}")) for place in range(SOURCES)
    ]
    opened = rng.randrange(ACCOUNTS * 3 // 5, ACCOUNTS - 60)
    attempts = list(_spray(chain, places, opened))
    pivot = Chain(chain.site, child(rng), chain.name, ATTACK, attempts[opened]["t"], pace=fast)
    yield from merge(attempts, _pivot(pivot, rng.choice(places)), key=by_time)


def _spray(chain, places, opened):
    site, rng = chain.site, chain.rng
    password = f"Autumn-{rng.randrange(1000, 9999)}"
    for count in range(ACCOUNTS):
        account = f"{rng.choice('abcdefghjklmnprst')}.{rng.getrandbits(32):x}"
        place = rng.choice(places)
        if site.login == "basic":
            place = place._replace(headers=site.basic(account, password))
        status = 200 if count == opened else 401 if rng.random() > 0.03 else 403
        target = chain.ask("login", "login", account, password=password)
        yield chain.step(place, target, status, stage="credential-access")


def _pivot(chain, place):
    """What the opened account is used for."""
    site, rng = chain.site, chain.rng
    thief = place._replace(headers=site.secret(f"{rng.getrandbits(48):x}"))
    chain.wait(rng.uniform(5, 40))
    yield from look_around(chain, thief, rng.randrange(3, 8))
    yield from walk_objects(chain, thief, rng.choice(STORES), rng.randrange(3, 12))
    yield from strike(chain, thief, *jewel(site, rng, "export", "secret"), rng.randrange(1, 4))
