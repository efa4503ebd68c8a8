"""Who grants and refuses: somebody of the rule's group, with the right, and with no part in the step."""

import pytest

from authz_server.approvals.asking import describe
from authz_server.approvals.binding import approval_id, bound_of
from authz_server.approvals.desk import MAX_OPEN, ApprovalError
from authz_server.approvals.record import PENDING_S, AskedRule
from authz_server.approvals.shelf import MemoryShelf
from authz_server.model import Task
from tests.steps import KEYED
from tests.unit.approvals.world import AGENT, ANN, BOB, DPO, MAY, NOW, SOC, World, challenged

SOC_ONLY = frozenset({"soc"})
TASK = Task("report", "t" * 32, "group:analysts", AGENT, "alice", 0, 2_000_000_000, parties=frozenset({ANN}))


def asked(step, **changes):
    """What a replica asks, or one that is not itself any more."""
    bound = bound_of(step)
    return describe(approval_id(KEYED, bound), step, bound, NOW).model_copy(update=changes)


@pytest.fixture
def it():
    return World()


def refused(call, *arguments):
    with pytest.raises(ApprovalError) as caught:
        call(*arguments)
    return caught.value.code


def test_an_approver_sees_what_waits_for_its_groups(it):
    name = it.ask()
    assert [ask.id for ask in it.desk.pending(ANN, MAY, SOC_ONLY)] == [name]
    assert it.desk.pending(ANN, MAY, frozenset({"dpo"})) == []
    assert it.desk.pending(ANN, frozenset({"contain"}), SOC_ONLY) == []
    assert it.desk.pending(AGENT, MAY, SOC_ONLY) == []


@pytest.mark.parametrize("act", ["approve", "deny"])
def test_who_may_not(it, act):
    name, call = it.ask(), getattr(it.desk, act)
    assert refused(call, ANN, frozenset({"contain", "release"}), SOC_ONLY, name, "") == "permission_denied"
    assert refused(call, ANN, MAY, frozenset({"dpo"}), name, "") == "approval_group"
    assert refused(call, AGENT, MAY, SOC_ONLY, name, "") == "approval_own"
    assert refused(call, ANN, MAY, SOC_ONLY, "0" * 32, "") == "approval_unknown"
    assert refused(call, ANN, MAY, SOC_ONLY, name, "a\nb") == "reason_invalid"
    assert refused(call, ANN, MAY, SOC_ONLY, name, "x" * 513) == "reason_invalid"
    assert it.desk.state(name)[0] == "pending"


def test_nobody_in_the_chain_of_a_task_grants_it(it):
    task = Task(
        "report",
        "t" * 32,
        ANN,
        AGENT,
        BOB,
        0,
        2_000_000_000,
        parties=frozenset({"spiffe://corp.example/ns/a/sa/first"}),
    )
    name = it.ask(challenged(task=task))
    for party in (ANN, BOB, AGENT, "spiffe://corp.example/ns/a/sa/first"):
        assert refused(it.approve, name, party) == "approval_own"
    assert it.approve(name, "spiffe://corp.example/ns/people/sa/eve").authors


def test_every_act_is_told(it):
    name = it.ask()
    it.approve(name)
    assert (it.log[-1]["event"], it.log[-1]["author"], it.log[-1]["approval"]) == ("approval_granted", ANN, name)
    other = it.ask(challenged(query="b"))
    it.desk.deny(BOB, MAY, SOC_ONLY, other, "no")
    assert (it.log[-1]["event"], it.log[-1]["author"], it.log[-1]["reason"]) == ("approval_denied", BOB, "no")


def test_what_became_of_an_ask(it):
    name = it.ask()
    assert it.desk.state(name)[0] == "pending"
    it.approve(name)
    assert it.desk.state(name)[0] == "approved"
    other = it.ask(challenged(query="b"))
    it.desk.deny(ANN, MAY, SOC_ONLY, other, "")
    assert it.desk.state(other)[0] == "denied"
    assert it.desk.state("0" * 32)[0] == "unknown"


def test_an_ask_that_nobody_answers_is_over(it):
    name = it.ask()
    it.now += 3600
    assert refused(it.approve, name) == "approval_unknown"
    assert it.desk.state(name)[0] == "unknown"


def test_half_of_the_groups_leave_it_pending(it):
    name = it.ask(challenged(SOC, DPO))
    it.approve(name)
    assert it.desk.state(name)[0] == "pending"
    assert [ask.id for ask in it.desk.pending(BOB, MAY, frozenset({"dpo"}))] == [name]


def test_what_others_ask_is_taken_with_one_look_at_what_is_open(it, monkeypatch):
    """The look takes as long as there are many, and who is contained is followed on the same thread."""
    it.ask()
    asks = [asked(challenged(query=str(number))) for number in range(MAX_OPEN + 3)]
    looks, look = [], it.shelf.asks
    monkeypatch.setattr(MemoryShelf, "asks", lambda shelf, now: looks.append(now) or look(now))
    it.desk.collect(Waiting([]))
    it.desk.collect(Waiting(asks))
    assert len(looks) == 1
    assert len(look(NOW)) == MAX_OPEN
    assert it.desk.tired == 4


class Waiting:
    """What data replicas have asked."""

    def __init__(self, asks):
        self.collect = lambda: asks


def test_a_lineage_does_not_tire_its_approvers(it):
    """Who is asked too often agrees without looking."""
    for number in range(MAX_OPEN + 3):
        it.ask(challenged(query=str(number)))
    assert len(it.shelf.asks(NOW)) == MAX_OPEN
    assert it.desk.tired == 3
    assert it.log[-1]["event"] == "approval_fatigue"
    it.desk.deny(ANN, MAY, SOC_ONLY, it.shelf.asks(NOW)[0].id, "")
    it.ask(challenged(query="new"))
    assert len(it.shelf.asks(NOW)) == MAX_OPEN


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "0" * 32},
        {"principal": BOB},
        {"lineage": (BOB, BOB)},
        {"task_id": "u" * 32},
        {"action": "import"},
        {"destination": "dwh"},
        {"method": "PUT"},
        {"host": "other.example"},
        {"path": "/export/2"},
        {"query": "all=1"},
        {"text": '{"rows":1}', "size": 10},
        {"text": "", "size": 0},
        {"binds": "action"},
        {"body": "", "text": "", "size": 0},
        {"rules": ()},
        {"rules": (AskedRule(name="exports-wait", reason="", groups=("group:dev",), digest=""),)},
        {"uses": 100},
        {"expires_s": 86_400},
    ],
)
def test_an_ask_that_is_not_what_it_says_is_not_taken(it, changes):
    """Else a replica that is not itself any more could have one step shown and another approved."""
    genuine = asked(challenged(task=TASK))
    assert not it.desk.take(genuine.model_copy(update=changes))
    told = {name: it.log[-1][name] for name in ("event", "alert")}
    assert told == {"event": "approval_forged", "alert": "critical"}
    assert it.shelf.asks(NOW) == []
    assert it.desk.take(genuine)


@pytest.mark.parametrize("changes", [{"groups": ("group:dev",)}, {"reason": "routine"}, {"digest": ""}])
def test_who_may_agree_and_why_is_part_of_what_an_ask_is_named_by(it, changes):
    """Else a replica that is not itself any more could have others agree than the policy says."""
    genuine = asked(challenged(SOC, DPO))
    first, *others = genuine.rules
    assert not it.desk.take(genuine.model_copy(update={"rules": (first.model_copy(update=changes), *others)}))
    more = first.model_copy(update=changes)
    assert not it.desk.take(genuine.model_copy(update={"rules": (*genuine.rules, more)}))
    assert it.desk.take(genuine)


def test_who_has_a_part_is_not_taken_from_the_ask_alone(it):
    """The book of tasks knows the chain, whomever the ask leaves out."""
    it.desk._chain = {TASK.id: {ANN}}.get
    forged = asked(challenged(task=TASK), parties=())
    assert it.desk.take(forged)
    for party in (AGENT, "alice", ANN):
        assert refused(it.approve, forged.id, party) == "approval_own"
    assert it.approve(forged.id, BOB)


def test_an_ask_waits_no_longer_than_any(it):
    """Whatever it says itself: places are for others, too."""
    ask = asked(challenged(), asked=NOW + 10_000, until=NOW + 1e9)
    it.desk.take(ask)
    (taken,) = it.shelf.asks(NOW)
    assert (taken.asked, taken.until) == (NOW, NOW + PENDING_S)


def test_an_ask_that_is_dated_back_brings_no_earlier_grant_to_life(it):
    """What one group granted once is used up, and is not granted again by the other one alone."""
    ask = asked(challenged(SOC, DPO), asked=0.0)
    it.desk.take(ask)
    it.approve(ask.id, ANN)
    assert set(it.approve(ask.id, BOB, frozenset({"dpo"})).rules) == {"exports-wait", "big-ones-too"}
    it.now += 1
    assert it.desk.take(ask)
    assert it.approve(ask.id, BOB, frozenset({"dpo"})).rules == ("big-ones-too",)
