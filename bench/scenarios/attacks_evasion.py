"""S12: one intrusion under seven disguises, each of which defeats a detector that is thought too simply."""

from bench.scenarios.chain import ATTACK, Chain, Habits
from bench.scenarios.phases import harvest, jewel, jump, look_around, scan, strike, walk_objects
from bench.scenarios.site import STORES
from bench.scenarios.timing import HOUR, MINUTE, fast

DISGUISES = (
    Habits(cover=0.8),
    Habits(dress="random"),
    Habits(tasks=True),
    Habits(retries=2),
    Habits(dress="case"),
    Habits(invent=True),
    Habits(pause=MINUTE),
    Habits(pause=10 * MINUTE),
    Habits(pause=HOUR),
)


def s12(site, rng, number, start):
    """Recon, secret, jump, enumeration, objective, behind the disguise whose turn it is."""
    habits = DISGUISES[(number - 1) % len(DISGUISES)]
    return [_disguised(Chain(site, rng, f"S12-{number:02}", ATTACK, start, pace=fast, habits=habits))]


def _disguised(chain):
    site, rng = chain.site, chain.rng
    agent = site.agent(f"{rng.getrandbits(48):x}")
    if chain.habits.tasks:
        chain.open("assist")
    yield from scan(chain, agent, rng.randrange(12, 26), refused=0.3)
    yield from look_around(chain, agent, rng.randrange(3, 8))
    yield from harvest(chain, agent, rng.randrange(3, 7))
    yield from jump(chain, agent, steps=rng.randrange(3, 7))
    yield from walk_objects(chain, chain.guise, rng.choice(STORES), rng.randrange(8, 20))
    tools = [(role, "export") for role in site.of_style("mcp")]
    wanted = rng.choice(tools) if chain.habits.invent and tools and site.known is None else jewel(site, rng, "export")
    yield from strike(chain, chain.guise, *wanted, times=2)
    yield from strike(chain, chain.guise, *jewel(site, rng, "send"))
