"""What the desk of tasks is given, and what it gives."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from authz_server.model import Entity, Invalid
from authz_server.policy.snapshot import Snapshot
from authz_server.taskbook.book import TaskBook
from authz_server.taskbook.record import Member, TaskRecord


class Grant(NamedTuple):
    """What a genuine token says."""

    task_id: str
    agent: str
    depth: int
    expires: float
    """Unix time in seconds."""


class Tokens(Protocol):
    """Makes and reads task tokens."""

    def issue(self, task: TaskRecord, agent: Member, now: float) -> tuple[str, float]:
        """Give a token for one agent of a task, and when it expires (Unix seconds)."""

    def read(self, text: str, now: float) -> Grant | Invalid:
        """Verify a token and say what it grants."""


class Issued(NamedTuple):
    """A token, and what it is for."""

    token: str
    expires: float
    """Unix time in seconds."""
    agent: str
    task: TaskRecord


class DeskPorts(NamedTuple):
    """What the desk is given: its collaborators and its sources of time and ids."""

    book: TaskBook
    tokens: Tokens
    policy: Callable[[], Snapshot]
    groups: Callable[[str], frozenset[str]]
    """The groups of operators that a caller is in."""
    is_contained: Callable[[Entity], bool]
    tell_end: Callable[[TaskRecord], None]
    """Tells every replica that a task is over."""
    clock: Callable[[], float]
    new_id: Callable[[], str]
    log: Callable[[dict[str, Any]], None]
    """Takes a record of each act."""
