"""Tasks end by themselves."""

import pytest

from authz_server.model import Entity
from authz_server.taskbook.sweeper import Sweeper
from tests.unit.taskbook.world import AGENT, ASKED, HELPER, NOW, ORCHESTRATOR, World


@pytest.fixture
def it():
    return World()


def sweeper(it, gone=frozenset()):
    return Sweeper(
        it.desk, it.book, lambda entity: entity in it.contained, lambda agent, _: agent in gone, lambda: it.now
    )


def reasons(it):
    return [task.ended_reason for task in it.told]


def test_at_its_deadline(it):
    task = it.desk.open(ORCHESTRATOR, ASKED._replace(ttl_s=300)).task
    it.now = NOW + 299
    assert sweeper(it).sweep() == 0
    it.now = NOW + 300
    assert sweeper(it).sweep() == 1
    assert reasons(it) == ["deadline"]
    assert it.book.find(task.id, it.now).ended_by == "authz-server"
    assert sweeper(it).sweep() == 0


def test_after_idle_time_and_not_while_steps_are_made_or_its_token_is_replaced(it):
    issued = it.desk.open(ORCHESTRATOR, ASKED)
    it.now = NOW + 250
    renewed = it.desk.replace(AGENT, issued.token)
    it.now = NOW + 840
    it.book.saw([renewed.task.id], it.now)
    it.now = NOW + 840 + 599
    assert sweeper(it).sweep() == 0
    it.now += 1
    assert sweeper(it).sweep() == 1
    assert reasons(it) == ["idle"]


def test_when_it_is_contained(it):
    task = it.desk.open(ORCHESTRATOR, ASKED).task
    it.contained.add(Entity("task", (task.id,)))
    assert sweeper(it).sweep() == 1
    assert reasons(it) == ["contained"]


def test_with_the_last_of_its_workloads(it):
    """As long as a delegate works, the task goes on."""
    issued = it.desk.open(ORCHESTRATOR, ASKED)
    it.desk.delegate(AGENT, issued.token, HELPER)
    assert sweeper(it, {AGENT}).sweep() == 0
    assert sweeper(it, {AGENT, HELPER}).sweep() == 1
    assert reasons(it) == ["workload_gone"]
