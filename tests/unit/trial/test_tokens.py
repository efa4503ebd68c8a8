"""Tokens of tasks: opened at the first use, bound to the first carrier, over in time."""

import pytest

from authz_server.trial import tokens as module
from authz_server.trial.tokens import Tokens, TooManyTasksError
from authz_server.trial.trace_step import TaskName
from tests.traces import AGENT, OTHER, snapshot

NOW = 1_767_603_600.4
T1 = TaskName("report", "t-1")
HANDED = TaskName("relay", "t-1")
THIRD = "spiffe://corp.example/ns/agents/sa/a3"


def build(**more):
    return Tokens(snapshot().tasks.templates, **more)


def test_the_first_use_opens_the_task():
    """With the template's issuer and life; started by its agent, as a trace does not say for whom."""
    token = build().present(T1, AGENT, NOW)
    assert (token.template, token.id, token.issuer) == ("report", "t-1", "spiffe://corp.example/ns/ci/sa/issuer")
    assert (token.agent, token.originator, token.depth) == (AGENT, AGENT, 0)
    assert token.expires == int(NOW) + 900


def test_the_token_stays_the_same():
    """However often it is shown."""
    tokens = build()
    first = tokens.present(T1, AGENT, NOW)
    assert tokens.present(T1, AGENT, NOW + 200) == first


def test_another_carrier_shows_the_token_of_the_first():
    """Which is bound to that one."""
    tokens = build()
    tokens.present(T1, AGENT, NOW)
    assert tokens.present(T1, OTHER, NOW + 1).agent == AGENT


def test_tasks_differ_by_template_and_id():
    """The same id under another template is another task."""
    tokens = build()
    tokens.present(T1, AGENT, NOW)
    assert tokens.present(T1._replace(id="t-2"), OTHER, NOW).agent == OTHER
    assert tokens.present(T1._replace(template="other"), OTHER, NOW).agent == OTHER


def test_work_prolongs_nothing_but_the_idle_time():
    """The end is where it was; only silence brings it forward."""
    tokens = build()
    for after in range(0, 880, 220):
        assert tokens.present(T1, AGENT, NOW + after).expires == int(NOW) + 900
    assert tokens.present(T1, AGENT, NOW + 660 + 299).expires == int(NOW) + 900


@pytest.mark.parametrize("again", [0, 1, 10_000])
def test_silence_ends_a_task_for_good(again):
    """Nobody revives it by using it."""
    tokens = build()
    tokens.present(T1, AGENT, NOW)
    for after in (300, 301, 301 + again):
        assert tokens.present(T1, AGENT, NOW + after).expires == int(NOW) + 300


def test_a_thief_keeps_no_task_alive():
    """Showing another's token is no work on the task."""
    tokens = build()
    tokens.present(T1, AGENT, NOW)
    tokens.present(T1, OTHER, NOW + 200)
    assert tokens.present(T1, AGENT, NOW + 400).expires == int(NOW) + 300


def test_the_life_of_all_tokens_can_be_set():
    """Whatever the templates say."""
    assert build(ttl_s=60).present(T1, AGENT, NOW).expires == int(NOW) + 60


def test_a_task_of_no_template_is_a_token_too():
    """Which the policy does not know."""
    token = build().present(TaskName("none", "t"), AGENT, NOW)
    assert (token.template, token.issuer) == ("none", "")


def test_where_the_template_says_so_each_carrier_has_a_token_of_its_own():
    """One deeper for each hand that it went through, in the order in which they show up, and of the same lineage."""
    tokens = build()
    found = [tokens.present(HANDED, carrier, NOW) for carrier in (AGENT, OTHER, THIRD, OTHER, AGENT)]
    assert [token.depth for token in found] == [0, 1, 2, 1, 0]
    assert [token.agent for token in found] == [AGENT, OTHER, THIRD, OTHER, AGENT]
    assert {(token.issuer, token.originator) for token in found} == {(found[0].issuer, AGENT)}


@pytest.mark.parametrize(("name", "delegated"), [(T1, True), (HANDED, False), (TaskName("none", "t"), True)])
def test_otherwise_nobody_is_a_delegate(name, delegated):
    """Of a template that leaves `max_depth` to the default, of one that is unknown, or when nobody is to be."""
    tokens = build(delegated=delegated)
    assert [tokens.present(name, carrier, NOW).agent for carrier in (AGENT, OTHER)] == [AGENT, AGENT]


def test_a_delegate_works_on_the_task_as_deep_as_the_template_allows():
    """The next one after that shows something that nobody gave it."""
    tokens = build()
    for carrier in (AGENT, OTHER, THIRD):
        tokens.present(HANDED, carrier, NOW)
    tokens.present(HANDED, OTHER, NOW + 200)
    tokens.present(HANDED, THIRD, NOW + 400)
    assert tokens.present(HANDED, AGENT, NOW + 450).expires == int(NOW) + 900
    tokens.present(HANDED, THIRD, NOW + 700)
    assert tokens.present(HANDED, AGENT, NOW + 800).expires == int(NOW) + 750


def test_hands_are_counted_only_as_far_as_any_template_goes():
    """A token that everybody shows fills no memory."""
    tokens = build()
    depths = [tokens.present(HANDED, f"{AGENT}{number}", NOW).depth for number in range(1000)]
    assert max(depths) == module.MAX_DEPTH + 1


def test_tasks_are_bounded(monkeypatch):
    """Forgetting one would open it anew, so there is an end instead."""
    monkeypatch.setattr(module, "MAX_TASKS", 2)
    tokens = build()
    for number in (1, 2, 1, 2):
        tokens.present(TaskName("report", str(number)), AGENT, NOW)
    with pytest.raises(TooManyTasksError, match="more than 2 tasks"):
        tokens.present(TaskName("report", "3"), AGENT, NOW)
