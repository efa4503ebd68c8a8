"""S9 the stolen key, S10 approval fatigue, S11 framing, S13 the forging reporter: who shows what, and who pays for it."""

from bench.scenarios.chain import ATTACK, BENIGN, Chain, Lease, child
from bench.scenarios.phases import jewel, look_around, outside, strike, walk_objects
from bench.scenarios.site import STORES
from bench.scenarios.timing import DAY, HOUR, MINUTE, every, fast, lognormal, slow, working

APPROVALS, APPROVAL_WINDOW = 30, 10 * MINUTE
GIVES_IN = 20
"""From this request on a tired approver would say yes: the ground truth of S10's objective."""


def s9(site, rng, number, start):
    """A key that was used by one deployment for two days turns up at new places under new identities."""
    key = site.secret(f"{rng.getrandbits(48):x}")
    owner = Chain(site, child(rng), f"S9-{number:02}/owner", BENIGN, start, pace=every(9 * MINUTE, 0.8))
    thieves = Chain(site, rng, f"S9-{number:02}", ATTACK, start + 2 * DAY + rng.uniform(0, 6) * HOUR, pace=slow)
    return [_key_owner(owner, key, 3 * DAY), _key_thieves(thieves, key)]


def _key_owner(chain, key, length):
    site, rng, end = chain.site, chain.rng, chain.t + length
    pods = [site.worker(f"{rng.getrandbits(48):x}", "data", "exporter")._replace(headers=key) for _ in range(2)]
    roles = rng.sample(STORES, 2)
    while chain.t < end:
        target = chain.ask(rng.choice(roles), rng.choice(("list", "read", "read", "write")))
        yield chain.step(rng.choice(pods), target, 200 if rng.random() > 0.01 else 404)


def _key_thieves(chain, key):
    site, rng = chain.site, chain.rng
    for place in range(rng.randrange(2, 6)):
        thief = site.agent(f"{rng.getrandbits(48):x}")._replace(headers=key)
        thief = thief._replace(address=outside(rng)) if place or rng.random() < 0.6 else thief
        yield from look_around(chain, thief, rng.randrange(1, 5), refused=0.15)
        yield from walk_objects(chain, thief, rng.choice(STORES), rng.randrange(3, 10))
        yield from strike(chain, thief, *jewel(site, rng, "export", "send"))
        chain.wait(lognormal(rng, 15 * MINUTE, 0.7))


def s10(site, rng, number, start):
    """Thirty requests in ten minutes for variations of one action that wants an approval."""
    pace = every(APPROVAL_WINDOW / (APPROVALS + 6), 0.3)
    return [_fatigue(Chain(site, rng, f"S10-{number:02}", ATTACK, start, pace=pace))]


def _fatigue(chain):
    rng = chain.rng
    agent = chain.site.agent(f"{rng.getrandbits(48):x}")
    role, op = jewel(chain.site, rng, "grant", "export", "delete")
    yield chain.step(agent, chain.ask(rng.choice(STORES), "list"))
    for count in range(APPROVALS):
        target = chain.ask(role, op, note=f"attempt {rng.randrange(10**6)}")
        yield chain.step(agent, target, stage="impact", objective=count >= GIVES_IN)


FRAMES = ("token", "key", "failures")


def s11(site, rng, number, start):
    """A victim's token or key is shown once by another, or failures are laid at its door; its own job must finish."""
    frame = FRAMES[number % len(FRAMES)]
    seed = f"{rng.getrandbits(48):x}"
    victim = site.agent(seed)
    own = Chain(site, child(rng), f"S11-{number:02}/victim", BENIGN, start, pace=every(8.0, 0.6))
    own.lease = Lease(own, "batch") if frame == "token" else None
    token = {"template": site.template.format(task="batch"), "id": f"t-s11-{number:02}-victim-1"}
    chain = Chain(site, rng, f"S11-{number:02}/framer", ATTACK, start + 10 * MINUTE)
    return [_victim(own, victim), _framer(chain, victim, frame, token)]


def _victim(chain, actor):
    """Forty minutes of ordinary work, half of it after it was framed."""
    rng, end = chain.rng, chain.t + 40 * MINUTE
    roles = ("warehouse", "crm") if chain.lease else rng.sample(STORES, 2)
    while chain.t < end:
        if chain.lease and (chain.lease.steps == 0 or rng.random() < 0.05):
            yield chain.step(actor, chain.ask("warehouse", "export"))
        op = "read" if chain.lease else rng.choice(("read", "read", "list", "write"))
        yield chain.step(actor, chain.ask(rng.choice(roles), op), 200 if rng.random() > 0.01 else 404)


def _framer(chain, victim, frame, token):
    """The framer has an identity of its own: that of the victim cannot be had without its private key."""
    site, rng = chain.site, chain.rng
    own = site.agent(f"{rng.getrandbits(48):x}")
    if frame == "token":
        yield chain.step(own, chain.ask("warehouse", "read"), stage="collection", task=token)
        return
    if frame == "key":
        yield chain.step(
            own._replace(headers=victim.headers), chain.ask(rng.choice(STORES), "read"), stage="collection"
        )
        return
    framed = own._replace(headers=victim.headers, address=victim.address)
    for _ in range(25):
        yield chain.step(framed, chain.ask(rng.choice(STORES), "read"), 401, stage="credential-access")


def s13(site, rng, number, start):
    """One service's proxy invents steps of a victim, and the service answers it 401 whatever it asks."""
    seed = f"{rng.getrandbits(48):x}"
    victim = site.agent(seed)
    liar = rng.choice(STORES)
    own = Chain(site, child(rng), f"S13-{number:02}/victim", BENIGN, start, pace=working)
    real = Chain(site, child(rng), f"S13-{number:02}/at-forger", BENIGN, start, pace=every(30.0))
    chain = Chain(site, rng, f"S13-{number:02}/forger", ATTACK, start + 3 * MINUTE, pace=fast)
    streams = [_elsewhere(own, victim, liar), _answered(real, victim, liar)]
    return streams if site.gateway else [*streams, _invented(chain, victim, liar)]


def _elsewhere(chain, victim, liar):
    """The victim's work at all other services: none of it may be refused."""
    rng, end = chain.rng, chain.t + 30 * MINUTE
    roles = rng.sample([role for role in STORES if role != liar], 3)
    while chain.t < end:
        yield chain.step(victim, chain.ask(rng.choice(roles), rng.choice(("list", "read", "read"))))


def _answered(chain, victim, liar):
    """What the victim really asks of the liar: a few things again and again."""
    wanted = [chain.ask(liar, op) for op in ("list", "read", "read")]
    for _ in range(30):
        yield chain.step(victim, chain.rng.choice(wanted), 401)


def _invented(chain, victim, liar):
    """Steps that never were: scans, refused reads, and what looks like theft, all in the victim's name."""
    rng = chain.rng
    for _ in range(150):
        role_op = ("read", "list", "delete", "export")
        target = chain.probe(liar) if rng.random() < 0.6 else chain.ask(liar, rng.choice(role_op))
        yield chain.step(victim, target, rng.choice((401, 403, 404, 200)), stage="discovery")
