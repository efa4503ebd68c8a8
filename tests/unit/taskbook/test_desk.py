"""Opening, replacing, handing on and ending tasks: never wider than the policy in force, and not after the end."""

import pytest

from authz_server.errors import StateUnavailableError
from authz_server.model import Entity
from authz_server.task.claims import MAX_GENERATION
from authz_server.taskbook.book import LOST
from authz_server.taskbook.desk import TRIES
from authz_server.taskbook.memory import MemoryTaskBook
from authz_server.taskbook.opening import OpenTask, TaskError
from authz_server.taskbook.openings import MAX_OPENINGS
from authz_server.taskbook.record import decode_task, encode_task
from tests.steps import policy
from tests.unit.taskbook.world import AGENT, ANALYST, ASKED, HELPER, NOW, ORCHESTRATOR, POLICY, STRANGER, World


@pytest.fixture
def it():
    return World()


def refused(call, *arguments, **named):
    with pytest.raises(TaskError) as caught:
        call(*arguments, **named)
    return caught.value.code, caught.value.error


def claims(it, issued):
    return it.verifier.verify(issued.token, it.now)


def test_whoever_the_template_names_opens_a_task_for_its_agent(it):
    issued = it.desk.open(ORCHESTRATOR, ASKED._replace(purpose="weekly report", context=(("ticket", "T-1"),)))
    found = claims(it, issued)
    assert (found.txn, found.agent, found.template, found.depth) == (issued.task.id, AGENT, "report", 0)
    assert (found.opener, found.originator, found.purpose) == (ORCHESTRATOR, ORCHESTRATOR, "weekly report")
    assert (found.expires, found.deadline) == (int(NOW) + 300, int(NOW) + 3600)
    assert it.acts[0]["event"] == "task_opened"
    assert issued.token not in repr(it.acts)


def test_a_group_opens_tasks_in_its_own_name_and_for_somebody(it):
    found = claims(it, it.desk.open(ANALYST, ASKED._replace(originator="bob@corp.example")))
    assert (found.opener, found.originator, found.req_wl) == ("group:analysts", "bob@corp.example", ANALYST)


@pytest.mark.parametrize(
    ("caller", "changes", "expected"),
    [
        (ORCHESTRATOR, {"template": "none"}, ("task_template_unknown", "invalid_scope")),
        (STRANGER, {}, ("task_issuer", "unauthorized_client")),
        (AGENT, {}, ("task_issuer", "unauthorized_client")),
        ("local", {}, ("task_issuer", "unauthorized_client")),
        (ORCHESTRATOR, {"agent": STRANGER}, ("task_agent", "invalid_target")),
        (ORCHESTRATOR, {"agent": "a"}, ("task_agent_invalid", "invalid_request")),
        (ORCHESTRATOR, {"agent": "spiffe://corp.example"}, ("task_agent_invalid", "invalid_request")),
        (ORCHESTRATOR, {"actions": ("vault.read",)}, ("task_wider", "invalid_scope")),
        (ORCHESTRATOR, {"actions": ("*",)}, ("task_wider", "invalid_scope")),
        (ORCHESTRATOR, {"actions": ("crm.read", "crm.nothing")}, ("task_wider", "invalid_scope")),
        (ORCHESTRATOR, {"actions": ("",)}, ("task_wider", "invalid_scope")),
        (ORCHESTRATOR, {"steps": 41}, ("task_wider", "invalid_scope")),
        (ORCHESTRATOR, {"steps": -1}, ("task_number_invalid", "invalid_request")),
        (ORCHESTRATOR, {"purpose": "a\x1b[2J"}, ("task_text_invalid", "invalid_request")),
        (ORCHESTRATOR, {"purpose": "x" * 513}, ("task_text_invalid", "invalid_request")),
        (ORCHESTRATOR, {"originator": "a\nb"}, ("task_originator_invalid", "invalid_request")),
        (ORCHESTRATOR, {"actions": ("crm.read",) * 65}, ("task_too_much", "invalid_request")),
        (ANALYST, {"template": "nightly"}, ("task_hours", "invalid_request")),
    ],
)
def test_what_may_not_be_opened(it, caller, changes, expected):
    assert refused(it.desk.open, caller, ASKED._replace(**changes)) == expected
    assert it.desk.tasks("local", may_see_all=True) == []


@pytest.mark.parametrize(
    "changes",
    [{"context": (("Not a name", "x"),)}, {"actions": ("crm.read", "crm.read")}, {"originator": "two words"}],
)
def test_what_cannot_be_said_in_a_token_is_not_opened(it, changes):
    """And nothing of it stays in the book."""
    code, error = refused(it.desk.open, ORCHESTRATOR, ASKED._replace(**changes))
    assert (code.startswith("token_"), error) == (True, "invalid_request")
    assert it.desk.tasks("local", may_see_all=True) == []


@pytest.mark.parametrize("who", [ORCHESTRATOR, AGENT])
def test_a_contained_caller_opens_nothing_and_nothing_is_opened_for_one(it, who):
    """It is not told that it is contained."""
    it.contained.add(Entity("principal", (who,)))
    with pytest.raises(TaskError, match="not permitted") as caught:
        it.desk.open(ORCHESTRATOR, ASKED)
    assert caught.value.error == "unauthorized_client"


def test_a_task_is_as_narrow_as_it_was_opened(it):
    asked = ASKED._replace(actions=("crm.read",), steps=5, ttl_s=60)
    found = claims(it, it.desk.open(ORCHESTRATOR, asked))
    assert (found.actions, found.steps, found.expires, found.deadline) == (
        ("crm.read",),
        5,
        int(NOW) + 60,
        int(NOW) + 60,
    )
    longer = it.desk.open(ORCHESTRATOR, ASKED._replace(ttl_s=999_999))
    assert longer.task.deadline == NOW + 3600


def test_a_replacement_renews_the_token_and_nothing_else(it):
    first = it.desk.open(ORCHESTRATOR, ASKED._replace(actions=("crm.read",)))
    it.now += 200
    second = it.desk.replace(AGENT, first.token)
    before, after = claims(it, first), claims(it, second)
    assert after._replace(jti=before.jti, issued=before.issued, expires=before.expires, generation=0) == before
    assert (after.expires, after.generation) == (int(NOW) + 500, 1)
    it.now = NOW + 3590
    last = it.desk.tasks(AGENT)[0]
    token, expires = it.tokens.issue(last, last.members[0], it.now)
    assert expires == NOW + 3600
    assert it.desk.replace(AGENT, token).expires == NOW + 3600


def test_a_token_is_replaced_by_its_agent_alone_and_before_it_expires(it):
    issued = it.desk.open(ORCHESTRATOR, ASKED)
    for other in (HELPER, ORCHESTRATOR, STRANGER):
        assert refused(it.desk.replace, other, issued.token) == ("task_bound_to_another", "invalid_grant")
    assert refused(it.desk.replace, AGENT, issued.token[:-4] + "AAAA") == ("token_signature", "invalid_grant")
    it.now += 300
    assert refused(it.desk.replace, AGENT, issued.token) == ("token_expired", "invalid_grant")


def test_a_replacement_asks_the_policy_anew(it):
    issued = it.desk.open(ORCHESTRATOR, ASKED)
    sound = it.policy
    for change, expected in (
        (POLICY.replace("name: report", "name: reports"), "task_template_unknown"),
        (POLICY.replace('["spiffe://corp.example/ns/platform/**", group:analysts]', "[group:analysts]"), "task_issuer"),
        (POLICY.replace("ns/agents/**", "ns/agents/sa/z"), "task_agent"),
    ):
        it.policy = policy(change)
        assert refused(it.desk.replace, AGENT, issued.token)[0] == expected
    it.policy = sound
    assert it.desk.replace(AGENT, issued.token)


def test_in_a_closed_hour_nothing_is_renewed_and_nothing_handed_on(it):
    it.policy = policy(POLICY.replace("ttl: 1h}", "ttl: 24h, max_depth: 1}"))
    it.now = NOW - NOW % 86_400 + 3590  # ten seconds before one o'clock
    issued = it.desk.open(ANALYST, OpenTask("nightly", AGENT))
    it.now += 20
    for act in (lambda: it.desk.replace(AGENT, issued.token), lambda: it.desk.delegate(AGENT, issued.token, HELPER)):
        assert refused(act) == ("task_hours", "invalid_request")


@pytest.mark.parametrize("entity", [("principal", AGENT), ("principal", ORCHESTRATOR), ("task", "")])
def test_nothing_is_renewed_for_the_contained(it, entity):
    issued = it.desk.open(ORCHESTRATOR, ASKED)
    it.contained.add(Entity(entity[0], (entity[1] or issued.task.id,)))
    assert refused(it.desk.replace, AGENT, issued.token)[0] in {"task_contained", "task_ended"}


def test_replacements_have_an_end(it):
    issued = it.desk.open(ORCHESTRATOR, ASKED)
    worn = issued.task._replace(generation=MAX_GENERATION)
    assert it.book.replace(issued.task, worn, it.now)
    assert refused(it.desk.replace, AGENT, issued.token) == ("task_worn_out", "invalid_grant")


def test_a_task_is_handed_on_within_the_template(it):
    issued = it.desk.open(ORCHESTRATOR, ASKED._replace(actions=("crm.read",)))
    handed = it.desk.delegate(AGENT, issued.token, HELPER)
    found = claims(it, handed)
    assert (found.agents, found.depth, found.actions, found.txn) == ((AGENT, HELPER), 1, ("crm.read",), issued.task.id)
    assert refused(it.desk.delegate, AGENT, issued.token, HELPER) == ("task_loop", "invalid_target")
    assert refused(it.desk.delegate, HELPER, handed.token, AGENT) == ("task_loop", "invalid_target")
    deeper = "spiffe://corp.example/ns/agents/sa/c"
    assert refused(it.desk.delegate, HELPER, handed.token, deeper) == ("task_depth", "invalid_target")
    assert refused(it.desk.delegate, AGENT, issued.token, STRANGER) == ("task_agent", "invalid_target")
    assert it.desk.delegate(AGENT, issued.token, deeper).agent == deeper
    assert it.desk.replace(HELPER, handed.token)


def test_a_task_is_handed_on_as_often_as_its_record_can_say(it):
    """Beyond that nobody could read the record, and so nobody end the task."""
    issued = it.desk.open(ORCHESTRATOR, ASKED)
    for number in range(8):
        it.desk.delegate(AGENT, issued.token, f"{HELPER}{number}")
    assert refused(it.desk.delegate, AGENT, issued.token, HELPER) == ("task_too_much", "invalid_request")
    found = it.desk.find(ORCHESTRATOR, issued.task.id)
    assert decode_task(encode_task(found)) == found


def test_a_task_that_says_more_than_its_record_holds_is_not_opened(it):
    """Escapes make texts of other scripts longer there than in the token."""
    said = ASKED._replace(purpose="\U0001f4c8" * 512, context=tuple((f"k{n}", "\U0001f4c8" * 60) for n in range(16)))
    assert refused(it.desk.open, ORCHESTRATOR, said) == ("task_too_much", "invalid_request")
    assert it.desk.tasks("local", may_see_all=True) == []


class Racing(MemoryTaskBook):
    """A book that somebody else changes just before, as often as `meanwhile` has something to do."""

    def __init__(self):
        super().__init__()
        self.meanwhile = []

    def replace(self, before, task, now):
        if self.meanwhile:
            self.meanwhile.pop()()
        return super().replace(before, task, now)


def test_acts_at_the_same_moment_do_not_undo_each_other():
    it = World(Racing())
    issued = it.desk.open(ORCHESTRATOR, ASKED)
    handed = []
    it.book.meanwhile = [lambda: handed.append(it.desk.delegate(AGENT, issued.token, HELPER))]
    it.desk.replace(AGENT, issued.token)
    it.book.meanwhile = [lambda: it.desk.replace(AGENT, issued.token)]
    it.desk.delegate(AGENT, issued.token, HELPER + "2")
    assert it.desk.replace(HELPER, handed[0].token).task.generation == 3
    assert [each.agent for each in it.desk.find(AGENT, issued.task.id).members] == [AGENT, HELPER, HELPER + "2"]


def test_who_never_gets_a_turn_is_told_to_ask_again():
    it = World(Racing())
    issued = it.desk.open(ORCHESTRATOR, ASKED)
    for act in (lambda: it.desk.replace(AGENT, issued.token), lambda: it.desk.delegate(AGENT, issued.token, HELPER)):
        it.book.meanwhile = [lambda: touch(it, issued)] * TRIES
        with pytest.raises(StateUnavailableError):
            act()
    it.book.meanwhile = [lambda: it.desk.end(AGENT, issued.task.id, "done")]
    assert refused(it.desk.replace, AGENT, issued.token) == ("task_ended", "invalid_grant")


def touch(it, issued):
    found = it.book.find(issued.task.id, it.now)
    MemoryTaskBook.replace(it.book, found, found._replace(touched=found.touched + 1), it.now)


def test_a_delegate_falls_with_those_before_it(it):
    issued = it.desk.open(ORCHESTRATOR, ASKED)
    handed = it.desk.delegate(AGENT, issued.token, HELPER)
    it.contained.add(Entity("principal", (AGENT,)))
    assert refused(it.desk.replace, HELPER, handed.token)[0] == "task_contained"


@pytest.mark.parametrize("who", [ORCHESTRATOR, AGENT])
def test_from_the_end_on_nothing_of_a_task_is_renewed(it, who):
    issued = it.desk.open(ORCHESTRATOR, ASKED)
    ended = it.desk.end(who, issued.task.id, "done")
    assert (ended.ended, ended.ended_by, ended.ended_reason) == (NOW, who, "done")
    assert it.told == [ended]
    assert refused(it.desk.replace, AGENT, issued.token) == ("task_ended", "invalid_grant")
    assert refused(it.desk.delegate, AGENT, issued.token, HELPER) == ("task_ended", "invalid_grant")
    assert it.desk.introspect(AGENT, issued.token) is None
    assert it.desk.end(who, issued.task.id, "again") == ended
    assert it.told == [ended]


def test_an_end_that_was_half_done_is_done_by_asking_again():
    """The key in the store is gone, and no replica was told: steps that read nothing would still be made."""
    it = World(Lossy())
    issued = it.desk.open(ORCHESTRATOR, ASKED)
    with pytest.raises(StateUnavailableError):
        it.desk.end(AGENT, issued.task.id, "done")
    assert it.told == []
    ended = it.desk.end(AGENT, issued.task.id, "done")
    assert [task.id for task in it.told] == [issued.task.id]
    assert (ended.ended_by, ended.ended_reason) == (AGENT, "done")
    assert it.desk.end(AGENT, issued.task.id, "done again") == ended


class Lossy(MemoryTaskBook):
    """A book whose store goes away in the middle of the first end, as `SharedTaskBook` then finds the task."""

    def __init__(self):
        super().__init__()
        self.lost = None

    def end(self, task):
        if self.lost is None:
            self.lost = task.id
            raise StateUnavailableError("timeout")
        self.lost = ""
        super().end(task)

    def find(self, task_id, now):
        found = super().find(task_id, now)
        return found._replace(ended=now, ended_reason=LOST) if task_id == self.lost else found


def test_nobody_else_ends_or_sees_a_task(it):
    """An operator does. A stranger learns nothing, not even that there is one."""
    task = it.desk.open(ORCHESTRATOR, ASKED).task
    for call in (it.desk.find, lambda who, found: it.desk.end(who, found, "x")):
        assert refused(call, STRANGER, task.id) == ("task_unknown", "invalid_grant")
        assert refused(call, ORCHESTRATOR, "0" * 32) == ("task_unknown", "invalid_grant")
    assert it.desk.tasks(STRANGER) == []
    assert it.desk.end("local", task.id, "because", may_end_all=True).ended_by == "local"


def test_a_group_sees_and_ends_what_it_opened(it):
    task = it.desk.open(ANALYST, ASKED).task
    assert it.desk.tasks(ANALYST) == [task]
    assert it.desk.end(ANALYST, task.id, "done").ended


def test_a_token_is_looked_into_by_whom_it_concerns(it):
    issued = it.desk.open(ORCHESTRATOR, ASKED)
    grant, task = it.desk.introspect(AGENT, issued.token)
    assert (grant.agent, task.id) == (AGENT, issued.task.id)
    assert it.desk.introspect(STRANGER, issued.token) is None
    assert it.desk.introspect(STRANGER, issued.token, may_see_all=True) is not None
    it.now += 301
    assert it.desk.introspect(AGENT, issued.token) is None


def test_a_caller_does_not_fill_the_book(it):
    for _ in range(MAX_OPENINGS):
        it.desk.open(ORCHESTRATOR, ASKED)
    assert refused(it.desk.open, ORCHESTRATOR, ASKED) == ("task_too_many", "invalid_request")
    assert it.desk.open(ANALYST, ASKED)


def test_openings_that_are_refused_count_nothing(it):
    for _ in range(MAX_OPENINGS + 1):
        refused(it.desk.open, ORCHESTRATOR, OpenTask("report", STRANGER))
    assert it.desk.open(ORCHESTRATOR, ASKED)
