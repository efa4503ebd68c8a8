"""What an operator is told in the log."""

import logging

import pytest

from authz_server.config import Config
from authz_server.holder import PolicyHolder
from authz_server.notices import tell_configuration, tell_policy
from tests.steps import KEYED, NOW

TEAMS = (
    "version: 1\nteams: {pay: {actions: pay.*, hosts: [a]}}\nrules: [{name: a, then: deny, tags: ['attack:T0000']}]\n"
)


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO)
    return lambda: [(record.levelname, record.getMessage()) for record in caplog.records]


def holder(**files):
    it = PolicyHolder(KEYED, (), lambda: NOW)
    it.publish(it.compile({name.replace("__", "/") + ".yaml": text.encode() for name, text in files.items()}))
    return it


def test_a_good_policy_is_no_news(lines):
    """Nothing is told."""
    tell_policy(holder(p="version: 1\nrules: []\n"))
    assert lines() == []


def test_a_team_that_is_held_back_is_an_error_with_its_faults(lines):
    """Where, what, and what is in force instead."""
    tell_policy(holder(p=TEAMS, teams__pay__a="version: 1\nrules: [{name: x, then: denny}]\n"))
    (fault, team, *rest) = lines()
    assert fault[0] == team[0] == "ERROR"
    assert fault[1].startswith("teams/pay/a.yaml:2: ")
    assert "team pay is faulty" in team[1]
    assert any("T0000" in text and level == "WARNING" for level, text in rest)


def test_shadow_is_told_loudly(lines):
    """Each time that a policy comes into force in it."""
    tell_policy(holder(p="version: 1\nrules: []\n", env__site="mode: shadow\n"))
    assert any(level == "WARNING" and "mode: shadow" in text for level, text in lines())


def test_a_configuration_that_checks_nothing_says_what_it_does_not_check(lines):
    """The defaults of one machine."""
    tell_configuration(Config())
    told = " ".join(text for _, text in lines())
    assert "certificates are not validated" in told
    assert "decisions leave no record" in told
    assert "is not shared" not in told
