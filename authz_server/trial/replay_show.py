"""A replay as a person reads it, in at most 120 columns."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from authz_server.policy.tree import shown
from authz_server.trial.against import Answer, Differences
from authz_server.trial.replay import Replayed
from authz_server.trial.scores import Chain, Scores, median_of, refused_share
from authz_server.trial.trace_step import ATTACK, BENIGN
from authz_server.verdict import Decision

MAX_ROWS: Final = 40
"""Scenarios of a table; a trace with more of them names its chains otherwise."""
MAX_NAMED: Final = 12
"""Chains, rules or changes that are named one by one."""
OTHERS: Final = "(others)"
_COLOURS: Final = {
    Decision.ALLOW: "green",
    Decision.CHALLENGE: "cyan",
    Decision.THROTTLE: "yellow",
    Decision.DENY: "red",
    Decision.QUARANTINE: "bold red",
}
_SCENARIO: Final = re.compile(r"([^/-]+)[/-].*", re.DOTALL)
_NONE: Final = "-"


def show(console: Console, replayed: Replayed) -> None:
    """Print the summaries of a replay."""
    scores = replayed.scores
    _print_attacks(console, scores)
    _print_benign(console, scores)
    _print_decisions(console, replayed)
    _print_interruptions(console, scores)
    _print_reached(console, scores)
    if replayed.differences is not None:
        _print_differences(console, replayed.differences)


def scenario_of(chain: str) -> str:
    """What a chain is an instance of: its name up to the first `-` or `/`, `S2` of `S2-07`."""
    found = _SCENARIO.fullmatch(chain)
    return found[1] if found is not None else chain


def _table(title: str, *columns: str, right: int = 1) -> Table:
    """A table whose columns are numbers from number `right` on."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number >= right else "left", overflow="ellipsis", no_wrap=True)
    return table


def _by_scenario(scores: Scores, label: str) -> dict[str, list[Chain]]:
    groups: dict[str, list[Chain]] = {}
    for name, chain in scores.chains.items():
        if chain.label == label:
            scenario = scenario_of(name)
            known = scenario in groups or len(groups) < MAX_ROWS
            groups.setdefault(scenario if known else OTHERS, []).append(chain)
    found = sorted(groups.items(), key=lambda item: [part.zfill(9) for part in re.findall(r"[0-9]+|[^0-9]+", item[0])])
    return dict(found)


def _print_attacks(console: Console, scores: Scores) -> None:
    groups = _by_scenario(scores, ATTACK)
    if not groups:
        return
    head = ("scenario", "chains", "steps", "stopped", "interrupted", "at step", "after s", "allowed", "at most")
    table = _table("Attacks: stopped before the objective", *head)
    for name, chains in [*groups.items(), *_sum(groups)]:
        cut = [chain for chain in chains if chain.first_interruption]
        stopped = sum(chain.stopped for chain in chains)
        colour = "green" if stopped == len(chains) else "red"
        table.add_row(
            _name(name),
            _count(len(chains)),
            _count(sum(chain.steps for chain in chains)),
            f"[{colour}]{_percent(stopped / len(chains))}[/]",
            _percent(len(cut) / len(chains)),
            _amount(median_of(chain.first_interruption for chain in cut)),
            _amount(median_of(chain.seconds_to_interruption for chain in cut)),
            _amount(median_of(chain.reached for chain in chains)),
            _count(max(chain.reached for chain in chains)),
        )
    console.print(table)
    console.print(
        "[dim]at step, after s, allowed: medians; allowed: steps let through from the first malicious one on[/]\n"
    )


def _print_benign(console: Console, scores: Scores) -> None:
    groups = _by_scenario(scores, BENIGN)
    if not groups:
        return
    table = _table(
        "Benign: steps that were not allowed", "scenario", "chains", "steps", "refused", "share", "chains hit"
    )
    for name, chains in [*groups.items(), *_sum(groups)]:
        share = refused_share(chains) or 0.0
        table.add_row(
            _name(name),
            _count(len(chains)),
            _count(sum(chain.steps for chain in chains)),
            _count(sum(chain.steps - chain.allowed for chain in chains)),
            f"[{'red' if share else 'green'}]{_percent(share, digits=3)}[/]",
            _count(sum(bool(chain.first_interruption) for chain in chains)),
        )
    console.print(table)
    console.print()


def _print_decisions(console: Console, replayed: Replayed) -> None:
    found = replayed.scores.decisions
    parts = [f"[{_COLOURS[each]}]{each.value}[/] {_count(found[each])}" for each in Decision]
    console.print(f"[bold]Decisions[/]  {'   '.join(parts)}")
    speed = f"{_count(replayed.steps)} steps in {replayed.seconds:.1f} s, {replayed.speed:,.0f} a second".replace(
        ",", " "
    )
    console.print(f"[dim]policy {replayed.digest}, {speed}[/]\n")


def _print_interruptions(console: Console, scores: Scores) -> None:
    totals: dict[tuple[Decision, str], Counter[str]] = {}
    for (label, decision, rule), count in scores.interruptions.items():
        totals.setdefault((decision, rule), Counter())[label] += count
    if not totals:
        return
    table = _table("What interrupted", "rule, or reason", "decision", "attack steps", "benign steps", right=2)
    ordered = sorted(totals.items(), key=lambda item: -item[1].total())
    for (decision, rule), counts in ordered[:MAX_NAMED]:
        told = f"[{_COLOURS[decision]}]{decision.value}[/]"
        table.add_row(_name(rule), told, _count(counts[ATTACK]), _count(counts[BENIGN]))
    console.print(table)
    _print_rest(console, len(ordered))


def _print_reached(console: Console, scores: Scores) -> None:
    missed = [(name, chain) for name, chain in scores.chains.items() if chain.label == ATTACK and not chain.stopped]
    missed.sort(key=lambda item: (not item[1].objective_allowed, -item[1].reached))
    _print_chains(console, "Attack chains that were not stopped", missed)
    hit = [(name, chain) for name, chain in scores.chains.items() if chain.label == BENIGN and chain.first_interruption]
    hit.sort(key=lambda item: item[1].allowed - item[1].steps)
    _print_chains(console, "Benign chains that were refused most", hit)


def _print_chains(console: Console, title: str, chains: Sequence[tuple[str, Chain]]) -> None:
    if not chains:
        return
    table = _table(title, "chain", "why", "steps", "allowed", "first refused", right=2)
    for name, chain in chains[:MAX_NAMED]:
        if chain.label == ATTACK:
            why = "objective allowed" if chain.objective_allowed else "never interrupted"
        else:
            why = max((count, rule) for (rule, passes), count in chain.decisive.items() if not passes)[1]
        first = _count(chain.first_interruption) if chain.first_interruption else _NONE
        table.add_row(_name(name), _name(why), _count(chain.steps), _count(chain.allowed), first)
    console.print(table)
    _print_rest(console, len(chains))


def _print_differences(console: Console, differences: Differences) -> None:
    told = f"{_count(differences.changed)} steps decided otherwise, {_count(differences.loosened)} less strictly"
    console.print(f"[bold]Against policy {differences.digest}[/]: {told}")
    ordered = differences.ordered()
    if ordered:
        table = _table("", "before", "now", "steps", "", "first", right=2)
        table.columns[3].justify = table.columns[4].justify = "left"
        for change, group in ordered[:MAX_NAMED]:
            first = f"{shown(group.first.chain)} step {group.first.step} at {group.first.t:g} s, {group.first.action}"
            loosens = "[red]looser[/]" if change.loosens else ""
            table.add_row(_told(change.before), _told(change.after), _count(group.count), loosens, escape(first))
        console.print(table)
    _print_rest(console, len(ordered))


def _told(answer: Answer) -> str:
    return f"[{_COLOURS[answer.decision]}]{answer.decision.value}[/] {_name(answer.rule)}"


def _print_rest(console: Console, count: int) -> None:
    if count > MAX_NAMED:
        console.print(f"[dim]and {_count(count - MAX_NAMED)} more; --format json has all of them[/]")
    console.print()


def _sum(groups: dict[str, list[Chain]]) -> Iterable[tuple[str, list[Chain]]]:
    """A last row, where there is more than one to sum up."""
    return [("all", [chain for chains in groups.values() for chain in chains])] if len(groups) > 1 else []


def _name(text: str) -> str:
    return escape(shown(text))


def _count(number: float) -> str:
    return f"{number:,}".replace(",", " ")


def _amount(number: float | None) -> str:
    return _NONE if number is None else f"{number:,.1f}".removesuffix(".0").replace(",", " ")


def _percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f} %"
