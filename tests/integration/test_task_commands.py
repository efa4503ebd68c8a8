"""`task …` against a real door, over its Unix socket and over mutual TLS."""

import json
import logging
import os

import pytest

from tests.desks import Desks, run
from tests.listening import short_directory
from tests.unit.taskbook.world import AGENT, ANALYST, HELPER, NOW, ORCHESTRATOR, STRANGER

pytestmark = pytest.mark.server

OPEN = ("task", "open", "--template", "report", "--agent", AGENT)


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
def work(desks):
    return desks.work


def opened(run, *options):
    status, out, err = run(*OPEN, "--token-only", *options)
    assert (status, err) == (0, "")
    assert len(out.splitlines()) == 1
    return out.strip()


def id_of(work):
    (task,) = [task for task in work.book.tasks(work.now) if task.is_open]
    return task.id


def test_a_task_through_the_socket(local, work):
    """Opened by a group of people, shown, listed and ended; each says what was done."""
    status, out, err = local(
        *OPEN, "--actions", "crm.read,crm.export", "--steps", 5, "--ttl", "10m", "--purpose", "the weekly report",
        "--context", "ticket=T-1", "--context", "url=a=b", "--originator", ANALYST,
    )  # fmt: skip
    assert status == 0
    claims = work.verifier.verify(out.splitlines()[-1], NOW)
    assert (claims.agent, claims.actions, claims.steps, claims.originator) == (
        AGENT,
        ("crm.read", "crm.export"),
        5,
        ANALYST,
    )
    assert f"token of {AGENT}, until 2026-09-21 14:18:20Z:" in out
    assert "secret" in err
    name = id_of(work)
    status, out, _ = local("task", "show", name)
    assert status == 0
    for line in (
        f"task        {name}",
        "template    report",
        "until       2026-09-21 14:23:20Z",
        "opened      2026-09-21 14:13:20Z by local as group:analysts",
        "context     ticket=T-1",
        "context     url=a=b",
    ):
        assert line in out.splitlines()
    shown = json.loads(local("task", "show", name, "--json")[1])
    assert (shown["deadline"], shown["ended"], shown["purpose"]) == (NOW + 600, None, "the weekly report")
    heading, row = local("task", "list")[1].splitlines()
    assert heading.split() == ["task", "template", "agents", "opened", "until", "purpose"]
    assert row.split()[:3] == [name, "report", AGENT]
    status, out, _ = local("task", "end", name, "--reason", "done")
    assert (status, out) == (0, f"task {name} ended 2026-09-21 14:13:20Z by local: done\n")
    assert local("task", "list")[1] == "no task is open\n"
    assert "ended" in local("task", "list", "--all")[1]
    assert [each["ended_reason"] for each in json.loads(local("task", "list", "--all", "--json")[1])] == ["done"]


def test_a_token_is_renewed_and_handed_on_over_mutual_tls(by, work, desks):
    """By its agent, out of a file or from standard input; nobody else can."""
    token = opened(lambda *arguments: by(ORCHESTRATOR, *arguments))
    (desks.directory / "token").write_text(f"{token}\n")
    status, out, _ = by(AGENT, "task", "replace", "--token-only", "--token-file", desks.directory / "token")
    assert status == 0
    work.now += 1
    renewed = out.strip()
    assert work.verifier.verify(renewed, work.now).generation == 1
    status, out, _ = by(AGENT, "task", "delegate", "--agent", HELPER, given=renewed)
    assert status == 0
    assert f"agents      {AGENT} -> {HELPER}" in out
    assert work.verifier.verify(out.splitlines()[-1], work.now).agent == HELPER
    status, out, err = by(STRANGER, "task", "replace", given=renewed)
    assert (status, out) == (1, "")
    assert err.startswith("refused (task_bound_to_another): ")
    assert by(STRANGER, "task", "list")[1] == "no task is open\n"
    assert by(STRANGER, "task", "show", id_of(work))[2].startswith("refused (task_unknown): ")
    assert by(HELPER, "task", "end", id_of(work), "--reason", "done")[0] == 0
    assert by(AGENT, "task", "replace", given=renewed)[2].startswith("refused (task_ended): ")


def test_who_may_not_open(by):
    """It is said by its code."""
    for caller, options, code in (
        (STRANGER, (), "task_issuer"),
        (ORCHESTRATOR, ("--steps", 41), "task_wider"),
        (ORCHESTRATOR, ("--actions", "vault.*"), "task_wider"),
        (ORCHESTRATOR, ("--context", "Bad Name=x"), "token_rctx"),
    ):
        status, out, err = by(caller, *OPEN, *options)
        assert (status, out) == (1, "")
        assert err.startswith("refused (")
        assert code in err


def test_a_token_is_never_in_a_log_or_an_error(local, work, caplog, desks):
    """Also where what was read is none, or is refused."""
    caplog.set_level(logging.DEBUG)
    token = opened(local)
    forged = f"{token[:-8]}AAAAAAAA"
    (desks.directory / "token").write_text(f"{forged} and more")
    said = [
        local("task", "replace", given=forged),
        local("task", "replace", given=token),
        local("task", "delegate", "--agent", HELPER, given=f"Bearer {token}"),
        local("task", "delegate", "--agent", HELPER, "--token-file", desks.directory / "token"),
        local("task", "replace", given=token * 20),
        local("task", "replace", given=""),
    ]
    assert [status for status, _, _ in said] == [1, 1, 2, 2, 2, 2]
    parts = token.split(".")
    for _, out, err in said:
        assert not any(part[:40] in out + err for part in parts[1:])
    assert not any(part[:40] in caplog.text + repr(work.acts) for part in parts[1:])


def test_what_others_wrote_cannot_write_to_the_terminal(local, work):
    """Neither line by line, nor in the table, nor in JSON."""
    opened(local)
    task = work.book.find(id_of(work), work.now)
    nasty = "\x1b[2J\u202e[red]\nx"
    work.book.replace(task, task._replace(purpose=nasty, context=((nasty, nasty),), originator=nasty), work.now)
    for arguments in (("list",), ("list", "--json"), ("show", task.id), ("show", task.id, "--json")):
        _, out, _ = local("task", *arguments)
        assert "\x1b" not in out
        assert "\u202e" not in out
        assert "[red]" in out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("task", "open", "--agent", AGENT), "--template"),
        ((*OPEN, "--ttl", "soon"), "--ttl"),
        ((*OPEN, "--ttl", "1500ms"), "whole seconds"),
        ((*OPEN, "--ttl", "8d"), "whole seconds"),
        ((*OPEN, "--steps", "-1"), "--steps"),
        ((*OPEN, "--steps", "99999999999"), "--steps"),
        ((*OPEN, "--context", "ticket"), "NAME=VALUE"),
        ((*OPEN, "--context", "a=1", "--context", "a=2"), "each name once"),
        ((*OPEN, "--purpose", "a\x1bb"), "printable"),
        ((*OPEN, "--originator", "a\udc80"), "printable"),
        (("task", "show", "1"), "hexadecimal"),
        (("task", "end", "A" * 32, "--reason", "x"), "hexadecimal"),
        (("task", "end", "a" * 32), "--reason"),
        (("task", "end", "a" * 32, "--reason", "a\nb"), "printable"),
        (("approve", "../x"), "hexadecimal"),
        (("deny", "a" * 32, "--reason", "\x07"), "printable"),
    ],
)
def test_a_question_that_cannot_be_read_is_status_2(local, arguments, expected):
    """Nothing is sent."""
    status, _, err = local(*arguments)
    assert status == 2
    assert expected in " ".join(err.replace("│", " ").split())


def test_without_a_server_nothing_was_done(desks):
    """And the commands say so."""
    for arguments in (OPEN, ("task", "list"), ("approvals",), ("approve", "a" * 32)):
        status, out, err = run(*arguments, control=f"unix:{desks.directory}/nobody")
        assert (status, out) == (1, "")
        assert err.startswith("error: the control listener does not answer")
