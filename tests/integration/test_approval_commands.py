"""`approvals`, `approve` and `deny` against a real door, over its Unix socket and over mutual TLS."""

import json
import os

import pytest

from authz_server.approvals import binding, record
from authz_server.cli import approvals
from tests.desks import SOC, Desks
from tests.listening import short_directory
from tests.unit.approvals import world as asking
from tests.unit.taskbook.world import AGENT, ANALYST

pytestmark = pytest.mark.server


@pytest.fixture
def desks(monkeypatch):
    for name in [name for name in os.environ if name.startswith("AUTHZ_")]:
        monkeypatch.delenv(name)
    with short_directory() as path:
        yield Desks(path)


@pytest.fixture
def local(desks):
    """Runs a command as whoever is at the socket."""
    with desks.local() as run_local:
        yield run_local


@pytest.fixture
def by(desks):
    """Runs a command as whoever a certificate names."""
    with desks.remote() as run_by:
        yield run_by


@pytest.fixture
def asked(desks):
    return desks.asked


def test_steps_are_approved_and_denied(local, asked):
    """What waits is shown whole; what was granted lets the step pass, what was denied does not."""
    first = asked.ask()
    asked.now += 1
    second = asked.ask(asking.challenged(body=b'{"rows":20}'))
    status, out, _ = local("approvals")
    assert status == 0
    for text in (first, second, asking.AGENT, "export", "POST", '{"rows":10}', "exports are looked at", "group:soc"):
        assert text in out
    found = json.loads(local("approvals", "--json")[1])
    assert [(each["id"], each["arguments"]) for each in found] == [(first, '{"rows":10}'), (second, '{"rows":20}')]
    status, out, _ = local("approve", first, "--reason", "looked at it")
    assert (status, out) == (0, f"approved {first} until 2026-09-21 14:23:21Z (rules exports-wait)\n")
    assert local("deny", second)[1].startswith(f"denied {second} until ")
    assert local("approvals")[1] == "nothing waits for your approval\n"
    assert asked.lift()[0] is not None
    assert asked.lift(asking.challenged(body=b'{"rows":20}'))[0] is None


def test_who_may_not_approve(by, asked):
    """By name, over mutual TLS: an agent has no group, the wrong group approves nothing."""
    name = asked.ask()
    for caller, code in ((AGENT, "permission_denied"), (ANALYST, "approval_group")):
        status, out, err = by(caller, "approve", name)
        assert (status, out) == (1, "")
        assert err.startswith(f"refused ({code}): ")
    assert by(SOC, "approve", "0" * 32)[2].startswith("refused (approval_unknown): ")
    assert by(SOC, "approve", name)[0] == 0


def test_an_approver_sees_what_cannot_act_on_the_terminal(local, asked):
    """A long query is not cut where one could hide behind it."""
    asked.ask(asking.challenged(path="/export", query="q=" + "a" * 900 + "\u202e[red]END"))
    _, out, _ = local("approvals")
    assert "\u202e" not in out
    assert "\\u202e[red]END" in "".join(out.split())


def test_nothing_that_the_server_shows_is_cut_off():
    """What is behind the cut would be granted unseen."""
    assert max(record.MAX_SHOWN, binding.MAX_TARGET) <= approvals.MAX_SHOWN
