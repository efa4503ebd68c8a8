"""What a person sees of a replay."""

import io
import itertools

import pytest
from rich.console import Console

from authz_server.trial.lane import Lane, LaneSettings
from authz_server.trial.replay import replay
from authz_server.trial.replay_show import MAX_NAMED, MAX_ROWS, scenario_of, show
from authz_server.trial.trace import Trace
from tests.traces import PACK, attack, line, snapshot, text

WIDTH = 120


@pytest.fixture
def shown(tmp_path):
    """The lines that a replay of these steps prints."""

    def shown(*lines, against=None):
        (tmp_path / "trace").write_bytes(text(*lines))
        other = Lane(snapshot(against), LaneSettings()) if against else None
        with Trace(str(tmp_path / "trace")) as trace:
            found = replay(trace, Lane(snapshot(), LaneSettings()), other, itertools.count(0.0).__next__)
        out = io.StringIO()
        show(Console(file=out, width=WIDTH, highlight=False), found)
        printed = out.getvalue().splitlines()
        assert max(map(len, printed)) <= WIDTH
        return [" ".join(each.split()) for each in printed]

    return shown


def burst(chain, count, make=attack):
    """Steps too fast for the limit of three."""
    return [make(0.0, chain=chain) for _ in range(count)]


@pytest.mark.parametrize(
    ("chain", "scenario"), [("S2-07", "S2"), ("S4-01/owner", "S4"), ("B12/x", "B12"), ("plain", "plain"), ("-x", "-x")]
)
def test_a_chain_is_an_instance_of_a_scenario(chain, scenario):
    """By the beginning of its name."""
    assert scenario_of(chain) == scenario


def test_a_row_for_each_scenario_and_their_sum(shown):
    """Attacks and benign jobs apart, in the order of their names and numbers."""
    lines = shown(
        *burst("S10-01", 5),
        *[attack(60.0, chain=f"S2-0{number}") for number in (1, 2)],
        *[line(120.0, chain=f"B{number}-01") for number in (10, 2)],
    )
    rows = [line for line in lines if line.startswith(("S1", "S2", "B1", "B2", "all"))]
    assert rows[:6] == [
        "S2 2 2 0.0 % 0.0 % - - 1 1",
        "S10 1 5 100.0 % 100.0 % 4 0 3 3",
        "all 3 7 33.3 % 33.3 % 4 0 1 3",
        "B2 1 1 0 0.000 % 0",
        "B10 1 1 0 0.000 % 0",
        "all 2 2 0 0.000 % 0",
    ]


def test_decisions_rules_and_chains_are_named(shown):
    """What interrupted whom, the attacks that were not stopped, and the jobs that were hit."""
    lines = shown(*burst("B1-01", 5, line), attack(60.0, chain="S1-01", objective=True))
    assert "Decisions allow 4 challenge 0 throttle 2 deny 0 quarantine 0" in lines
    assert "too-fast throttle 0 2" in lines
    assert "S1-01 objective allowed 1 1 -" in lines
    assert "B1-01 too-fast 5 3 4" in lines


def test_long_lists_are_cut_and_say_so(shown):
    """All of it is in the JSON."""
    lines = shown(*[attack(100.0 * number, chain=f"S1-{number}") for number in range(MAX_NAMED + 3)])
    assert "and 3 more; --format json has all of them" in lines
    many = shown(*[attack(100.0 * number, chain=f"S{number}") for number in range(MAX_ROWS + 5)])
    assert any(line.startswith("(others) 5 ") for line in many)


def test_differences_name_decisions_rules_and_an_example(shown):
    """And whether they loosen."""
    lines = shown(*burst("B1-01", 5, line), against=PACK.replace("limit: 3", "limit: 4"))
    assert any(line.endswith("1 steps decided otherwise, 0 less strictly") for line in lines)
    assert "allow agents-may throttle too-fast 1 B1-01 step 4 at 0 s, thing.read" in lines
    looser = shown(*burst("B1-01", 5, line), against=PACK.replace("limit: 3", "limit: 2"))
    assert any("looser" in line for line in looser)
    same = shown(*burst("B1-01", 5, line), against=PACK)
    assert same[-2].endswith("0 steps decided otherwise, 0 less strictly")


def test_names_of_a_trace_are_only_text(shown):
    """No markup, no control characters, no line of any length."""
    lines = shown(attack(0.0, chain="[red]x[/red]"), attack(20.0, chain="a\x1b[31m\nb"), attack(40.0, chain="y" * 256))
    assert any("[red]x[" in line for line in lines)
    assert not any("\x1b" in line for line in lines)
