"""What a person sees of the demonstration: live tables and summaries."""

from collections.abc import Mapping, Sequence
from statistics import median, quantiles
from types import TracebackType
from typing import Any, Final, Self

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from authz_server.demo.agents import Seen
from authz_server.demo.work import Act

_COLOURS: Final = {
    "allow": "green",
    "challenge": "yellow",
    "throttle": "yellow",
    "deny": "red",
    "quarantine": "bold red",
}


WIDE: Final = 150
"""Columns of a terminal that has room for all readings of a step."""


def _columns(*, wide: bool) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("#", justify="right", no_wrap=True, min_width=2)
    table.add_column("identity", no_wrap=True, min_width=13)
    table.add_column("step", no_wrap=True, overflow="ellipsis", max_width=48)
    table.add_column("decision", no_wrap=True, min_width=10)
    table.add_column("rule, or reason", no_wrap=True, min_width=18)
    table.add_column("readings / limits" if wide else "nearest limit", no_wrap=True, min_width=22)
    return table


def _all(readings: Mapping[str, Any]) -> str:
    """Every reading that is not 0, beside its limit where a rule has one."""
    return "  ".join(
        f"{name} {reading['value']}" + (f"/{reading['limit']}" if reading["limit"] is not None else "")
        for name, reading in readings.items()
        if reading["value"]
    )


def _nearest(readings: Mapping[str, Any]) -> str:
    """The reading that is closest to its limit, or furthest beyond it."""
    limited = [
        (reading["value"] / reading["limit"], name, reading) for name, reading in readings.items() if reading["limit"]
    ]
    if not limited:
        return ""
    _, name, reading = max(limited, key=lambda entry: entry[0])
    beyond = reading["value"] > reading["limit"]
    return f"{name} {reading['value']} {'>' if beyond else '≤'} {reading['limit']}"


class _Board:
    """A table that is drawn anew with each row."""

    def __init__(self, console: Console, table: Table) -> None:
        self._table = table
        self._live = Live(table, console=console, refresh_per_second=8)
        self._count = 0

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the last state on the screen."""
        self._live.__exit__(kind, error, trace)

    def _add(self, *cells: str) -> None:
        self._count += 1
        self._table.add_row(str(self._count), *cells)


class Board(_Board):
    """The table of steps."""

    def __init__(self, console: Console) -> None:
        self._shown = _all if console.width >= WIDE else _nearest
        super().__init__(console, _columns(wide=console.width >= WIDE))

    def add(self, seen: Seen) -> None:
        """Append one step."""
        step, record = seen.step, seen.record
        decision = str(record.get("decision", "?"))
        colour = _COLOURS.get(decision, "white")
        tint = "cyan" if step.agent == "benign" else "magenta"
        self._add(
            f"[{tint}]{step.principal.rpartition('/')[2]}[/]",
            f"{step.note}: {step.method} {step.host.partition('.')[0]}{step.path}",
            f"[{colour}]{decision}[/]",
            str(record.get("rule") or record.get("reason", "")),
            self._shown(record.get("readings", {})),
        )


class WorkBoard(_Board):
    """The table of declared work."""

    def __init__(self, console: Console) -> None:
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("#", justify="right", no_wrap=True, min_width=2)
        table.add_column("who", no_wrap=True, min_width=9)
        table.add_column("act", no_wrap=True, overflow="ellipsis", max_width=48)
        table.add_column("answer", no_wrap=True, min_width=10)
        table.add_column("why, and what the caller reads", overflow="fold")
        super().__init__(console, table)

    def add(self, act: Act) -> None:
        """Append one act; what had to happen otherwise stands out."""
        colour = _COLOURS.get(act.answer, "cyan") if act.good else "bold white on red"
        why = escape(act.why) if act.good else f"[bold red]{escape(act.why)}[/]"
        self._add(act.who.rpartition("/")[2], escape(act.note), f"[{colour}]{escape(act.answer)}[/]", why)


def introduce(console: Console, title: str, text: str) -> None:
    """Begin a part."""
    console.print(f"\n[bold]{title}.[/] {text}\n", highlight=False)


def work_summary(console: Console, acts: Sequence[Act]) -> bool:
    """Say how the declared work ended.

    Returns:
        Whether each act was answered as it had to be, and there were any.
    """
    wrong = [number for number, act in enumerate(acts, 1) if not act.good]
    console.print()
    if acts and not wrong:
        console.print(
            "[bold green]The work was done within its task, the thief is contained, the export passed once, "
            "and the end held at once.[/]"
        )
        return True
    which = ", ".join(map(str, wrong)) or "none was made"
    console.print(
        f"[bold red]The demonstration failed.[/] Acts that were answered otherwise than they had to be: {which}"
    )
    return False


def summary(console: Console, seen: Sequence[Seen], latencies: Sequence[int]) -> bool:
    """Say how the two chains ended.

    Returns:
        Whether the benign agent finished and the intruder did not.
    """
    benign = [each for each in seen if each.step.agent == "benign"]
    intruder = [each for each in seen if each.step.agent == "intruder"]
    undisturbed = all(each.record.get("decision") == "allow" and each.status == 200 for each in benign)  # noqa: PLR2004 - HTTP OK
    reached = [each for each in intruder if each.step.objective and each.record.get("decision") == "allow"]
    passed = [each.record.get("decision") == "allow" for each in intruder]
    cut = next((number for number, each in enumerate(intruder, 1) if each.record.get("decision") == "quarantine"), 0)
    console.print()
    console.print(
        f"benign agent: {len(benign)} steps, {sum(each.record.get('decision') == 'allow' for each in benign)} allowed"
    )
    first = passed.index(False) + 1 if False in passed else 0
    console.print(
        f"intruder: {len(intruder)} steps, {sum(passed)} allowed; first refused at step {first}, contained at step {cut}"
    )
    for each in intruder:
        if each.step.objective:
            why = each.record.get("rule") or each.record.get("reason")
            console.print(
                f"  its objective, {each.step.method} {each.step.path}: {each.record.get('decision')} by {why}"
            )
    spread = quantiles(latencies, n=10)
    console.print(
        f"added by authz-server, measured at Envoy over {len(latencies)} requests: "
        f"median {median(latencies) / 1000:.2f} ms, 90 % below {spread[8] / 1000:.2f} ms"
    )
    good = undisturbed and not reached and bool(cut)
    verdict = (
        "[bold green]The job was done and the chain was cut.[/]" if good else "[bold red]The demonstration failed.[/]"
    )
    console.print(verdict)
    return good
