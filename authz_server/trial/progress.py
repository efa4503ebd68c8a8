"""How far a replay has come, on standard error: a bar where somebody looks, a line now and then where it goes to a log."""

from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from authz_server.trial.trace import Trace

PAUSE_S: Final = 5.0
"""Between two lines."""


class Told:
    """Tells how far a replay has come. A context manager; call it with the number of steps.

    Args:
        console: of standard error.
        trace: how far it is read.
        monotonic: a clock in seconds.
        quiet: say nothing.
    """

    def __init__(self, console: Console, trace: Trace, monotonic: Callable[[], float], *, quiet: bool) -> None:
        self._console = console
        self._trace = trace
        self._monotonic = monotonic
        self._quiet = quiet
        self._bar: Progress | None = None
        self._begun = self._last = monotonic()

    def __enter__(self) -> Self:
        """Begin to tell."""
        if self._console.is_terminal and not self._quiet:
            total = self._trace.size or None
            columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[told]}"), TimeRemainingColumn())
            self._bar = Progress(*columns, console=self._console, transient=True)
            self._bar.add_task("", total=total, told="")
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, steps: int) -> None:
        """So many steps were decided."""
        if self._quiet:
            return
        now = self._monotonic()
        if self._bar is not None:
            told = self._words(steps, now)
            self._bar.update(self._bar.task_ids[0], completed=self._trace.position, told=told)
        elif now - self._last >= PAUSE_S:
            self._last = now
            share = f", {100 * self._trace.position / self._trace.size:.0f} % of the trace" if self._trace.size else ""
            self._console.print(f"replay: {self._words(steps, now)}{share}", markup=False)

    def _words(self, steps: int, now: float) -> str:
        speed = steps / (now - self._begun) if now > self._begun else 0.0
        return f"{steps} steps, {speed:.0f} a second"
