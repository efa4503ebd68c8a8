"""Expressions with the readers of their variables; named facts; combined conditions."""

import pytest

from authz_server.model import Action
from authz_server.policy import program as programs
from authz_server.policy.cel import EVALUATION_ERROR, Environment
from authz_server.policy.facts import FACTS, SignalReading, Step
from authz_server.policy.program import Combiner, FactReader, Program
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


def test_combined_conditions_give_a_list():
    """In the order of the conditions."""
    parts = [program('request.method == "GET"'), program("signals.calls > vars.limit")]
    combined = Combiner(ENVIRONMENT, READERS, CONSTANTS).program(parts)
    assert combined.value(step()) == [True, False]


def test_the_same_list_is_compiled_once():
    """By its texts, whoever asks."""
    combiner = Combiner(ENVIRONMENT, READERS, CONSTANTS)
    parts = [program('request.method == "GET"')]
    assert combiner.program(parts) is combiner.program([program('request.method == "GET"')])


def test_the_memory_of_lists_is_bounded(monkeypatch):
    """A policy with endless combinations costs time, not memory."""
    monkeypatch.setattr(programs, "MAX_COMBINATIONS", 4)
    combiner = Combiner(ENVIRONMENT, READERS, CONSTANTS)
    for number in range(20):
        combiner.program([program(f"signals.calls > {number}")])
    assert len(combiner._known) <= 4
