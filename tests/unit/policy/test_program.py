"""Expressions with the readers of their variables; named facts; lists of conditions."""

import pytest

from authz_server.model import Action
from authz_server.policy import program as programs
from authz_server.policy.cel import EVALUATION_ERROR, Environment
from authz_server.policy.facts import FACTS
from authz_server.policy.program import Allowance, Combiner, FactReader, Program
from authz_server.policy.step import SignalReading, Step
from tests.steps import NOW, principal, request

TYPES = {
    "request.method": "string",
    "request.headers": "map<string,string>",
    "signals.calls": "int",
    "vars.limit": "int",
    "facts.tenant": "string",
}
ENVIRONMENT = Environment(TYPES)
CONSTANTS = {"vars.limit": 3}
READERS = {
    "request.method": FACTS["request.method"][1],
    "request.headers": FACTS["request.headers"][1],
    "signals.calls": SignalReading("calls"),
}


def program(text, readers=READERS):
    return Program(ENVIRONMENT.compile(text), readers, CONSTANTS)


def step(**changes):
    return Step(request(**changes), principal(), Action("a", "read", "", "low"), {}, NOW)


def test_a_program_reads_facts_and_constants():
    """Variables come from the step, constants from the policy."""
    it = step()
    it.readings["calls"] = 4
    assert program('request.method == "GET" && signals.calls > vars.limit').value(it) is True
    it.readings["calls"] = 3
    assert program("signals.calls > vars.limit").value(it) is False


def test_an_error_is_a_value():
    """Nothing is raised out of an evaluation."""
    assert program('request.headers["x"] == "1"').value(step()) is EVALUATION_ERROR


class Counting:
    """Counts how often a fact's program runs."""

    def __init__(self, inner):
        self.inner = inner
        self.runs = 0

    def value(self, it):
        self.runs += 1
        return self.inner.value(it)


def test_a_named_fact_is_evaluated_once_a_step():
    """However many conditions read it."""
    counted = Counting(program('request.headers[?"x-tenant"].orValue("none")'))
    readers = {**READERS, "facts.tenant": FactReader("tenant", counted)}
    it = step(headers={"x-tenant": "acme"})
    assert program('facts.tenant == "acme"', readers).value(it) is True
    assert program('facts.tenant == "other"', readers).value(it) is False
    assert counted.runs == 1


def test_a_fact_that_errs_makes_its_readers_err():
    """It never looks like an empty value to a condition, and is an absent entity in a key."""
    fact = FactReader("tenant", program('request.headers["x-tenant"]'))
    it = step()
    assert program('facts.tenant == ""', {**READERS, "facts.tenant": fact}).value(it) is EVALUATION_ERROR
    assert fact.text(it) == ""
    with pytest.raises(programs._FactFailedError):
        fact(it)


PARTS = ('request.method == "GET"', "signals.calls > vars.limit")


def joint(combiner, texts=PARTS):
    return combiner.joint([program(text) for text in texts])


def until_combined(it, limit=programs.COMBINE_AFTER + programs.APART):
    """How many steps have to ask one by one."""
    for asked in range(limit + 1):
        if it.value(step()) is not EVALUATION_ERROR:
            return asked
    return None


def test_combined_conditions_give_a_list():
    """In the order of the conditions."""
    it = joint(Combiner(ENVIRONMENT, READERS, CONSTANTS))
    it.combine()
    assert it.value(step()) == [True, False]


def test_a_list_is_compiled_when_it_was_asked_for_often():
    """Until then whoever asks has to ask the conditions one by one, as after an error."""
    combiner = Combiner(ENVIRONMENT, READERS, CONSTANTS)
    it = joint(combiner)
    assert until_combined(it) == programs.COMBINE_AFTER - 1
    assert it.value(step()) == [True, False]


def test_lists_become_due_one_after_the_other():
    """No step compiles all that it needs."""
    combiner = Combiner(ENVIRONMENT, READERS, CONSTANTS)
    due = [until_combined(joint(combiner, (*PARTS, f"signals.calls > {number}"))) for number in range(4)]
    assert len(set(due)) == 4


def test_a_single_condition_is_no_list():
    """There is nothing to win; its error is an error."""
    combiner = Combiner(ENVIRONMENT, READERS, CONSTANTS)
    assert list(joint(combiner, PARTS[:1]).value(step())) == [True]
    assert joint(combiner, ('request.headers["x"] == "1"',)).value(step()) is EVALUATION_ERROR


def test_an_error_in_one_condition_is_an_error_of_the_list():
    """The others are asked alone then."""
    it = joint(Combiner(ENVIRONMENT, READERS, CONSTANTS), (*PARTS, 'request.headers["x"] == "1"'))
    it.combine()
    assert it.value(step()) is EVALUATION_ERROR
    assert it.value(step(headers={"x": "1"})) == [True, False, True]


def test_the_same_list_is_one():
    """By its texts, whoever asks: many callers make it due together."""
    combiner = Combiner(ENVIRONMENT, READERS, CONSTANTS)
    assert joint(combiner) is joint(combiner)
    assert joint(combiner) is not joint(combiner, PARTS[::-1])


def test_the_memory_of_lists_is_bounded(monkeypatch):
    """A policy with endless combinations costs time, not memory."""
    monkeypatch.setattr(programs, "MAX_LISTS", 4)
    combiner = Combiner(ENVIRONMENT, READERS, CONSTANTS)
    for number in range(20):
        joint(combiner, (f"signals.calls > {number}",))
    assert len(combiner._known.keys()) <= 4


def test_what_is_compiled_is_bounded_for_all_owners_of_a_policy():
    """Lists beyond the allowance are asked one by one for ever."""
    allowance = Allowance()
    allowance.conditions = 3
    combiners = [Combiner(ENVIRONMENT, READERS, CONSTANTS, allowance) for _ in range(2)]
    found = [joint(combiner) for combiner in combiners]
    for it in found:
        it.combine()
    assert found[0].value(step()) == [True, False]
    assert until_combined(found[1]) is None
    assert allowance.conditions == 1


def test_what_is_too_long_for_one_expression_stays_apart():
    """And takes nothing of the allowance."""
    allowance = Allowance()
    long = [f'request.method == "{"x" * 3000}{number}"' for number in range(8)]
    it = joint(Combiner(ENVIRONMENT, READERS, CONSTANTS, allowance), long)
    it.combine()
    assert it.value(step()) is EVALUATION_ERROR
    assert allowance.conditions == programs.COMBINED


def test_a_large_policy_may_have_all_its_conditions_in_lists():
    """Where all of them touch every step, each of them is in one list."""
    assert Allowance(40_000).conditions == 40_000
    assert Allowance(10).conditions == programs.COMBINED
