"""The tasks in the store that all replicas of the control role share.

A task has two places there: its sealed record in one hash, which lists the tasks, and a key of its own that lives as long as
the task. Only the second one decides: replicas that decide steps read it with the flags of containment, and a task without
it is over. So a store that has lost everything has ended every task, and none comes back by an old record.
"""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any, Final, Protocol

from authz_server.containment.seal import Opener, SealError, Signer
from authz_server.errors import DecodeError, StateUnavailableError
from authz_server.model import Entity
from authz_server.state.network import Command
from authz_server.taskbook.book import LOST, MAX_TASKS, is_over_long
from authz_server.taskbook.record import TaskRecord, decode_task, encode_task

TASKS: Final = b"az:{c}:tasks"
"""Hash: task id to sealed record."""
PURPOSE: Final = b"task"
"""What the seals of these records are for."""
PAGE: Final = 512
"""Fields of the hash asked for at once when tasks are listed, and commands of one round trip."""
_DIGEST: Final = 16
_DIGITS: Final = 15
"""Of a time in milliseconds. Of a few thousand Python reads no number, and of some hundred it makes no float."""
_SEEN_MS: Final = 86_400_000
"""The time of the last step is kept for a day, the longest that a task lives."""
_EXCHANGE: Final = b"""
if redis.call("HGET", KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call("HSET", KEYS[1], ARGV[1], ARGV[3])
return 1
"""
"""Two replicas that change one task at once must not undo what the other did: the later one looks again."""


class Commands(Protocol):
    """As much of the store as the book needs."""

    def command(self, key: bytes, *parts: bytes) -> Any:
        """Carry out one command, on the server of this key; raises StateUnavailableError."""

    def commands(self, commands: Sequence[Command]) -> list[Any]:
        """Carry out several in one round trip: one reply or StateUnavailableError for each, in order."""


class SharedTaskBook:
    """The book in the store.

    Args:
        store: carries out its commands.
        signer: of the control role; None where tasks are only seen at work.
        opener: of what it signed.
        tag: names the hash tag of an entity, 32 hexadecimal digits.
    """

    __slots__ = ("_listed", "_opener", "_signer", "_store", "_tag")

    def __init__(self, store: Commands, signer: Signer | None, opener: Opener, tag: Callable[[Entity], str]) -> None:
        self._listed: dict[bytes, tuple[bytes, TaskRecord]] = {}
        """Of the last listing, with digests of what was sealed: opening it anew each second would take more than a second."""
        self._store = store
        self._signer = signer
        self._opener = opener
        self._tag = tag

    def add(self, task: TaskRecord, now: float) -> None:
        """See `TaskBook`. The record comes first: a task that lives is one that can be ended.

        Raises:
            StateUnavailableError: `oom`, too many tasks are open; or the store does not answer.
        """
        if self._store.command(TASKS, b"HLEN", TASKS) >= MAX_TASKS:
            raise StateUnavailableError("oom")
        self._write(task)
        key = self._alive(task.id)
        life = max(1, int((task.deadline - now) * 1000))
        self._store.command(key, b"SET", key, b"1", b"PX", b"%d" % life)

    def replace(self, before: TaskRecord, task: TaskRecord, now: float) -> bool:
        """See `TaskBook`. Ended in between, the task has no key any more, and what is written here does not revive it."""
        name = task.id.encode()
        found = self._store.command(TASKS, b"HGET", TASKS, name)
        if self._read(found) != before or not self.is_alive(task.id, now):
            return False
        if not self._store.command(TASKS, b"EVAL", _EXCHANGE, b"1", TASKS, name, found, self._seal(task)):
            return False
        return self.is_alive(task.id, now)

    def end(self, task: TaskRecord) -> None:
        """See `TaskBook`. The key goes first: what was said to be over must not go on."""
        key = self._alive(task.id)
        self._store.command(key, b"DEL", key)
        self._write(task)

    def find(self, task_id: str, now: float) -> TaskRecord | None:
        """See `TaskBook`."""
        found = self._store.command(TASKS, b"HGET", TASKS, task_id.encode())
        task = self._read(found)
        if task is not None and task.id != task_id:
            return None  # a record under the name of another
        if task is not None and task.is_open and not self.is_alive(task_id, now):
            return task._replace(
                ended=min(now, task.deadline), ended_reason=LOST if now < task.deadline else "deadline"
            )
        return task

    def tasks(self, now: float) -> Sequence[TaskRecord]:
        """See `TaskBook`. What is over for long is taken out on the way."""
        cursor, found, stale = b"0", [], []
        before, listed = self._listed, dict[bytes, tuple[bytes, TaskRecord]]()
        while True:
            cursor, flat = self._store.command(TASKS, b"HSCAN", TASKS, cursor, b"COUNT", b"%d" % PAGE)
            for field, value in zip(flat[::2], flat[1::2], strict=True):
                digest = blake2b(value, digest_size=_DIGEST).digest()
                known = before.get(field)
                task = known[1] if known is not None and known[0] == digest else self._read(value)
                if task is None or is_over_long(task, now):
                    stale.append(field)
                elif field not in listed:  # a scan may name one twice
                    found.append(task)
                    listed[field] = digest, task
            if cursor in {b"0", 0} or len(found) > MAX_TASKS:
                break
        self._listed = listed
        if stale:
            self._store.command(TASKS, b"HDEL", TASKS, *stale[:PAGE])
        return found

    def is_alive(self, task_id: str, now: float) -> bool:  # noqa: ARG002 - the store's own clock ends it
        """See `TaskBook`."""
        key = self._alive(task_id)
        return self._store.command(key, b"GET", key) is not None

    def saw(self, task_ids: Sequence[str], now: float) -> None:
        """See `TaskBook`."""
        told = b"%d" % int(now * 1000)
        keys = [self._seen_key(task_id) for task_id in task_ids]
        self._ask([Command(key, (b"SET", key, told, b"PX", b"%d" % _SEEN_MS)) for key in keys])

    def seen(self, task_ids: Sequence[str]) -> Sequence[float]:
        """See `TaskBook`."""
        keys = [self._seen_key(task_id) for task_id in task_ids]
        found = self._ask([Command(key, (b"GET", key)) for key in keys])
        return [int(value) / 1000 if _is_time(value) else 0.0 for value in found]

    def _ask(self, commands: Sequence[Command]) -> list[Any]:
        """Carry out many commands, a page in each round trip: whoever asks follows beside it who is contained.

        What is no text is given as it comes: who may write there must not keep other tasks from being looked at.
        """
        replies: list[Any] = []
        for at in range(0, len(commands), PAGE):
            page = self._store.commands(commands[at : at + PAGE])
            for reply in page:
                if isinstance(reply, StateUnavailableError) and reply.code != "error_reply":
                    raise StateUnavailableError(reply.code, reply.sent)
            replies += page
        return replies

    def _seen_key(self, task_id: str) -> bytes:
        return self._key(task_id, b"s:seen")

    def _alive(self, task_id: str) -> bytes:
        return self._key(task_id, b"t")

    def _key(self, task_id: str, suffix: bytes) -> bytes:
        return b"az:{%b}:%b" % (self._tag(Entity("task", (task_id,))).encode(), suffix)

    def _write(self, task: TaskRecord) -> None:
        self._store.command(TASKS, b"HSET", TASKS, task.id.encode(), self._seal(task))

    def _seal(self, task: TaskRecord) -> bytes:
        if self._signer is None:
            raise StateUnavailableError("noperm")
        return self._signer.seal(PURPOSE, encode_task(task))

    def _read(self, value: Any) -> TaskRecord | None:
        """A sealed record; None for none, and for what somebody else wrote."""
        if not isinstance(value, bytes):
            return None
        try:
            return decode_task(self._opener.open(PURPOSE, value))
        except (DecodeError, SealError):
            return None


def _is_time(value: Any) -> bool:
    """Whether a reply is a time that `saw` could have written; any data replica may write there."""
    return isinstance(value, bytes) and value.isdigit() and len(value) <= _DIGITS
