"""Lifting a challenge: found, spent once, or asked for."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier, BrokenBarrierError

import pytest

from authz_server.approvals import approver as module
from authz_server.errors import StateUnavailableError
from authz_server.verdict import Decision
from tests.unit.approvals.world import ANN, DPO, NOW, SOC, World, challenged


@pytest.fixture
def it():
    return World()


def test_a_challenge_is_asked_about_once(it):
    first = it.lift()
    assert first == (None, it.ask())
    (ask,) = it.shelf.asks(NOW)
    assert (ask.id, ask.action, ask.destination, ask.text) == (first[1], "export", "crm", '{"rows":10}')
    assert ask.rules[0].reason == "exports are looked at"
    assert it.redone == []


def test_an_approved_step_passes_once(it):
    name = it.ask()
    it.approve(name)
    decided, _ = it.lift()
    assert decided.verdict.decision is Decision.ALLOW
    assert it.redone == [frozenset({"exports-wait"})]
    assert it.lift(mark=b"another".ljust(16)) == (None, name)


def test_a_repeat_of_the_step_that_spent_it_passes(it):
    """Envoy's retry is byte-identical, and the approval remembers what spent it."""
    it.approve(it.ask())
    assert it.lift()[0] is not None
    assert it.lift()[0] is not None
    assert it.lift(mark=b"another".ljust(16))[0] is None


@pytest.mark.parametrize("changes", [{"body": b'{"rows":11}'}, {"query": "x=1"}, {"path": "/export/all"}])
def test_another_step_does_not_pass(it, changes):
    it.approve(it.ask())
    assert it.lift(challenged(**changes))[0] is None


def test_it_is_spent_only_when_the_step_is_allowed(it):
    """It grants nothing and overrides no denial."""
    it.approve(it.ask())
    it.decision = Decision.DENY
    assert it.lift()[0] is None
    it.decision = Decision.ALLOW
    assert it.lift()[0] is not None


def test_many_at_once_spend_it_once(it):
    it.approve(it.ask())
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: it.lift(mark=b"%016d" % number)[0], range(64)))
    assert sum(each is not None for each in found) == 1


def test_several_uses_are_counted(it):
    step = challenged(SOC._replace(uses=3))
    it.approve(it.ask(step))
    assert [it.lift(step, b"%016d" % number)[0] is not None for number in range(5)] == [True] * 3 + [False] * 2


def test_a_new_grant_is_not_spent_by_the_old_one(it):
    for number in range(2):
        it.now += 60
        it.approve(it.ask())
        assert it.lift(mark=b"%016d" % number)[0] is not None
        assert it.lift(mark=b"x%015d" % number)[0] is None
        it.now += 600


def test_it_ends_with_its_time(it):
    it.approve(it.ask())
    it.now += 600
    assert it.lift()[0] is None


def test_all_challenges_have_to_be_lifted(it):
    """Each by its own group; until then the others are asked for."""
    step = challenged(SOC, DPO)
    name = it.ask(step)
    it.approve(name)
    it.decision = Decision.CHALLENGE
    assert it.lift(step)[0] is None
    it.approve(name, "spiffe://corp.example/ns/people/sa/dora", frozenset({"dpo"}))
    it.decision = Decision.ALLOW
    assert it.lift(step)[0] is not None
    assert it.redone[-1] == {"exports-wait", "big-ones-too"}


def test_a_refusal_lets_the_challenge_stand_and_asks_nobody_again(it):
    name = it.ask()
    it.desk.deny(ANN, frozenset({"approve"}), frozenset({"soc"}), name, "no")
    it.now += 60
    assert it.lift() == (None, name)
    assert it.shelf.asks(it.now) == []


class Down:
    """A store that does not answer."""

    def find(self, *_):
        raise StateUnavailableError("timeout")

    def apply(self, measurements):
        return [StateUnavailableError("timeout") for _ in measurements]


def test_without_the_store_the_challenge_stands(it):
    name = it.ask()
    it.approve(name)
    it.approver._shelf = Down()
    assert it.lift() == (None, name)
    it.approver._shelf = it.shelf
    it.approver._store = Down()
    assert it.lift() == (None, name)


def test_asks_wait_for_the_store(it):
    failing = [True]

    def post(ask):
        if failing[0]:
            raise StateUnavailableError("timeout")
        return it.desk.take(ask)

    it.approver._post = post
    it.lift()
    assert it.shelf.asks(NOW) == []
    failing[0] = False
    it.approver.flush()
    assert len(it.shelf.asks(NOW)) == 1


def test_two_that_send_at_once_send_each_ask_once(it):
    """The engine's tick and whoever asks over HTTP: none is lost, and neither of them fails."""
    posted, both = [], Barrier(2)

    def post(ask):
        posted.append(ask.id)
        with suppress(BrokenBarrierError):
            both.wait(0.2)  # as long as a store takes

    it.approver._post = post
    names = [it.approver.lift(challenged(query=query), b"m", NOW, it.redo)[1] for query in "ab"]
    with ThreadPoolExecutor(2) as pool:
        for sent in [pool.submit(it.approver.flush) for _ in range(2)]:
            sent.result()
    assert posted == names


def test_memory_is_bounded(it, monkeypatch):
    monkeypatch.setattr(module, "MAX_QUEUED", 10)
    monkeypatch.setattr(module, "REMEMBERED", 10)
    for number in range(50):
        it.approver.lift(challenged(query=str(number)), b"m", NOW, it.redo)
    assert len(it.approver._queue) <= 10
    assert len(it.approver._sent) <= 11


def test_what_is_used_up_can_be_asked_for_and_granted_again(it):
    """By all of its groups: what one of them granted before does not count again."""
    step = challenged(SOC, DPO)
    name = it.ask(step)
    it.approve(name)
    it.approve(name, "spiffe://corp.example/ns/people/sa/dora", frozenset({"dpo"}))
    assert it.lift(step)[0] is not None
    it.now += 60
    assert it.lift(step, b"again".ljust(16))[0] is None
    assert [ask.id for ask in it.shelf.asks(it.now)] == [name]
    assert it.approve(name).rules == ("exports-wait",)
