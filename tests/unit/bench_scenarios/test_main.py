import importlib

import pytest

from bench.scenarios.registry import NAMES, SCENARIOS
from bench.scenarios.sites import SITES
from tests.unit.bench_scenarios.traces import check_trace, text

main = importlib.import_module("bench.scenarios.__main__").main


def test_the_list_names_everything(capsys):
    """All scenarios with a line each, and the sites."""
    assert main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [*NAMES, "sites"]
    assert all(site in lines[-1] for site in SITES)
    assert {f"S{number}" for number in range(1, 14)} | {f"B{number}" for number in range(1, 15)} == set(SCENARIOS)


def test_one_trace_goes_to_the_standard_output(capsys):
    """The site named, or the one of the seed."""
    main(["--scenario", "S5", "--seed", "3", "--site", "meridian"])
    assert capsys.readouterr().out == text("S5")
    main(["--scenario", "S5", "--seed", "7"])
    assert "tidewater" in capsys.readouterr().out


def test_a_mixed_trace_has_the_number_of_steps_asked_for(capsys):
    """And a first line with the policy."""
    main(["--mix", "500", "--seed", "2"])
    assert check_trace(capsys.readouterr().out) == 500


def test_all_traces_go_to_a_folder(tmp_path, monkeypatch):
    """A file for each scenario, site and seed."""
    monkeypatch.setattr("bench.scenarios.__main__.NAMES", ("S5", "B8"))
    main(["--all", "--seeds", "3-4", "--out", str(tmp_path / "some")])
    names = sorted(path.name for path in (tmp_path / "some").iterdir())
    assert names == ["B8-fenwick-3.ndjson", "B8-orchard-4.ndjson", "S5-fenwick-3.ndjson", "S5-orchard-4.ndjson"]
    main(["--all", "--seeds", "3", "--site", "all", "--out", str(tmp_path / "more")])
    assert len(list((tmp_path / "more").iterdir())) == 2 * len(SITES)
    assert (tmp_path / "more" / "S5-meridian-3.ndjson").read_text() == text("S5")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--all"],
        ["--scenario", "S99"],
        ["--scenario", "S1", "--site", "all"],
        ["--scenario", "S1", "--site", "nowhere"],
        ["--all", "--out", "x", "--seeds", "4-1"],
        ["--all", "--out", "x", "--seeds", "one"],
    ],
)
def test_what_makes_no_sense_is_refused(arguments, capsys):
    """With exit code 2 and a line that says why."""
    with pytest.raises(SystemExit) as refused:
        main(arguments)
    assert refused.value.code == 2
    assert "error:" in capsys.readouterr().err
