"""B1 the batch, B2 the deployment, B4 the retry storm, B7 the indexer, B9 to B14: machines that look worse than they are."""

from heapq import merge

from bench.scenarios.chain import BENIGN, Chain, child
from bench.scenarios.jobs import answer, colleague, do, look_up, stores
from bench.scenarios.site import LISTED, STORES
from bench.scenarios.timing import DAY, HOUR, MINUTE, every, fast, lognormal, working
from bench.scenarios.trace import by_time

BATCH_RATE, BATCH_STEPS = 50, 1000
CALLERS = 20


def _chain(site, rng, name, start, pace):
    return Chain(site, child(rng), name, BENIGN, start, pace=pace)


def b1(site, rng, number, start):
    """A nightly batch at fifty steps a second, three nights; every other one declared as a task."""
    chain = _chain(site, rng, f"B1-{number:02}", start, every(1 / BATCH_RATE, 0.5))
    return [_batch(chain, declared=number % 2 == 1)]


def _batch(chain, *, declared):
    worker = chain.site.worker(f"batch-{chain.name}", "data", "etl")
    for _ in range(3):
        begun = chain.t
        if declared:
            chain.open("batch", f"-{int(begun)}")
        for _ in range(BATCH_STEPS):
            yield chain.step(worker, chain.ask("warehouse", "read"), answer(chain.rng, 0.002))
        for _ in range(20):
            yield chain.step(worker, chain.ask("warehouse", "write"), 200)
        chain.wait(begun + DAY - chain.t)


def b2(site, rng, number, start):
    """A deployment: build, assume the role of the deployer, then of the roll-out, all within minutes."""
    return [_deployment(_chain(site, rng, f"B2-{number:02}", start, fast))]


def _deployment(chain):
    site, rng = chain.site, chain.rng
    key = f"runner-{rng.randrange(4)}"
    roles = [site.worker(f"{key}-{account}", "ci", account) for account in ("build", "deploy", "rollout")]
    leases = [chain.open("rollout", f"-{role}") for role in ("build", "deploy", "rollout")]
    chain.lease = leases[0]
    yield from look_up(chain, roles[0], ("deploy", "files"), rng.randrange(4, 10))
    chain.lease = leases[1]
    yield from do(chain, roles[1], ("vault", "secret"), ("vault", "secret"), ("platform", "list"))
    for _ in range(rng.randrange(8, 20)):
        yield from do(chain, roles[1], ("deploy", "exec"), ("deploy", "read"))
    chain.lease = leases[2]
    yield from do(chain, roles[2], ("platform", "grant"), ("vault", "secret"))
    for _ in range(rng.randrange(4, 10)):
        yield from do(chain, roles[2], ("deploy", "exec"), ("logs", "read"))


def b4(site, rng, number, start):
    """A service answers 503 for a while, and everybody tries again and again."""
    name = f"B4-{number:02}"
    role, down = rng.choice(STORES), rng.uniform(40, 180)
    jobs = [_retrying(_chain(site, rng, name, start + rng.uniform(0, 5), fast), role, down, who) for who in range(4)]
    return [merge(*jobs, key=by_time)]


def _retrying(chain, role, down, who):
    rng = chain.rng
    actor, begun = colleague(chain.site, who), chain.t
    for _ in range(rng.randrange(8, 16)):
        target, delay = chain.ask(role, rng.choice(("read", "list", "write"))), 0.2
        while 3 < chain.t - begun < down:
            yield chain.step(actor, target, rng.choice((503, 503, 503, 504)))
            chain.wait(delay * rng.uniform(0.5, 1.5))
            delay = min(8.0, delay * 2)
        yield chain.step(actor, target, 200)


def b7(site, rng, number, start):
    """The approved indexer reads everything that is there; some of it is gone."""
    return [_indexer(_chain(site, rng, f"B7-{number:02}", start, every(0.35, 0.5)))]


def _indexer(chain):
    rng = chain.rng
    indexer = chain.site.worker("indexer", "data", "indexer")
    for role in rng.sample(LISTED, 6):
        for _ in range(rng.randrange(3, 8)):
            yield chain.step(indexer, chain.ask(role, "list"), 200)
        if role != "vault":
            yield from look_up(chain, indexer, (role,), rng.randrange(40, 90), ("read",))


def b9(site, rng, number, start):
    """One key, two deployments of one service, and a cut-over from blue to green."""
    return [_blue_green(_chain(site, rng, f"B9-{number:02}", start, every(4 * MINUTE, 0.7)))]


def _blue_green(chain):
    site, rng = chain.site, chain.rng
    shared = site.secret(f"storefront-{chain.name}")
    blue, green = (
        [site.worker(f"{chain.name}-{colour}-{pod}", "jobs", f"storefront-{colour}")._replace(headers=shared) for pod in range(3)]
        for colour in ("blue", "green")
    )  # fmt: skip
    roles, begun = stores(rng, 2), chain.t
    while (elapsed := chain.t - begun) < 36 * HOUR:
        share = min(1.0, max(0.0, (elapsed - 30 * HOUR) / HOUR))
        pods = green if rng.random() < share else blue
        target = chain.ask(rng.choice(roles), rng.choice(("list", "read", "read", "write")))
        yield chain.step(rng.choice(pods), target, answer(rng))


def b10(site, rng, number, start):
    """One connection that outlives the certificate it began with: nothing changes but time."""
    chain = _chain(site, rng, f"B10-{number:02}", start, every(25.0, 0.6))
    return [look_up(chain, colleague(site, 20 + number % 10), stores(rng, 2), 450)]


def b11(site, rng, number, start):
    """An agent hands its task to a second one, as the template allows, and both work under it."""
    return [_delegation(_chain(site, rng, f"B11-{number:02}", start, working))]


def _delegation(chain):
    rng = chain.rng
    first, second = colleague(chain.site, rng.randrange(10)), colleague(chain.site, 10 + rng.randrange(10))
    chain.open("relay")
    yield from look_up(chain, first, ("tickets", "crm"), rng.randrange(3, 8))
    for _ in range(rng.randrange(1, 4)):
        yield from do(chain, first, ("agents", "message"))
        yield from look_up(chain, second, ("warehouse", "crm"), rng.randrange(3, 9), ("read",))
    yield from do(chain, second, ("warehouse", "export"))
    yield from do(chain, first, ("tickets", "write"))


def b12(site, rng, number, start):
    """Twenty callers behind one address; some of them mistype."""
    address = site.address(f"nat-{number}")
    return [
        _behind(_chain(site, rng, f"B12-{number:02}/caller-{who:02}", start + rng.uniform(0, 300), working), who, address)
        for who in range(CALLERS)
    ]  # fmt: skip


def _behind(chain, who, address):
    actor = colleague(chain.site, 100 + who)._replace(address=address)
    roles = stores(chain.rng, 2)
    for _ in range(chain.rng.randrange(2, 5)):
        yield from look_up(chain, actor, roles, chain.rng.randrange(5, 15))
        if chain.rng.random() < 0.3:
            yield chain.step(actor, chain.ask(roles[0], "read"), chain.rng.choice((403, 404, 401)))
        chain.wait(lognormal(chain.rng, 4 * MINUTE, 0.5))


def b13(site, rng, number, start):
    """Jobs from half past eleven to half past twelve: whoever replays them may empty the store at 1 800 s."""
    pace = every(12.0, 0.6)
    return [_steady(_chain(site, rng, f"B13-{number:02}/job-{who}", start, pace), who) for who in range(4)]


def _steady(chain, who):
    actor, roles, end = colleague(chain.site, 30 + who), stores(chain.rng, 2), chain.t + HOUR
    if who % 2:
        chain.open("report")
        roles = ("crm", "warehouse")
    while chain.t < end:
        yield from look_up(chain, actor, roles, 20)
        if chain.lease:
            yield from do(chain, actor, ("crm", "export"))


def b14(site, rng, number, start):
    """Answers are slow, so the client and the proxy repeat a declared sensitive step while the first is under way."""
    return [_overlapping(_chain(site, rng, f"B14-{number:02}", start, working))]


def _overlapping(chain):
    rng = chain.rng
    actor = colleague(chain.site, 40 + rng.randrange(5))
    chain.open("report")
    yield from look_up(chain, actor, ("crm", "warehouse"), rng.randrange(4, 9))
    for _ in range(3):
        target = chain.ask("crm", "export")
        chain.pace = lambda _: 0.03
        for status in rng.choice(((504, 200), (200, 200), (503, 504, 200))):
            yield chain.step(actor, target, status)
        chain.pace = working
        yield from look_up(chain, actor, ("crm",), rng.randrange(2, 6))
