"""Every policy, condition and request that the manuals print is one that the server takes."""

import re

import pytest

from authz_server.envoy.text import read_check_request
from authz_server.policy.compiler import compile_policy
from authz_server.policy.conditions import Conditions
from authz_server.verdict import Decision
from tests.harness import Bench
from tests.manual.fragments import KEYED
from tests.manual.markdown import DOCS, blocks

COMPLETE = blocks("policy.md", "yaml")[0]


def examples():
    """The files of each printed policy, and its environment file."""
    for name in (*sorted(file.name for file in DOCS.glob("*.md")), "../README.md"):
        found = blocks(name, "yaml")
        for number, block in enumerate(found):
            whole = re.findall(r"^version: 1$", block, re.MULTILINE)
            if whole or name == "policy.md":
                yield pytest.param(*_files(block, found[number - 1], whole=bool(whole)), id=f"{name}-{number}")


def _files(block, before, *, whole):
    named = re.match(r"# ((?:env|teams)/\S+)\n", block)
    if whole:
        return {"policy.yaml": block.encode()}, None
    if named is None:
        return {"complete.yaml": COMPLETE.encode(), "more.yaml": block.encode()}, None
    if named[1].startswith("env/"):
        return {"complete.yaml": COMPLETE.encode()}, (named[1], block.encode())
    return {"complete.yaml": COMPLETE.encode(), "before.yaml": before.encode(), named[1]: block.encode()}, None


@pytest.mark.parametrize(("files", "environment"), [*examples()])
def test_every_policy_example_compiles(files, environment):
    """As it is printed, and without a warning but the one that the manual speaks of."""
    warnings = compile_policy(files, KEYED, environment=environment).warnings
    assert [str(each) for each in warnings if "the client chooses" not in each.message] == []


CONDITIONS = [line for block in blocks("policy.md", "cel") for line in block.splitlines()]


@pytest.mark.parametrize("condition", CONDITIONS)
def test_every_condition_compiles(condition):
    """Over the manual's first policy, where an action has a body."""
    body = b"actions: [{name: order, match: {path: '/orders/{customer}'}, kind: write, body: json}]"
    snapshot = compile_policy({"complete.yaml": COMPLETE.encode(), "more.yaml": body}, KEYED)
    faults = []
    place = snapshot.text.rules[0].where
    program = Conditions(snapshot.text, snapshot.catalogue, faults).boolean(condition, place, "when", {"order"})
    assert ([str(fault) for fault in faults], program is not None) == ([], True)


def test_there_are_conditions():
    """The language of their blocks is spelt as this file looks for it."""
    assert len(CONDITIONS) > 5


def test_the_printed_request_is_allowed_by_the_printed_policy():
    """Both as they stand in the manual."""
    bench = Bench(COMPLETE)
    bench.decide(read_check_request(blocks("policy.md", "json")[0].encode()))
    assert (bench.events[-1].verdict.decision, bench.events[-1].verdict.rule) == (Decision.ALLOW, "agents-read")
