"""How the `task` commands show tasks: as a table, line by line, and as JSON."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from authz_server.printable import printable

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

    from authz_server.proto.authz.v1.tasks_pb2 import Task

NEVER = "not known"
"""Instead of a time that the server did not give."""


def table_of(tasks: "Iterable[Task]") -> Table:
    """A table with one row for each task; what others wrote cannot act on a terminal."""
    table = Table("task", "template", "agents", "opened", "until", "purpose", box=None, pad_edge=False)
    for task in tasks:
        table.add_row(*(Text(cell, overflow="fold") for cell in _row(task)))
    return table


def lines_of(task: "Task") -> Iterator[str]:
    """One task, line by line; members that are empty are left out."""
    yield f"task        {printable(task.id)}"
    for name, text in _members(task):
        if text:
            yield f"{name:<11} {text}"


def as_json(task: "Task") -> dict[str, object]:
    """A task as plain values, its times in Unix seconds; None for what has not happened."""
    return {
        "id": task.id,
        "template": task.template,
        "issuer": task.issuer,
        "opened_by": task.opened_by,
        "originator": task.originator,
        "agents": list(task.agents),
        "actions": list(task.actions),
        "steps": task.steps,
        "purpose": task.purpose,
        "context": dict(task.context),
        "opened": _seconds(task, "opened"),
        "deadline": _seconds(task, "deadline"),
        "ended": _seconds(task, "ended"),
        "ended_by": task.ended_by,
        "ended_reason": task.ended_reason,
        "generation": task.generation,
    }


def end_of(task: "Task") -> str:
    """When and how a task ended, or when it will at the latest."""
    if not task.HasField("ended"):
        return moment(task.deadline)
    reason = f": {printable(task.ended_reason)}" if task.ended_reason else ""
    return f"ended {moment(task.ended)} by {printable(task.ended_by)}{reason}"


def moment(time: "Timestamp") -> str:
    """A time in UTC; one that no calendar has is not known."""
    try:
        return f"{time.ToDatetime():%Y-%m-%d %H:%M:%SZ}"
    except (ValueError, OverflowError):
        return NEVER


def _row(task: "Task") -> tuple[str, ...]:
    agents = "\n".join(map(printable, task.agents))
    end = end_of(task)
    return printable(task.id), printable(task.template), agents, moment(task.opened), end, printable(task.purpose)


def _members(task: "Task") -> Iterator[tuple[str, str]]:
    yield "template", printable(task.template)
    yield "purpose", printable(task.purpose)
    yield "agents", " -> ".join(map(printable, task.agents))
    yield "originator", printable(task.originator)
    yield "opened", f"{moment(task.opened)} by {printable(task.opened_by)} as {printable(task.issuer)}"
    yield ("state" if task.HasField("ended") else "until"), end_of(task)
    yield "actions", " ".join(map(printable, task.actions))
    yield "steps", str(task.steps or "")
    yield "renewed", f"{task.generation} times" if task.generation else ""
    for name, value in sorted(task.context.items()):
        yield "context", f"{printable(name)}={printable(value)}"


def _seconds(task: "Task", name: str) -> float | None:
    return getattr(task, name).ToMilliseconds() / 1000 if task.HasField(name) else None
