"""One task as the book keeps it, and its form in the store: a JSON object, read as strictly as a stranger's."""

import json
import re
from typing import Any, Final, NamedTuple

from authz_server.content.json_strict import parse_json
from authz_server.errors import DecodeError

MAX_RECORD: Final = 16_384
"""Bytes: agents, patterns and context at their bounds take half of it."""
MAX_PATTERNS: Final = 64
"""Narrower patterns of actions; they travel in every token of the task."""
MAX_AGENTS: Final = 9
"""The first agent and the longest chain of delegations behind it (`task_entries.MAX_DEPTH`)."""
END_ROOM: Final = 4_096
"""Bytes that a record grows by at most when its task ends: a name, a reason, and longer numbers."""
MAX_CONTEXT: Final = 16
"""Members of the context."""
MAX_TEXT: Final = 512
"""Characters of a purpose, of a reason and of each text of the context."""
MAX_NAME: Final = 2048
"""Characters of an identity: the longest SPIFFE ID."""

_ID: Final = re.compile(r"[0-9a-f]{32}")


class Member(NamedTuple):
    """An agent that may work under the task."""

    agent: str
    """Its SPIFFE ID."""
    depth: int
    """Delegations between whoever opened the task and this agent."""
    by: str = ""
    """The agent that handed it on; `""` for the first one."""


class TaskRecord(NamedTuple):
    """One task."""

    id: str
    """32 hexadecimal digits; the `txn` of its tokens."""
    template: str
    issuer: str
    """How the template names who opened it: its SPIFFE ID, or `group:<name>`."""
    opened_by: str
    """The SPIFFE ID, or `local`."""
    originator: str
    """On whose behalf."""
    members: tuple[Member, ...]
    """The agents, the first one first."""
    actions: tuple[str, ...]
    """Patterns narrower than the template's; empty for the template's own."""
    steps: int
    """A budget below the template's; 0 for the template's own."""
    purpose: str
    context: tuple[tuple[str, str], ...]
    opened: float
    """Unix time in seconds, as all times here."""
    deadline: float
    idle_s: int
    """Without a step for so long it ends; 0 for never."""
    generation: int = 0
    """How often its token was replaced."""
    touched: float = 0.0
    """When a token of it was last issued."""
    ended: float = 0.0
    """0 while it is open."""
    ended_by: str = ""
    ended_reason: str = ""

    @property
    def is_open(self) -> bool:
        """Whether nobody has ended it; its deadline is for whoever knows the time."""
        return not self.ended

    @property
    def parties(self) -> frozenset[str]:
        """Everybody who has a part in it."""
        return frozenset((self.issuer, self.opened_by, self.originator, *(member.agent for member in self.members)))

    def chain(self, member: Member) -> tuple[str, ...]:
        """The agents through whose hands it came to this one, the first one first, this one last."""
        found = [member.agent]
        while member.by and len(found) <= MAX_AGENTS:
            known = self.member(member.by)
            if known is None:
                break
            member = known
            found.append(member.agent)
        return tuple(reversed(found))

    def member(self, agent: str) -> Member | None:
        """The agent among its members, or None."""
        return next((each for each in self.members if each.agent == agent), None)


def fits(task: TaskRecord) -> bool:
    """Whether a record can be read again, also when its task has ended: one that cannot is nobody's to end."""
    return len(task.members) <= MAX_AGENTS and len(encode_task(task)) <= MAX_RECORD - END_ROOM


def encode_task(task: TaskRecord) -> bytes:
    """Write a record; what was read from `decode_task` is written alike."""
    plain = task._asdict() | {"members": [list(each) for each in task.members]}
    return json.dumps(plain, separators=(",", ":"), sort_keys=True).encode()


def decode_task(data: bytes) -> TaskRecord:
    """Read a record.

    Raises:
        DecodeError: `task_record`: it is none, or is not within bounds.
    """
    if len(data) > MAX_RECORD:
        raise DecodeError("task_record")
    try:
        return _read(parse_json(data))
    except (TypeError, ValueError, DecodeError):
        raise DecodeError("task_record") from None


def _read(found: Any) -> TaskRecord:
    if not isinstance(found, dict) or found.keys() != set(TaskRecord._fields):
        raise TypeError("members")
    members = tuple(
        Member(_text(agent, MAX_NAME), _whole(depth), _text(by, MAX_NAME))
        for agent, depth, by in _items(found["members"], MAX_AGENTS)
    )
    context = tuple((_text(name), _text(value)) for name, value in _items(found["context"], MAX_CONTEXT))
    record = TaskRecord(
        id=_text(found["id"]),
        template=_text(found["template"]),
        issuer=_text(found["issuer"], MAX_NAME),
        opened_by=_text(found["opened_by"], MAX_NAME),
        originator=_text(found["originator"], MAX_NAME),
        members=members,
        actions=tuple(_text(pattern) for pattern in _items(found["actions"], MAX_PATTERNS)),
        steps=_whole(found["steps"]),
        purpose=_text(found["purpose"]),
        context=context,
        opened=_time(found["opened"]),
        deadline=_time(found["deadline"]),
        idle_s=_whole(found["idle_s"]),
        generation=_whole(found["generation"]),
        touched=_time(found["touched"]),
        ended=_time(found["ended"]),
        ended_by=_text(found["ended_by"], MAX_NAME),
        ended_reason=_text(found["ended_reason"]),
    )
    if _ID.fullmatch(record.id) is None or not members:
        raise ValueError("id, members")
    return record


def _text(found: Any, most: int = MAX_TEXT) -> str:
    if not isinstance(found, str) or len(found) > most:
        raise TypeError("text")
    return found


def _whole(found: Any) -> int:
    if type(found) is not int or found < 0:
        raise TypeError("number")
    return found


def _time(found: Any) -> float:
    if type(found) not in {int, float} or not 0 <= found < 1 << 40:
        raise TypeError("time")
    return float(found)


def _items(found: Any, most: int) -> list[Any]:
    if not isinstance(found, list) or len(found) > most:
        raise TypeError("list")
    return found
