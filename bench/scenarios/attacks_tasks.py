"""S4 the stolen task, S5 scope creep, S6 the confused deputy, S8 work after the end: what is done with tasks."""

from bench.scenarios.chain import ATTACK, BENIGN, Chain, Lease, child
from bench.scenarios.phases import jewel, look_around, outside, strike, walk_objects
from bench.scenarios.site import STORES
from bench.scenarios.timing import MINUTE, every, fast, lognormal, working


def s4(site, rng, number, start):
    """A task token is replayed by a second workload, for a second tool, and after the task's end."""
    owner = site.agent(f"{rng.getrandbits(48):x}")
    own = Chain(site, child(rng), f"S4-{number:02}/owner", BENIGN, start, pace=working)
    lease = Lease(own, "report")
    stolen = {"template": site.template.format(task="report"), "id": f"t-s4-{number:02}-owner-1"}
    chain = Chain(site, rng, f"S4-{number:02}", ATTACK, start + rng.uniform(60, 120))
    return [_owner(own, owner, lease), _thief(chain, owner, stolen, lease.template.ttl * MINUTE)]


def _owner(chain, actor, lease):
    """The job whose token is stolen: it ends long before the token does."""
    chain.lease = lease
    yield chain.step(actor, chain.ask("crm", "list"))
    yield chain.step(actor, chain.ask("crm", "export"))
    for _ in range(25):
        yield chain.step(actor, chain.ask(chain.rng.choice(("crm", "warehouse")), "read"))
    yield chain.step(actor, chain.ask("crm", "export"))


def _thief(chain, owner, stolen, ttl):
    site, rng, start = chain.site, chain.rng, chain.t
    thief = site.agent(f"{rng.getrandbits(48):x}")
    if rng.random() < 0.3:
        thief = thief._replace(address=owner.address)
    for role in rng.sample(("crm", "warehouse", "crm"), 3):
        yield chain.step(thief, chain.ask(role, "read"), stage="collection", task=stolen)
    for role, op in (("tickets", "list"), ("files", "read"), ("vault", "secret")):
        yield chain.step(thief, chain.ask(role, op), rng.choice((200, 403)), stage="collection", task=stolen)
    for _ in range(2):
        target = chain.ask("crm", "export")
        yield chain.step(thief, target, stage="collection", objective=True, task=stolen)
    chain.wait(start + ttl + rng.uniform(30, 300) - chain.t)
    for _ in range(3):
        target = chain.ask("warehouse", "export")
        yield chain.step(thief, target, stage="exfiltration", objective=True, task=stolen)


def s5(site, rng, number, start):
    """Read, list, export, administer: each step is plausible alone, all in one task."""
    return [_creep(Chain(site, rng, f"S5-{number:02}", ATTACK, start, pace=working))]


def _creep(chain):
    rng = chain.rng
    agent = chain.site.agent(f"{rng.getrandbits(48):x}")
    chain.open("triage")
    yield chain.step(agent, chain.ask("tickets", "list"))
    for _ in range(rng.randrange(4, 12)):
        yield chain.step(agent, chain.ask(rng.choice(("tickets", "crm", "wiki")), "read"))
    chain.wait(5)
    for role in rng.sample(("billing", "files", "warehouse", "platform", "mail"), 4):
        yield chain.step(agent, chain.ask(role, "list"), rng.choice((200, 200, 403)), stage="discovery")
        for _ in range(rng.randrange(3)):
            yield chain.step(agent, chain.ask(role, "read"), rng.choice((200, 200, 403)), stage="discovery")
    for _ in range(rng.randrange(1, 4)):
        role, op = jewel(chain.site, rng, "export")
        yield chain.step(agent, chain.ask(role, op), stage="collection", objective=True)
    yield from strike(chain, agent, *jewel(chain.site, rng, "grant"), times=2)


def s6(site, rng, number, start):
    """A low agent lets a privileged one act for it, and the two call each other in circles."""
    return [_deputy(Chain(site, rng, f"S6-{number:02}", ATTACK, start, pace=fast), carried=number % 2 == 0)]


def _deputy(chain, *, carried):
    """The deputy acts under the low agent's task (`carried`), or under none."""
    site, rng = chain.site, chain.rng
    low, high = (site.agent(f"{rng.getrandbits(48):x}") for _ in range(2))
    lease = chain.open("relay")
    yield chain.step(low, chain.ask("tickets", "list"))
    for _ in range(rng.randrange(2, 5)):
        yield chain.step(low, chain.ask("tickets", "read"))
    for _ in range(rng.randrange(3, 6)):
        yield chain.step(low, chain.ask("agents", "message"), stage="discovery")
        chain.lease = lease if carried else None
        role = rng.choice(STORES)
        yield chain.step(high, chain.ask(role, rng.choice(("list", "read"))), rng.choice((200, 403)), stage="discovery")
        yield chain.step(high, chain.ask("agents", "message"), stage="discovery")
        chain.lease = lease
    yield chain.step(low, chain.ask("agents", "message"), stage="discovery")
    chain.lease = lease if carried else None
    for wanted in ("secret", "export", "grant"):
        yield from strike(chain, high, *jewel(site, rng, wanted))
        yield chain.step(high, chain.ask("agents", "message"), stage="discovery")
        yield chain.step(low, chain.ask("agents", "message"), stage="discovery")


def s8(site, rng, number, start):
    """The token, its replacement and the credential of a task, all used after the task has ended."""
    return [_afterwards(Chain(site, rng, f"S8-{number:02}", ATTACK, start, pace=working))]


def _afterwards(chain):
    site, rng = chain.site, chain.rng
    agent = site.agent(f"{rng.getrandbits(48):x}")
    issued = agent._replace(headers=site.secret(f"{rng.getrandbits(48):x}"))
    lease = chain.open("report")
    for _ in range(rng.randrange(6, 14)):
        yield chain.step(issued, chain.ask(rng.choice(("crm", "warehouse")), "read"))
    ends = lease.template.idle if rng.random() < 0.5 else lease.template.ttl
    chain.wait(ends * MINUTE + rng.uniform(5, 400))
    chain.pace = every(20.0, 0.8)
    for _ in range(3):
        yield chain.step(issued, chain.ask("crm", "read"), stage="collection")
    yield from strike(chain, issued, "crm", "export", 2)
    chain.lease = None
    other = site.agent(f"{rng.getrandbits(48):x}")._replace(headers=issued.headers)
    if rng.random() < 0.5:
        other = other._replace(address=outside(rng))
    yield from look_around(chain, other, 3)
    yield from walk_objects(chain, other, "crm", 3)
    yield from strike(chain, other, *jewel(site, rng, "export"))
    chain.wait(lognormal(rng, 20 * MINUTE, 0.5))
    yield from strike(chain, issued, *jewel(site, rng, "export"))
