"""Semantics 13 of the policy language: a credential remembers whose it was first, and who presents it later inherits the past."""

import pytest

from authz_server.verdict import Decision, Reason
from tests.semantics.world import ACTIONS, AGENT, ALLOWED, DOCS, OTHER, TASKS, World, task

BASE = ACTIONS + ALLOWED
KEY = (("authorization", "Bearer abc"),)
MORE = (("authorization", "Bearer xyz"),)
BOTH = (("authorization", "Bearer own"), ("x-api-key", "k"))
COUNT = "{count: steps, per: [lineage], window: 31d}"


def world(signal=COUNT, condition="signals.s > 2", *, then="deny", more=""):
    rule = f"  - {{name: r, when: '{condition}', then: {then}}}\n"
    return World(f"{BASE}{rule}{more}signals: {{s: {signal}}}\n{TASKS}")


def owned(it, headers=KEY, who=AGENT, **more):
    """A step by which the credential becomes its caller's."""
    assert it.step(headers=headers, who=who, **more).decision is Decision.ALLOW
    it.answered()


def test_13_who_presents_anothers_credential_reads_the_larger_past():
    """The owner's and its own, whichever is larger; without the credential its own again."""
    it = world()
    owned(it)
    it.steps(2)
    it.later(1)
    assert it.step(who=OTHER).decision is Decision.ALLOW
    assert it.step(who=OTHER, headers=KEY).rule == "r"
    assert it.reading("s") == 3
    assert it.step(who=OTHER).decision is Decision.DENY
    assert it.reading("s") == 3


def test_13_it_writes_only_its_own():
    """Whatever it does with the credential, its owner's past is as before."""
    it = world("{count: steps, per: [lineage], window: 31d}", "signals.s > 9")
    owned(it)
    assert it.steps(9, who=OTHER, headers=KEY) == ["allow"] * 9
    it.answered()
    it.step(headers=KEY)
    assert it.reading("s") == 2


def test_13_what_a_rule_adds_is_the_thiefs_own():
    """The owner's risk is inherited, and what the thief does raises its own only."""
    more = "  - {name: bad, match: {action: list}, then: observe, adds: {s: 30}}\n"
    it = world("{score: true, each: [principal, lineage], half_life: 31d}", "signals.s >= 50", more=more)
    owned(it)
    it.step("/docs")
    assert it.step(who=OTHER, headers=KEY).decision is Decision.ALLOW
    assert it.reading("s") == 30
    it.step("/docs", who=OTHER, headers=KEY)
    it.step("/docs", who=OTHER, headers=KEY)
    assert it.step(who=OTHER).rule == "r"
    assert it.step(headers=KEY).decision is Decision.ALLOW
    assert it.reading("s") == 30


@pytest.mark.parametrize(
    "answer", [{"status": 400}, {"status": 401}, {"status": 503}, {"status": 0, "failed": True}, None]
)
def test_13_only_an_accepted_step_makes_it_somebodys(answer):
    """Allowed and answered below 400: else the next one that is makes it its own."""
    it = world()
    it.step(headers=KEY)
    if answer is not None:
        it.answered(**answer)
    it.later(3)
    owned(it, who=OTHER)
    it.steps(2, who=OTHER)
    it.later(3)
    assert it.step(headers=KEY).rule == "r"


def test_13_a_refused_step_claims_nothing():
    """It has no outcome."""
    it = world(more="  - {name: no, match: {action: list}, then: deny}\n")
    it.step("/docs", headers=KEY)
    assert it.event.expected == ()


def test_13_whose_it_is_stays_while_it_is_used():
    """Others' use of it changes nothing, however often it is accepted."""
    it = world(condition="signals.s > 99")
    owned(it)
    for _ in range(3):
        it.later(3600 * 20)
        owned(it)
        owned(it, who=OTHER)
    it.steps(50)
    it.step(who=OTHER, headers=KEY)
    assert it.reading("s") == 54
    it.step(headers=KEY)
    assert it.reading("s") == 55


def test_13_it_is_forgotten_when_its_owner_is_gone():
    """After a day where it was used once; after 31 days of silence where it was used for longer."""
    it = world()
    owned(it)
    it.steps(2)
    it.later(86_399)
    assert it.step(who=OTHER, headers=KEY).decision is Decision.DENY
    it.later(1)
    assert it.step(who=OTHER, headers=KEY).decision is Decision.ALLOW
    it = world()
    owned(it)
    it.later(3600)
    owned(it)
    it.later(31 * 86_400 - 1)
    it.steps(3)
    assert it.step(who=OTHER, headers=KEY).decision is Decision.DENY
    it.later(1)
    assert it.step(who=OTHER, headers=KEY).decision is Decision.ALLOW


def test_13_the_lineage_of_a_task_is_remembered_and_kept_by_its_next_task():
    """Its other agents inherit nothing, being of that lineage themselves."""
    it = world("{count: steps, each: [principal, lineage], window: 1d}", "signals.s > 4")
    owned(it, task=task())
    it.steps(3, task=task(id="t2"))
    assert it.step(who=OTHER, task=task(OTHER, id="t3"), headers=KEY).rule == "r"
    assert it.reading("s") == 5
    it.later(1)
    assert it.step(who=OTHER, headers=KEY).rule == "r"
    assert it.step(who=OTHER).decision is Decision.ALLOW


def test_13_beside_the_principal_a_caller_without_a_task_is_inherited_as_the_caller():
    """That is where its past is kept."""
    it = world("{count: steps, each: [principal, lineage], window: 1d}")
    owned(it)
    it.steps(2)
    assert it.step(who=OTHER, headers=KEY).rule == "r"


def test_13_every_presented_credential_counts():
    """One of its own in front does not hide the stolen one behind it."""
    it = world(condition="signals.s > 3")
    owned(it, headers=BOTH[1:])
    it.steps(3)
    owned(it, headers=BOTH[:1], who=OTHER)
    it.later(3)
    assert it.step(who=OTHER, headers=BOTH).rule == "r"
    assert it.step(who=OTHER, headers=BOTH[:1]).decision is Decision.ALLOW


def test_13_an_anonymous_caller_inherits_too():
    """It has no past of its own, and whose it presents it reads."""
    it = World(
        f"{BASE}  - {{name: all, match: {{principal: anonymous}}, then: allow}}\n"
        f"  - {{name: r, when: signals.s > 2, then: deny}}\nsignals: {{s: {COUNT}}}\n"
    )
    owned(it)
    it.steps(2)
    assert it.step(who="").decision is Decision.ALLOW
    assert it.step(who="", headers=KEY).rule == "r"


@pytest.mark.parametrize(
    ("signal", "condition"),
    [
        ("{count: steps, per: [action, lineage], window: 1d}", "signals.s > 2"),
        ("{distinct: path.doc, per: [lineage], window: 1d}", "signals.s > 2"),
        ("{sequence: [discovery, collection], per: [lineage], window: 1d}", "signals.s >= 1"),
        ("{count: steps, per: [lineage, action], window: 1d}", "signals.s > 2"),
        ("{count: outcomes, per: [lineage], window: 1d}", "signals.s == 1"),
        ("{mark: \"action.kind == 'discovery'\", each: [lineage], keep: 1d}", "signals.s == 1"),
    ],
)
def test_13_all_that_speaks_against_a_lineage_is_inherited(signal, condition):
    """Counts, members, chains, outcomes and marks."""
    it = world(signal, condition)
    for path in ("/docs/1", "/docs/2", "/docs/3", "/docs"):
        it.step(path, headers=KEY)
        it.answered()
    assert it.step("/docs/4", who=OTHER).decision is Decision.ALLOW
    assert it.step("/docs/4", who=OTHER, headers=KEY).rule == "r"


@pytest.mark.parametrize(
    ("signal", "condition"),
    [
        ("{first_seen: path.doc, per: [lineage], window: 1d, learn: {time: 0s, count: 0}}", "signals.s == 1"),
        (
            "{distinct: path.doc, per: [lineage], window: 1d, fed_by: allowed, learn: {time: 0s, count: 0}}",
            "!signals.s.has",
        ),
    ],
)
def test_13_what_its_owner_is_familiar_with_is_not_inherited(signal, condition):
    """It would make a thief look like its victim."""
    it = World(
        f"{BASE}  - {{name: r, match: {{principal: {OTHER}}}, when: '{condition}', then: deny}}\nsignals: {{s: {signal}}}\n"
    )
    owned(it, headers=KEY)
    assert it.step(who=OTHER, headers=KEY).rule == "r"


def test_12_what_is_inherited_contains_the_caller_with_that_credential_only():
    """Nobody shows that they belong together, so that a key which somebody slips a caller does not lock it out."""
    it = world(then="quarantine, contain: {principal: 1h, instance: 5m}")
    owned(it)
    it.steps(1)
    it.trial.now += 1
    it.step(headers=MORE)  # the owner itself: all of it
    assert {each.entity.type for each in it.event.verdict.contain} == {"principal", "instance"}
    assert it.step(who=OTHER, headers=KEY).decision is Decision.QUARANTINE
    assert [(each.entity.type, each.until - it.trial.now) for each in it.event.verdict.contain] == [("pair", 3600)]
    assert it.step(who=OTHER, headers=KEY).reason is Reason.CONTAINED
    assert it.step(who=OTHER).decision is Decision.ALLOW


def test_12_one_destination_contains_nobody_by_what_is_inherited():
    """It could say of any caller that it presented the credential; the step is denied all the same."""
    it = world(then="quarantine, contain: {principal: 1h}")
    owned(it)
    it.steps(1)
    assert it.step(who=OTHER, destination_principal=DOCS, headers=KEY).decision is Decision.ALLOW
    it.step()
    verdict = it.step(who=OTHER, destination_principal=DOCS, headers=KEY)
    assert (verdict.decision, verdict.contain) == (Decision.QUARANTINE, ())


def test_12_a_contained_owner_contains_nobody_else():
    """Containment is about what the caller proved."""
    it = world(
        condition='path.doc == "evil"',
        then="quarantine, contain: {lineage: 1h}",
        more="  - {name: n, when: signals.s > 99, then: deny}\n",
    )
    owned(it, task=task())
    it.step("/docs/evil", task=task())
    assert it.step(task=task()).reason is Reason.CONTAINED
    assert it.step(who=OTHER, headers=KEY).decision is Decision.ALLOW
