"""The manuals of state, containment, tasks and agents say what the code does."""

import ast
import re

import pytest
import typer

from authz_server.approvals import binding, desk, record, shelf
from authz_server.cli import app
from authz_server.config import load_config
from authz_server.containment import admission, held, publisher, registry
from authz_server.containment import desk as operators_desk
from authz_server.containment.record import MAX_REASON
from authz_server.control import approval_service
from authz_server.control.containment_messages import refusal
from authz_server.control.task_service import _STATUSES
from authz_server.engine import containing
from authz_server.state import names
from authz_server.task.claims import MAX_ACTIONS, MAX_CONTEXT, MAX_DEPTH, MAX_GENERATION
from authz_server.task.jws import MAX_TOKEN
from authz_server.taskbook import book, keys, openings, shared
from tests.manual.markdown import DOCS, ROOT, blocks, codes, read, rows
from tests.manual.source import given, trees

MANUALS = ("state.md", "containment.md", "tasks.md", "agents.md", "web.md")
GROUP = typer.main.get_command(app)
DAY_S = 86_400


@pytest.mark.parametrize("manual", MANUALS)
def test_every_command_exists_with_its_options(manual):
    """On the lines that begin with our name, in examples and in the text."""
    text = read(manual).replace("\\\n", " ")
    found = re.findall(r"(?:^|\$ |`|\| |\$\()authz-server ([^`\n|>)]*)", text, re.MULTILINE)
    for line in found:
        words = line.split()
        command = GROUP
        while words and hasattr(command, "commands"):
            assert words[0] in command.commands, f"{manual}: authz-server {line}"
            command = command.commands[words.pop(0)]
        known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
        assert {word for word in words if re.match(r"--[a-z]", word)} <= known, f"{manual}: authz-server {line}"


@pytest.mark.parametrize("manual", MANUALS)
def test_every_configuration_example_loads(manual):
    """Every YAML that is no policy."""
    for block in blocks(manual, "yaml"):
        if "version: 1" not in block:
            assert load_config("config.yaml", block.encode(), {}) != load_config("", b"", {})


def test_the_python_examples_are_python():
    """As far as that can be told without running them."""
    examples = blocks("agents.md", "python")
    assert examples
    for example in examples:
        compile(example, "agents.md", "exec")


def test_every_key_of_the_store_is_explained():
    """Those with names of their own, and each sort that an entity has."""
    own = {names.FEED, names.HELD, names.EPOCH, names.META, names.INBOX, held.COUNT, shared.TASKS, keys.KEYS}
    expected = {key.decode() for key in {*own, shelf.ASKS, shelf.ASKED}}
    listed = codes("state.md", "Key")
    assert {key for key in listed if "TAG" not in key} == expected
    suffixes = {key.partition("}:")[2].partition(":")[0] for key in listed if "TAG" in key}
    assert suffixes == {"s", "q", "t", "a"}


def test_the_rights_are_those_of_the_shipped_store():
    """Word for word: the manifests' tests try them on a real Valkey."""
    shipped = (ROOT / "k8s/components/valkey/users.acl").read_text()
    for row in rows("state.md", "Role", "Users of the store"):
        (rights,) = (words.replace("\\|", "|") for words in row.words("Rights"))
        assert f"resetchannels {rights}\n" in f"{shipped}\n", row.cells["Role"]


def refused_operators():
    """Every code with which an act of an operator is refused."""
    literal, indirect = given("Refusal", "containment")
    shown, _ = given("refusal", "control/containment_service.py", "control/containment_messages.py")
    assert indirect == {("desk.py", "code")}
    return literal | shown | {"stored_later", "store_unavailable", "internal", "unauthenticated", "too_many_calls"}


def test_the_refusals_of_operators_are_complete():
    """Each with its status."""
    assert codes("containment.md", "Reason", "The API") == refused_operators()
    for row in rows("containment.md", "Reason", "The API"):
        for code in set(row.words("Reason")) - {"internal", "unauthenticated", "too_many_calls"}:
            assert refusal(code, "").status.name == row.cells["Status"], code


def test_what_the_control_role_refuses_is_complete():
    """Of what data replicas ask for."""
    expected = {getattr(admission, name) for name in ("NEVER", "RATE", "AUTHOR", "STALE", "AHEAD", "UNFIT")}
    assert codes("containment.md", "Refused as") == expected


def test_why_a_record_is_not_believed_is_complete():
    """Seals, their places, and what the registry makes of them; the same one again is no refusal."""
    literal, _ = given("SealError", "containment")
    expected = literal | {"misplaced", registry.AHEAD, registry.OLD, registry.FULL}
    assert codes("containment.md", "Reason", "What an attacker can do") == expected


def test_the_codes_of_tokens_are_complete():
    """Whatever the reader of a token refuses; what is wrong with its JSON is explained elsewhere."""
    literal, _ = given("DecodeError", "task/token.py", "task/read_claims.py", "task/jws.py")
    handed = set()  # codes that helpers are given
    for _, node in trees("task/read_claims.py"):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {
            "read_text",
            "read_whole",
            "read_table",
            "read_time",
        }:
            last = node.args[-1]
            handed |= {last.value} if isinstance(last, ast.Constant) else set()
    expected = {f"token_{code}" for code in literal | handed}
    expected |= {"token_expired", "token_from_the_future", "token_repeated"}
    listed = {code for code in codes("tasks.md", "Token code") if not code.endswith("…")}
    assert listed == expected


def test_the_codes_of_the_token_service_are_complete():
    """Each with its error and its status; `task_ended` is made in a place of its own."""
    found = {}
    for _, node in trees("taskbook"):
        if (
            isinstance(node, ast.Call)
            and ast.unparse(node.func) == "TaskError"
            and isinstance(node.args[0], ast.Constant)
        ):
            found[node.args[0].value] = node.args[1].value
    listed = {}
    for row in rows("tasks.md", "Task code"):
        for code in row.words("Task code"):
            listed[code] = row.words("OAuth error")[0]
            status = "NOT_FOUND" if code == "task_unknown" else _STATUSES[listed[code]].name
            assert status == row.cells["Status"], code
    assert listed == found


def test_the_codes_of_approvers_are_complete():
    """As the desk gives them."""
    literal, _ = given("ApprovalError", "approvals")
    assert codes("tasks.md", "Approval code") == literal


def limits(name, heading="Limits"):
    return [int(row.cells["Value"]) for row in rows(name, "Limit", heading)]


def test_the_limits_of_containment_are_right():
    """In the order of the table."""
    assert limits("containment.md") == [
        registry.MAX_RECORDS,
        operators_desk.MAX_BY_AUTHOR,
        admission.MAX_BY_AUTHOR,
        MAX_REASON,
        operators_desk.ASKED_S // DAY_S,
        operators_desk.MIN_KEPT_S // DAY_S,
        containing.MAX_WRITES,
        publisher.FEED_ENTRIES,
    ]


def test_the_limits_of_tasks_and_approvals_are_right():
    """In the order of the tables."""
    assert limits("tasks.md") == [
        book.MAX_TASKS,
        openings.MAX_OPENINGS,
        MAX_ACTIONS,
        MAX_CONTEXT,
        MAX_DEPTH,
        MAX_GENERATION,
        MAX_TOKEN,
    ]
    assert limits("tasks.md", "Approvals") == [
        record.PENDING_S,
        desk.MAX_OPEN,
        shelf.MAX_ASKS,
        approval_service.MAX_SHOWN,
        record.MAX_SHOWN,
        binding.MAX_TARGET,
        desk.MAX_REASON,
    ]


def test_the_alarms_are_on_metrics_that_there_are():
    """By their whole names."""
    told = {word.partition("{")[0] for name in MANUALS for word in re.findall(r"`(authz_[a-z_]+)", read(name))}
    assert told <= codes("configuration.md", "Metric")


def test_each_decision_record_of_the_architecture_says_what_gets_worse():
    """And has the other three chapters."""
    for file in sorted((DOCS / "adr").glob("*.md")):
        titles = re.findall(r"^## (.*)$", file.read_text(), re.MULTILINE)
        assert titles == ["Context", "Decision", "Evidence", "What gets worse"], file.name
