"""The tasks of one process."""

from collections.abc import Sequence
from threading import Lock

from authz_server.errors import StateUnavailableError
from authz_server.taskbook.book import MAX_TASKS, is_alive, is_over_long
from authz_server.taskbook.record import TaskRecord


class MemoryTaskBook:
    """The book of one process."""

    __slots__ = ("_lock", "_seen", "_tasks")

    def __init__(self) -> None:
        self._lock = Lock()
        self._tasks: dict[str, TaskRecord] = {}
        self._seen: dict[str, float] = {}

    def add(self, task: TaskRecord, now: float) -> None:
        """See `TaskBook`.

        Raises:
            StateUnavailableError: `oom`: too many tasks are open.
        """
        with self._lock:
            if len(self._tasks) >= MAX_TASKS:
                self._prune(now)
            if len(self._tasks) >= MAX_TASKS:
                raise StateUnavailableError("oom")
            self._tasks[task.id] = task

    def replace(self, before: TaskRecord, task: TaskRecord, now: float) -> bool:
        """See `TaskBook`."""
        with self._lock:
            known = self._tasks.get(task.id)
            if known != before or not is_alive(known, now):
                return False
            self._tasks[task.id] = task
            return True

    def end(self, task: TaskRecord) -> None:
        """See `TaskBook`."""
        with self._lock:
            known = self._tasks.get(task.id)
            if known is not None and known.is_open:
                self._tasks[task.id] = task
            self._seen.pop(task.id, None)

    def find(self, task_id: str, now: float) -> TaskRecord | None:  # noqa: ARG002 - what is kept says itself when it ends
        """See `TaskBook`."""
        return self._tasks.get(task_id)

    def tasks(self, now: float) -> Sequence[TaskRecord]:
        """See `TaskBook`."""
        with self._lock:
            self._prune(now)
            return list(self._tasks.values())

    def is_alive(self, task_id: str, now: float) -> bool:
        """See `TaskBook`."""
        return is_alive(self._tasks.get(task_id), now)

    def saw(self, task_ids: Sequence[str], now: float) -> None:
        """See `TaskBook`."""
        for task_id in task_ids:
            if task_id in self._tasks:
                self._seen[task_id] = now

    def seen(self, task_ids: Sequence[str]) -> Sequence[float]:
        """See `TaskBook`."""
        return [self._seen.get(task_id, 0.0) for task_id in task_ids]

    def _prune(self, now: float) -> None:
        for task in [each for each in self._tasks.values() if is_over_long(each, now)]:
            del self._tasks[task.id]
            self._seen.pop(task.id, None)
