"""B3 tool-using agents, B5 multi-round calls, B6 rotation, B8 the on-call agent: work that people ask for."""

import json

from bench.scenarios.catalogue import SENSITIVE
from bench.scenarios.chain import BENIGN, Chain, child
from bench.scenarios.jobs import colleague, do, look_up, stores
from bench.scenarios.phases import outside
from bench.scenarios.site import LISTED
from bench.scenarios.timing import MINUTE, fast, lognormal, working
from bench.scenarios.wording import WORDS

ERRANDS = {
    "summarise the unread mail": "mail.list mail.read mail.read mail.read files.write",
    "move a meeting": "calendar.list calendar.read calendar.write",
    "invite a colleague to dinner": "calendar.list search.list calendar.write mail.send",
    "find a page and add a line": "wiki.list wiki.read wiki.write",
    "send the minutes": "files.list files.read mail.list mail.send",
    "pay the invoice": "files.read billing.list billing.read billing.write",
    "what was spent in March": "billing.list billing.read billing.read billing.read",
    "correct the address": "crm.list crm.read crm.write",
    "open a ticket": "tickets.list tickets.write",
    "answer three tickets": "tickets.list tickets.read wiki.read tickets.write tickets.read tickets.write tickets.read tickets.write",
    "compare hotels": "search.list search.read search.read search.read search.read files.write",
    "book the cheapest": "search.list search.read search.read calendar.read calendar.write billing.write",
    "who wrote this": "wiki.read wiki.list crm.read",
    "share the draft": "files.list files.read mail.send",
    "tidy the folder": "files.list files.read files.read files.delete files.delete",
    "weather and a reminder": "search.read calendar.write",
    "collect feedback": "wiki.read wiki.read tickets.read files.write wiki.write",
    "cancel the appointment": "calendar.list calendar.read calendar.delete mail.send",
}
"""What assistants are asked for, as calls; modelled on the suites of published agent benchmarks."""
_DECLARED = 0.8


def _chain(site, rng, name, start, *, pace=working):
    return Chain(site, child(rng), name, BENIGN, start, pace=pace)


def b3(site, rng, number, start):
    """An assistant runs errands for somebody; those with sensitive steps mostly under a task."""
    errands = [rng.choice(list(ERRANDS.values())).split() for _ in range(rng.randrange(1, 4))]
    calls = [call.split(".") for errand in errands for call in errand]
    sensitive = any(op in SENSITIVE and site.knows(role, op) for role, op in calls)
    declared = rng.random() < (_DECLARED if sensitive else 0.3)
    role = "/declared" if declared else "/undeclared" if sensitive else ""
    return [_errands(_chain(site, rng, f"B3-{number:02}{role}", start), errands, declared=declared)]


def _errands(chain, errands, *, declared):
    actor = colleague(chain.site, chain.rng.randrange(30), credential=chain.rng.random() < 0.7)
    if declared:
        chain.open("assist")
    for errand in errands:
        yield from do(chain, actor, *(tuple(call.split(".")) for call in errand))
        chain.wait(lognormal(chain.rng, 30.0, 0.8))


def b5(site, rng, number, start):
    """A tool asks back before it answers, so one call is several requests with new ids."""
    return [_rounds(_chain(site, rng, f"B5-{number:02}", start))]


def _rounds(chain):
    rng = chain.rng
    actor = colleague(chain.site, rng.randrange(30))
    role = rng.choice(chain.site.of_style("mcp") or ["wiki"])
    yield from look_up(chain, actor, (role,), rng.randrange(1, 4))
    for _ in range(rng.randrange(2, 5)):
        target = chain.ask(role, rng.choice(("write", "read")))
        yield chain.step(actor, target, 200)
        for turn in range(rng.randrange(1, 5)):
            yield chain.step(actor, _again(rng, target, turn), 200)


def _again(rng, target, turn):
    """The same call with an answer to what the tool asked; as it is where it is no tool call."""
    if not target.tool:
        return target
    body = json.loads(target.body)
    body["id"] = rng.randrange(1, 10**6)
    body["params"]["inputResponses"] = {"q1": {"action": "accept", "content": {"text": rng.choice(WORDS)}}}
    body["params"]["requestState"] = f"state-{turn}-{rng.getrandbits(40):x}"
    return target._replace(body=json.dumps(body))


def b6(site, rng, number, start):
    """A certificate and an access token are renewed in mid-task; identity and task stay."""
    return [_rotation(_chain(site, rng, f"B6-{number:02}", start))]


def _rotation(chain):
    rng = chain.rng
    actor = colleague(chain.site, rng.randrange(30))
    chain.open("report")
    for _ in range(rng.randrange(3, 6)):
        yield from look_up(chain, actor, ("crm", "warehouse"), rng.randrange(8, 20), ("read",))
        actor = actor._replace(headers=chain.site.secret(f"{chain.name}-{rng.getrandbits(32):x}"))
        chain.wait(lognormal(rng, 3 * MINUTE, 0.2))
    yield from do(chain, actor, ("crm", "export"))


def b8(site, rng, number, start):
    """Somebody is paged, at home perhaps; an agent looks at everything and, under a task, restarts something."""
    declared = number % 3 != 0
    return [_on_call(_chain(site, rng, f"B8-{number:02}", start, pace=fast), declared=declared)]


def _on_call(chain, *, declared):
    rng, begun = chain.rng, chain.t
    actor = colleague(chain.site, 50 + rng.randrange(6))
    actor = actor._replace(address=outside(rng)) if rng.random() < 0.3 else actor
    if declared:
        chain.open("oncall")
    for role in rng.sample(LISTED, rng.randrange(8, 13)):
        if chain.t - begun > 9 * MINUTE:
            return
        yield from look_up(chain, actor, (role,) if role != "vault" else ("logs",), rng.randrange(3, 8))
        chain.wait(lognormal(rng, 8.0, 0.8))
    yield from look_up(chain, actor, ("logs",), rng.randrange(4, 9))
    if declared:
        yield from do(chain, actor, ("deploy", "exec"), ("deploy", "read"), *[("deploy", "exec")] * rng.randrange(2))
    yield from look_up(chain, actor, stores(rng, 2), 4)
