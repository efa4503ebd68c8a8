"""The task of a step, from the token in its request."""

import pytest

from authz_server.model import Invalid
from authz_server.task.claims import Confirmation
from authz_server.task.token import issue
from authz_server.taskbook.source import TokenTaskSource
from tests.steps import principal, request
from tests.unit.taskbook.world import AGENT, ASKED, HELPER, NOW, ORCHESTRATOR, STRANGER, World


@pytest.fixture
def it():
    return World()


def source(it):
    return TokenTaskSource(lambda: it.verifier, is_open=it.book.is_alive)


def carrying(token, **more):
    return request(headers={"txn-token": token}, **more)


def test_a_step_without_a_token_has_no_task(it):
    assert source(it).task_of(request(), principal(AGENT), NOW) is None


def test_the_agent_shows_its_own_token(it):
    issued = it.desk.open(ORCHESTRATOR, ASKED._replace(actions=("crm.read",), steps=7, originator="alice"))
    task = source(it).task_of(carrying(issued.token), principal(AGENT), NOW)
    assert (task.template, task.id, task.agent, task.depth) == ("report", issued.task.id, AGENT, 0)
    assert (task.issuer, task.originator, task.actions, task.steps) == (ORCHESTRATOR, "alice", ("crm.read",), 7)
    assert task.parties == {AGENT, ORCHESTRATOR, "alice"}


@pytest.mark.parametrize("who", [HELPER, STRANGER, ORCHESTRATOR, ""])
def test_the_token_of_another_does_not_hold(it, who):
    issued = it.desk.open(ORCHESTRATOR, ASKED)
    shown_by = principal(who) if who else None
    assert source(it).task_of(carrying(issued.token), shown_by, NOW) == Invalid("task_bound_to_another")


def test_a_delegate_has_a_token_of_its_own(it):
    issued = it.desk.open(ORCHESTRATOR, ASKED)
    handed = it.desk.delegate(AGENT, issued.token, HELPER)
    assert source(it).task_of(carrying(handed.token), principal(HELPER), NOW).depth == 1
    assert source(it).task_of(carrying(handed.token), principal(AGENT), NOW) == Invalid("task_bound_to_another")


def test_two_tokens_are_none(it):
    token = it.desk.open(ORCHESTRATOR, ASKED).token
    twice = carrying(f"{token},{token}", repeated={"txn-token": (token, token)})
    assert source(it).task_of(twice, principal(AGENT), NOW) == Invalid("token_repeated")


@pytest.mark.parametrize("token", ["", " ", "a.b.c", "x" * 9000])
def test_what_is_no_token_does_not_hold(it, token):
    found = source(it).task_of(carrying(token), principal(AGENT), NOW)
    assert isinstance(found, Invalid)
    assert found.reason.startswith("token_")


def test_from_the_end_on_the_token_does_not_hold(it):
    issued = it.desk.open(ORCHESTRATOR, ASKED)
    it.desk.end(ORCHESTRATOR, issued.task.id, "done")
    assert source(it).task_of(carrying(issued.token), principal(AGENT), NOW) == Invalid("task_ended")


def test_a_task_of_a_key_is_shown_with_its_proof(it):
    """Whose thumbprint the engine brings; without one, or with another, the token is of no use."""
    key = "k" * 43
    claims = it.verifier.verify(it.desk.open(ORCHESTRATOR, ASKED).token, NOW)
    token = issue(claims._replace(confirmation=Confirmation("jkt", key)), it.key)
    found = [source(it).task_of(carrying(token), principal(AGENT), NOW, *jkt) for jkt in ([key], [], ["x" * 43])]
    assert found[0].key == key
    assert found[1:] == [Invalid("task_proof_missing"), Invalid("task_bound_to_another")]
