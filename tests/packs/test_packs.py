"""The shipped packs: each compiles cleanly, its cases pass and try all of it, and they can be used together."""

import shutil
from pathlib import Path

import pytest

from authz_server.policy.compiler import compile_policy
from authz_server.sources.files import read_directory
from authz_server.trial.case_session import run_session
from authz_server.trial.trial import TRIAL_KEY

ROOT = Path(__file__).parents[2]
PACKS = sorted(path for path in (ROOT / "policies").iterdir() if path.is_dir())
NOTICED = 90
"""Percent of the small changes of a pack that its cases have to notice."""
SLOW = {"baseline"}
"""Packs whose changes take longer to try than a test may: `policy test --mutate` measures them."""


@pytest.mark.parametrize("pack", PACKS, ids=lambda pack: pack.name)
def test_a_pack_compiles_without_a_warning(pack):
    """Alone, as it is shipped."""
    snapshot = compile_policy(read_directory(pack), TRIAL_KEY)
    assert [warning.message for warning in snapshot.warnings] == []


@pytest.mark.parametrize("pack", PACKS, ids=lambda pack: pack.name)
def test_the_cases_of_a_pack_pass_and_try_all_of_it(pack):
    """Every rule, every term of its condition both ways, every exception; and small changes do not go unnoticed."""
    session = run_session(pack, mutate=pack.name not in SLOW)
    assert [result.case.name for result in session.results if result.failures] == []
    assert [(gap.place, gap.name, gap.missing) for gap in session.coverage.gaps] == []
    assert session.mutation is None or session.mutation.percent >= NOTICED


@pytest.mark.parametrize("pack", PACKS, ids=lambda pack: pack.name)
def test_a_pack_begins_with_whom_it_is_for_and_its_knobs(pack):
    """So that whoever opens the file knows what to turn."""
    head = (pack / "policy.yaml").read_text().partition("\nversion:")[0]
    assert all(line.startswith("#") or not line for line in head.splitlines())
    assert "# For whom: " in head
    assert "# Knobs" in head


def test_all_packs_can_be_used_together(tmp_path):
    """No name of one is defined by another."""
    for pack in PACKS:
        shutil.copytree(pack, tmp_path / pack.name)
    rules = {rule.name for rule in compile_policy(read_directory(tmp_path), TRIAL_KEY).rules.rules}
    assert {"frozen", "within-the-task", "unlisted-tools", "leaves-its-work", "everyday-limit"} <= rules


def test_the_baseline_names_nobody():
    """No action, task or destination, and no caller but all that are authenticated."""
    text = compile_policy(read_directory(ROOT / "policies" / "baseline"), TRIAL_KEY).text
    assert (text.actions, text.tasks, text.legacy, text.contained, text.envelopes, text.exceptions) == ((),) * 6
    entries = (*text.rules, *text.signals)
    keys = {key for entry in entries for match in (entry.match, entry.exclude) for key in match}
    assert keys <= {"principal", "action", "action.kind", "action.sensitivity"}
    assert {name for entry in entries for name in entry.match.get("action", ())} <= {"unclassified"}
    assert {name for entry in entries for name in entry.match.get("principal", ())} == {"spiffe://**"}
