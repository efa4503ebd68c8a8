"""authz_server/policy/sections.py."""

import pytest

from authz_server.policy import sections
from authz_server.policy.report import Report
from authz_server.policy.sections import MAX_ENTRIES, MAX_TEAM_ENTRIES, by_team, read_sections, team_of
from authz_server.policy.words import SECTIONS, TEAM_SECTIONS


def _read(team="", **files):
    report = Report()
    folder = f"teams/{team}/" if team else ""
    found = read_sections(team, {f"{folder}{name}.yaml": text.encode() for name, text in files.items()}, report)
    return found, [str(fault) for fault in report.faults]


@pytest.mark.parametrize(
    ("file", "team"),
    [
        ("teams/billing/x.yaml", "billing"),
        ("teams/billing/more/x.yaml", "billing"),
        ("teams/billing/teams/other/x.yaml", "billing"),
        ("platform.yaml", ""),
        ("more/teams/billing/x.yaml", ""),
        ("teams.yaml", ""),
        ("teamsters/billing/x.yaml", ""),
        ("teams/x.yaml", ""),
    ],
)
def test_a_file_is_of_the_team_whose_folder_it_stands_in(file, team):
    """Whatever lies below it; everything else is the platform's."""
    assert team_of(file) == team


def test_files_are_apart_by_team():
    """In the order of their names; a file beside the folders belongs to nobody."""
    report = Report()
    files = dict.fromkeys(
        ["z.yaml", "teams/b/2.yaml", "teams/a/1.yaml", "teams/b/1.yaml", "teams/x.yaml", "a.yaml"], b""
    )
    folders = by_team(files, report)
    assert {team: list(found) for team, found in folders.items()} == {
        "": ["a.yaml", "z.yaml"],
        "a": ["teams/a/1.yaml"],
        "b": ["teams/b/1.yaml", "teams/b/2.yaml"],
    }
    assert [str(fault) for fault in report.faults] == [
        "teams/x.yaml: a file of a team stands in the team's folder, `teams/<team>/`"
    ]
    assert by_team({}, report) == {"": {}}


def test_lists_are_joined_and_mappings_united():
    """Over all files."""
    found, faults = _read(
        a="version: 1\nvars: {x: 1}\nrules: [a]\nlegacy: [l]", b="vars: {y: 2}\nrules: [b, c]\nteams: {t: {}}"
    )
    assert not faults
    assert list(found.mappings["vars"]) == ["x", "y"]
    assert list(found.mappings["teams"]) == ["t"]
    assert [getattr(node, "value", None) for node in found.lists["rules"]] == ["a", "b", "c"]
    assert len(found.lists["legacy"]) == 1
    assert found.whole


def test_a_name_that_cannot_be_shown_is_left_out():
    """No suggestion may repeat it."""
    found, faults = _read(a='version: 1\nvars: {"a\tb": 1, ab: 2}')
    assert faults == ["a.yaml:2: vars.a�b: a name with a character that cannot be shown"]
    assert list(found.mappings["vars"]) == ["ab"]


@pytest.mark.parametrize("section", [section for section in SECTIONS if section != "version"])
def test_each_section_may_be_empty_and_has_a_bound(section):
    """All of its entries may be commented out."""
    assert not _read(a=f"version: 1\n{section}:\n")[1]
    assert section in MAX_ENTRIES


@pytest.mark.parametrize("section", [section for section in SECTIONS if section not in TEAM_SECTIONS])
def test_a_team_has_no_sections_of_the_platform(section):
    """Each is named; its entries are left out."""
    value = "[x]" if section in sections._LISTS else "{x: y}"
    found, faults = _read("billing", a=f"{section}: {value}")
    assert len(faults) == 1
    assert faults[0].startswith(
        f"teams/billing/a.yaml:1: {section}: `{section}` is the platform's; the files of a team"
    )
    assert not any(found.mappings.values())
    assert not any(found.lists.values())


def test_a_team_has_its_own_sections():
    """Without a version, which the platform says; one of another version is refused all the same."""
    found, faults = _read("billing", a="actions: [a]\nsignals: {s: {}}\nrules: [r]\nexceptions: [e]\nversion: 1")
    assert not faults
    assert [len(found.lists[name]) for name in ("actions", "rules", "exceptions")] == [1, 1, 1]
    assert list(found.mappings["signals"]) == ["s"]
    assert not _read("billing", a="rules: []")[1]
    assert _read("billing", a="version: 2")[1] == ["teams/billing/a.yaml:1: version: this server reads version 1"]
    assert "unknown section `rulez`; did you mean `rules`?" in _read("billing", a="rulez: []")[1][0]


@pytest.mark.parametrize(("team", "bounds"), [("", MAX_ENTRIES), ("billing", MAX_TEAM_ENTRIES)])
def test_what_is_more_than_the_bound_is_left_out(team, bounds, monkeypatch):
    """And named at the first one; a team has a smaller share."""
    for section in bounds:
        monkeypatch.setitem(bounds, section, 2)
        text = "[a, b, c]" if section in sections._LISTS else "{a: 1, b: 2, c: 3}"
        found, faults = _read(team, a=f"version: 1\n{section}: {text}\n")
        assert len(faults) == 1
        assert faults[0].endswith(f": `{section}` has more than 2 entries")
        assert len(found.lists.get(section) or found.mappings[section]) == 2


def test_files_and_bytes_are_bounded(monkeypatch):
    """For the platform and for each team; nothing of them is read then."""
    assert _read(**{f"f{n}": "" for n in range(257)})[1] == ["f0.yaml: a policy has at most 256 files and 32 MiB"]
    many = {f"f{n}": "rules: [" for n in range(33)}
    found, faults = _read("billing", **many)
    assert faults == ["teams/billing/f0.yaml: team `billing` has at most 32 files and 1 MiB"]
    assert not found.whole
    monkeypatch.setattr(sections, "MAX_TEAM_BYTES", 9)
    assert not _read("billing", a="rules: []")[1]
    assert "team `billing` has at most" in _read("billing", a="rules:  []")[1][0]


def test_a_document_is_whole_when_all_its_files_could_be_read():
    """Otherwise names that are not found may stand in the others."""
    assert _read(a="version: 1")[0].whole
    found, faults = _read(a="version: 1\nrules: [a]", b="rules: [")
    assert not found.whole
    assert len(faults) == 1
    assert len(found.lists["rules"]) == 1
