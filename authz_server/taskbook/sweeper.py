"""Ends tasks by themselves: at their deadline, after idle time, with their workload, and when they are contained."""

from collections.abc import Callable, Sequence
from typing import Final

from authz_server.model import Entity
from authz_server.taskbook.book import TaskBook
from authz_server.taskbook.desk import TaskDesk
from authz_server.taskbook.record import TaskRecord

SWEEPER: Final = "authz-server"
"""The author of ends that nobody asked for."""
DEADLINE: Final = "deadline"
IDLE: Final = "idle"
CONTAINED: Final = "contained"
WORKLOAD_GONE: Final = "workload_gone"


class Sweeper:
    """Looks at all open tasks now and then. One thread at a time uses it.

    Args:
        desk: ends them.
        book: keeps them.
        is_contained: says of an entity whether it is contained, by anything but the end of a task.
        is_gone: says of an agent (a SPIFFE ID) whether its last workload has ended after a time (Unix seconds).
        clock: Unix seconds.
    """

    __slots__ = ("_book", "_clock", "_desk", "_is_contained", "_is_gone")

    def __init__(
        self,
        desk: TaskDesk,
        book: TaskBook,
        is_contained: Callable[[Entity], bool],
        is_gone: Callable[[str, float], bool],
        clock: Callable[[], float],
    ) -> None:
        self._desk = desk
        self._book = book
        self._is_contained = is_contained
        self._is_gone = is_gone
        self._clock = clock

    def sweep(self, *, idle: bool = True) -> int:
        """End what is over, and see that every replica knows of what has ended before its time.

        Args:
            idle: whether it is known who works, so that the others are idle.

        Returns:
            How many tasks were ended.

        Raises:
            StateUnavailableError: the book does not answer; the next sweep goes on.
        """
        now = self._clock()
        known = self._book.tasks(now)
        for task in known:
            # It was contained when it ended, and released since; or whoever ended it was stopped before telling.
            if not task.is_open and now < task.deadline:
                self._desk.tell_again(task)
        found = [task for task in known if task.is_open]
        quiet = self._idle([task for task in found if idle and task.idle_s and now < task.deadline], now)
        ended = 0
        for task in found:
            reason = self._reason(task, now) or (IDLE if task.id in quiet else "")
            if reason:
                self._desk.close(task, SWEEPER, reason)
                ended += 1
        return ended

    def _reason(self, task: TaskRecord, now: float) -> str:
        if now >= task.deadline:
            return DEADLINE
        if self._is_contained(Entity("task", (task.id,))):
            return CONTAINED
        # While any of its agents still works, the task goes on.
        return WORKLOAD_GONE if all(self._is_gone(each.agent, task.opened) for each in task.members) else ""

    def _idle(self, tasks: Sequence[TaskRecord], now: float) -> set[str]:
        quiet = [task for task in tasks if now - task.touched >= task.idle_s]
        if not quiet:
            return set()
        seen = self._book.seen([task.id for task in quiet])
        return {task.id for task, last in zip(quiet, seen, strict=True) if now - last >= task.idle_s}
