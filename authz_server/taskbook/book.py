"""What keeps the open tasks. `memory.py` keeps them in this process, `shared.py` in the store of all replicas."""

from collections.abc import Sequence
from typing import Final, Protocol

from authz_server.taskbook.record import TaskRecord

MAX_TASKS: Final = 100_000
"""Kept at once, the ended ones of the last hour among them: about 200 MB in one process."""
KEEP_ENDED_S: Final = 3600.0
"""How long an ended task is still shown."""

LOST: Final = "lost"
"""Why a task is over whose record says that it is open: the store lost its key, or an end was not carried out to the end."""


class TaskBook(Protocol):
    """Keeps tasks. Threads share it. Every method raises StateUnavailableError when the store does not answer."""

    def add(self, task: TaskRecord, now: float) -> None:
        """Keep a new task."""

    def replace(self, before: TaskRecord, task: TaskRecord, now: float) -> bool:
        """Keep the new state of an open task; False when it is over, or no longer as `before`: look again."""

    def end(self, task: TaskRecord) -> None:
        """Keep that a task is over; harmless when it was."""

    def find(self, task_id: str, now: float) -> TaskRecord | None:
        """The task, open or ended lately; None when there is none."""

    def tasks(self, now: float) -> Sequence[TaskRecord]:
        """Every task that is open or was lately."""

    def is_alive(self, task_id: str, now: float) -> bool:
        """Whether the task is open."""

    def saw(self, task_ids: Sequence[str], now: float) -> None:
        """Remember that steps were made under these tasks."""

    def seen(self, task_ids: Sequence[str]) -> Sequence[float]:
        """When a step was last made under each (Unix seconds), 0 when none is known."""


def is_alive(task: TaskRecord | None, now: float) -> bool:
    """Whether a task is open at `now` (Unix seconds)."""
    return task is not None and task.is_open and now < task.deadline


def is_over_long(task: TaskRecord, now: float) -> bool:
    """Whether a task was over so long ago that nobody asks any more."""
    return now >= (task.ended or task.deadline) + KEEP_ENDED_S
