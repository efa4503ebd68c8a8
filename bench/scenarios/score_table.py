"""From traces and what replaying them gave to the table of scores."""

import json
from collections import defaultdict
from statistics import median
from typing import NamedTuple

from bench.scenarios.registry import FAST, SCENARIOS, SLOW

_NOT_SCORED = {"framer", "forger", "at-forger"}
"""Parts of a chain that want nothing for themselves, and what a victim really asks of who lies about it."""


class Truth(NamedTuple):
    """What a trace says of one of its chains; numbers of steps begin with 1."""

    label: str
    first_malicious: int = 0
    first_jump: int = 0
    """The first step of another stage that is answered below 400 and moves to another identity; 0 for none."""
    objective: bool = False
    steps: int = 0


class Outcome(NamedTuple):
    """One chain of one trace, replayed."""

    row: str
    part: str
    pace: str
    truth: Truth
    allowed: int
    first_interruption: int | None
    objective_allowed: bool

    @property
    def to_interruption(self):
        """Allowed steps from the first malicious one to the first interruption."""
        first = self.truth.first_malicious or 1
        last = self.truth.steps + 1 if self.first_interruption is None else self.first_interruption
        return max(0, last - first)

    @property
    def before_jump(self):
        """Whether it was interrupted no later than at its first jump."""
        return self.first_interruption is not None and self.first_interruption <= self.truth.first_jump

    @property
    def stopped_for_good(self):
        """Whether nothing was allowed from the first interruption on."""
        return self.first_interruption is not None and self.allowed == self.first_interruption - 1


def truths(lines):
    """Chain to `Truth`, of the lines of a trace."""
    found = {}
    for line in lines:
        step = json.loads(line)
        if "policy" in step:
            continue
        known = found.get(step["chain"]) or Truth(step["label"])
        number = known.steps + 1
        known = known._replace(steps=number, objective=known.objective or step["objective"])
        stage = step.get("stage", "")
        if stage and not known.first_malicious:
            known = known._replace(first_malicious=number)
        if stage == "lateral-movement" and not known.first_jump and step["outcome"]["status"] < 400:
            known = known._replace(first_jump=number)
        found[step["chain"]] = known
    return found


def outcomes(lines, result):
    """The chains of one trace with what a replay said of them.

    Raises:
        ValueError: the replay does not tell of the same chains and steps.
    """
    found = truths(lines)
    chains = result["chains"]
    if set(found) != set(chains):
        raise ValueError("the replay is not of this trace: it tells of other chains")
    scored = []
    for name, truth in found.items():
        chain = chains[name]
        if chain["steps"] != truth.steps:
            raise ValueError(f"{name}: the replay has {chain['steps']} steps, the trace {truth.steps}")
        row, part, pace = _named(name)
        scored.append(
            Outcome(row, part, pace, truth, chain["allowed"], chain["first_interruption"], chain["objective_allowed"])
        )
    return scored


def _named(name):
    """Row of the table, part of the chain, and pace: what the name of a chain says."""
    scenario, _, rest = name.partition("-")
    part = rest.partition("/")[2]
    if scenario == "GA":
        return "GA", part, part
    if part in {"declared", "undeclared"}:
        return f"{scenario} {part}", part, ""
    return scenario, part, SCENARIOS[scenario].pace if scenario in SCENARIOS else ""


class Score(NamedTuple):
    """The scores of some chains; None where there is nothing to measure."""

    chains: int
    interrupted: float | None
    fast: float | None
    slow: float | None
    allowed: float | None
    before_jump: float | None
    refused: float | None
    stopped: int | None
    victim: int | None


def score(chosen):
    """The scores of a list of `Outcome`s."""
    counted = [one for one in chosen if one.part not in _NOT_SCORED]
    attacks = [one for one in counted if one.truth.label == "attack" and one.truth.objective]
    benign = [one for one in counted if one.truth.label == "benign"]
    jumps = [one for one in attacks if one.truth.first_jump]
    steps = sum(one.truth.steps for one in benign)
    return Score(
        chains=len(chosen),
        interrupted=_share(attacks, lambda one: not one.objective_allowed),
        fast=_median(one.to_interruption for one in attacks if one.pace == FAST),
        slow=_median(one.to_interruption for one in attacks if one.pace == SLOW),
        allowed=_median(one.allowed for one in attacks),
        before_jump=_share(jumps, lambda one: one.before_jump),
        refused=sum(one.truth.steps - one.allowed for one in benign) / steps if benign else None,
        stopped=sum(one.stopped_for_good for one in benign) if benign else None,
        victim=_victims([one for one in benign if one.part == "victim"]),
    )


def _share(chosen, holds):
    return sum(map(holds, chosen)) / len(chosen) if chosen else None


def _median(values):
    values = list(values)
    return median(values) if values else None


def _victims(chosen):
    return sum(one.truth.steps - one.allowed for one in chosen) if chosen else None


COLUMNS = {
    "chains": ("chains", "{}"),
    "interrupted": ("interrupted", "{:.1%}"),
    "fast": ("allowed, fast", "{:g}"),
    "slow": ("allowed, slow", "{:g}"),
    "allowed": ("in all", "{:g}"),
    "before_jump": ("before jump", "{:.1%}"),
    "refused": ("benign refused", "{:.2%}"),
    "stopped": ("for good", "{}"),
    "victim": ("victim refused", "{}"),
}
GOALS = {
    "interrupted": ("at least 99 %", lambda value: value >= 0.99),
    "fast": ("at most 10", lambda value: value <= 10),
    "slow": ("at most 25", lambda value: value <= 25),
    "before_jump": ("at least 90 %", lambda value: value >= 0.9),
    "refused": ("at most 0.1 %", lambda value: value <= 0.001),
    "stopped": ("0", lambda value: value == 0),
    "victim": ("0", lambda value: value == 0),
}
_APART = ("GA", "GB", "BG")
"""The grammar, whose goals are others, and the background."""


def table(chosen):
    """The lines of the table: a row for each scenario, the sums, and the goals; and the names of the goals missed."""
    rows = defaultdict(list)
    for one in chosen:
        rows[one.row].append(one)
    shown = [["", *(heading for heading, _ in COLUMNS.values())]]
    shown += [[name, *_cells(score(rows[name]))] for name in sorted(rows, key=_order)]
    summed = [one for one in chosen if one.row.partition(" ")[0] not in _APART]
    scenarios = score([one for one in summed if one.part != "undeclared"])
    shown.append(["with undeclared", *_cells(score(summed))])
    shown.append(["scenarios", *_cells(scenarios)])
    shown.append(["goal", *(GOALS[name][0] if name in GOALS else "" for name in COLUMNS)])
    missed = [
        name for name, (_, holds) in GOALS.items() if getattr(scenarios, name) is not None and not holds(getattr(scenarios, name))
    ]  # fmt: skip
    widths = [max(len(row[place]) for row in shown) for place in range(len(shown[0]))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in shown]
    return lines, missed


def _cells(scored):
    values = scored._asdict()
    return ["" if values[name] is None else form.format(values[name]) for name, (_, form) in COLUMNS.items()]


def _order(name):
    """Scenarios in the order of the registry, then the grammar's rows."""
    scenario = name.partition(" ")[0]
    return (list(SCENARIOS).index(scenario) if scenario in SCENARIOS else len(SCENARIOS), name)
