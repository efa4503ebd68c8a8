"""A policy and the site's own sections of a trace become one policy."""

import json

import pytest
import yaml

from authz_server.errors import PolicyError
from authz_server.trial.site import SITE, compile_site, join
from authz_server.trial.trace_step import SitePolicy
from tests.traces import PACK
from tests.traces import SITE as SECTIONS

POLICY = SitePolicy(**SECTIONS)


@pytest.fixture
def folder(tmp_path):
    """A policy directory, and what its environment file says."""
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "pack.yaml").write_text(PACK)
    return tmp_path / "pack"


def environment(tmp_path, text):
    (tmp_path / "place.yaml").write_text(text)
    return tmp_path / "place.yaml"


def faults(*arguments):
    with pytest.raises(PolicyError) as caught:
        compile_site(*arguments)
    return [str(fault) for fault in caught.value.faults]


def test_the_sections_are_part_of_the_policy(folder):
    """Actions and tasks are added, constants of the policy replaced, others added."""
    text = compile_site(folder, None, POLICY).text
    assert {action.name for action in text.actions} == {"thing.read", "export"}
    assert [task.name for task in text.tasks] == ["report", "relay"]
    assert text.vars == {
        "agents": ("spiffe://corp.example/ns/agents/**",),
        "limit": 3,
        "issuer": tuple(SECTIONS["vars"]["issuer"]),
    }


def test_without_sections_a_policy_is_compiled_as_it_is(folder, tmp_path):
    """With its environment."""
    (folder / "own.yaml").write_text(yaml.safe_dump({"actions": SECTIONS["actions"]}))
    assert compile_site(folder, environment(tmp_path, "vars: {limit: 9}"), None).text.vars["limit"] == 9


def test_constants_of_the_site_win_over_the_environment(folder, tmp_path):
    """All else that the environment says stays."""
    place = environment(
        tmp_path, "vars: {limit: 9, agents: ['spiffe://x.example/**']}\nenforce: {too-fast: 0%}\nmode: shadow\n"
    )
    text = compile_site(folder, place, POLICY).text
    assert (text.vars["limit"], text.vars["agents"]) == (9, ("spiffe://corp.example/ns/agents/**",))
    assert {rule.name: rule.enforce for rule in text.rules}["too-fast"] == 0
    assert text.shadow


def test_only_what_the_policy_defines_is_replaced():
    """A constant that a team or nobody defines is the site's own."""
    files = {
        "pack.yaml": b"version: 1\nvars: {a: 1}\n",
        "teams/x/more.yaml": b"vars: {b: 2}\n",
        "sub/more.yaml": b"vars: {c: 3}\n",
    }
    joined, place = join(files, None, SitePolicy({"a": 5, "b": 6, "c": 7, "d": 8}, [], []))
    assert json.loads(place[1]) == {"vars": {"a": 5, "c": 7}}
    assert yaml.safe_load(joined[SITE])["vars"] == {"b": 6, "d": 8}


def test_nothing_to_replace_leaves_the_environment_alone():
    """To the byte, so that its faults keep their lines."""
    place = ("place.yaml", b"# a comment\nmode: shadow\n")
    assert join({"pack.yaml": b"version: 1\n"}, place, SitePolicy({"d": 1}, [], []))[1] is place


def test_a_constant_keeps_its_type(folder):
    """As in an environment."""
    wrong = POLICY._replace(vars={**POLICY.vars, "limit": "many"})
    assert faults(folder, None, wrong) == [
        f"{SITE}:1: vars.limit: `limit` is a number in the policy and keeps that type, not a text"
    ]


def test_a_name_that_both_define_is_a_fault(folder):
    """Of actions as of tasks: what a site declares does not change what the policy says."""
    (folder / "own.yaml").write_text(
        yaml.safe_dump({"actions": SECTIONS["actions"], "tasks": SECTIONS["tasks"], "vars": {"issuer": ["x"]}})
    )
    found = faults(folder, None, POLICY)
    assert any(f"{SITE}:1: tasks[0].name: `report` is defined twice" in fault for fault in found)
    assert any(fault.startswith(f"{SITE}:1: actions[") for fault in found)


def test_faults_of_the_sections_have_their_place(folder):
    """All of them are listed, the policy's own with them."""
    (folder / "more.yaml").write_text("rules:\n  - {name: x, then: dny}\n")
    wrong = POLICY._replace(
        actions=[{"name": "export", "match": {"metod": "GET"}, "kind": "bulk-read"}, *POLICY.actions[:1]]
    )
    found = faults(folder, None, wrong)
    assert any(fault.startswith(f"{SITE}:1: actions[0].match.metod: ") for fault in found)
    assert any(fault.startswith("more.yaml:2: rules[0].then: ") for fault in found)


@pytest.mark.parametrize("text", ["enforce: {nobody: 5%}\n", "vars: [x]\n", "vars: {limit: 9\n"])
def test_a_faulty_environment_is_said_to_be_one(folder, tmp_path, text):
    """Also where constants of the site are put into it."""
    place = environment(tmp_path, text)
    assert any(fault.startswith(str(place)) for fault in faults(folder, place, POLICY))


def test_the_name_of_the_trace_is_taken(folder):
    """A policy file of that name would hide which of the two is meant."""
    (folder / SITE).write_text("version: 1\n")
    assert "stands for the first line of the trace" in faults(folder, None, POLICY)[0]


@pytest.mark.parametrize("text", ["😀 über \u00a0", 'quo"te \\ back: {x} # [no] & *'])
def test_text_survives_the_way_through_yaml(folder, text):
    """Whatever JSON can say and a policy may hold."""
    more = POLICY._replace(vars={**POLICY.vars, "said": text, "limit": 12})
    assert compile_site(folder, None, more).text.vars["said"] == text
