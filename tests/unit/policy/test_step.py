"""A step on its way, and the readers of what differs from policy to policy."""

import pytest

from authz_server.model import Action
from authz_server.policy.step import Capture, FlagReading, SignalReading, Step, destination_service
from tests.steps import NOW, principal, request

READ = Action("read", "read", "", "medium", "catalogued")


def step(**changes):
    return Step(request(**changes), principal(), READ, {"thing": "7"}, NOW)


def test_a_step_begins_with_nothing_derived():
    """No task, no readings, nothing approved: whatever is not said restricts."""
    it = step()
    assert (it.task, it.covers, it.within_budget, it.reporter, it.approved) == (None, False, False, "", frozenset())
    assert (it.readings, it.facts, it.unlearned, it.chosen, it.document, it.rpc) == ({}, {}, frozenset(), 0, None, None)


def test_what_was_not_measured_reads_nothing():
    """A capture that the action has not is `""`, a signal 0, a flag false."""
    it = step()
    assert (Capture("thing")(it), Capture("other")(it)) == ("7", "")
    assert (SignalReading("s")(it), FlagReading("s.has")(it)) == (0, False)
    it.readings = {"s": 4, "s.has": 1, "t.has": 0}
    assert (SignalReading("s")(it), FlagReading("s.has")(it), FlagReading("t.has")(it)) == (4, True, False)


@pytest.mark.parametrize(
    ("changes", "service"),
    [
        ({"context": {"authz.service": "named"}}, "named"),
        ({"context": {"authz.service": ""}}, "crm/api"),
        ({}, "crm/api"),
        ({"destination_principal": "spiffe://corp.example/ns/crm/sa/api/more"}, "catalogued"),
        ({"destination_principal": "spiffe://corp.example/a/b/c/d"}, "catalogued"),
        ({"destination_principal": ""}, "catalogued"),
        ({"destination_principal": "", "host": "crm.evil.example", "destination_service": "sni"}, "catalogued"),
    ],
)
def test_a_destination_has_the_name_that_the_operator_gave_it(changes, service):
    """By the route, by its identity, or in the catalogue."""
    assert destination_service(request(**changes), READ) == step(**changes).service == service
