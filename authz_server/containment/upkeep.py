"""What the control plane does all the time: sets flags right, forgets what has ended, removes what is no record."""

from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Final, TypeGuard

from authz_server.containment.feed import Feed
from authz_server.containment.held import MAX_VALUE, Commands, Held, check_meta
from authz_server.containment.publisher import flag_command, flag_value
from authz_server.containment.record import RELEASE, Record
from authz_server.containment.registry import Registry
from authz_server.errors import StateUnavailableError
from authz_server.keyhash import KeyedHash
from authz_server.state.keys import Keys
from authz_server.state.names import HELD
from authz_server.state.network import Command

RUN_S: Final = 1.0
"""How often `run` is called."""
ROUND_S: Final = 30.0
"""All flags are looked at once in this time, or as fast as `SLICE` allows."""
SLICE: Final = 256
"""Flags looked at in one run: one round trip. With 7 680 records a round still takes `ROUND_S`."""
REMOVED: Final = 512
"""Values removed in one run, beside the page that is looked through for oversized ones."""

_TIDY: Final = (files("authz_server.containment") / "tidy.lua").read_bytes()


class Upkeep:
    """Keeps what is stored about containment right. One thread runs it, that of the feed or another.

    Args:
        store: where the records and flags are.
        keyed: the hash of the deployment.
        keys: names entities in the store.
        registry: of this replica.
        feed: knows what is no record, and whether all records were read.
        clock: Unix seconds.
        monotonic: seconds.

    Attributes:
        mended: flags that were set or removed.
        removed: values that were removed.
        mismatch: `state_mismatch` when the store belongs to replicas with another secret; then nothing is touched.
    """

    def __init__(
        self,
        store: Commands,
        keyed: KeyedHash,
        keys: Keys,
        registry: Registry,
        feed: Feed,
        *,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._store = store
        self._keyed = keyed
        self._keys = keys
        self._registry = registry
        self._feed = feed
        self._clock = clock
        self._monotonic = monotonic
        self._round: list[Held] = []
        self._round_at = monotonic()
        self._cursor = b"0"
        self.mended = 0
        self.removed = 0
        self.mismatch = ""

    def run(self) -> None:
        """Do one slice of each; called every `RUN_S` seconds.

        Raises:
            StateUnavailableError: the store did not answer; the next run goes on.
        """
        self.mismatch = check_meta(self._store, self._keyed, mark=True)
        if self.mismatch:
            return
        self._tidy()
        if self._feed.ready:
            self._mend_flags()

    def _mend_flags(self) -> None:
        if not self._round:
            if self._monotonic() < self._round_at:
                return
            self._round_at = self._monotonic() + ROUND_S
            self._round = self._registry.all()
        held, now = self._round[-SLICE:], self._clock()
        asked = [self._keys.flag(each.record.entity) for each in held]
        values = self._ask([Command(key, (b"GET", key)) for key in asked])
        wrong = []
        for each, value in zip(held, values, strict=True):
            # The newest word about the entity may be newer than this round.
            record = self._registry.find(each.record.entity)
            if record is not None and not _is_unknown(value) and _is_wrong(record, value, now):
                wrong.append(flag_command(self._keys, record, now))
        if wrong:
            self._ask(wrong)
            self.mended += len(wrong)
        del self._round[-SLICE:]

    def _tidy(self) -> None:
        found: list[bytes] = []
        while self._feed.spoilt and len(found) < 2 * REMOVED:
            found.extend(self._feed.spoilt.popleft())
        reply = self._store.command(HELD, b"EVAL", _TIDY, b"1", HELD, self._cursor, b"%d" % MAX_VALUE, *found)
        match reply:
            case [bytes() as cursor, int() as removed] if cursor.isdigit():
                self._cursor = cursor
                self.removed += removed
            case _:
                raise StateUnavailableError("protocol")

    def _ask(self, commands: Sequence[Command]) -> list[object]:
        """Ask, and do the slice again where nothing answers; what a node of a cluster keeps back waits for the next round."""
        replies = self._store.commands(list(commands)) if commands else []
        failures = [reply for reply in replies if _is_unknown(reply)]
        if failures and len(failures) == len(replies):
            raise failures[0]
        return replies


def _is_unknown(reply: object) -> TypeGuard[StateUnavailableError]:
    """Whether it was not said what is there; a value of another type is no flag."""
    return isinstance(reply, StateUnavailableError) and reply.code != "error_reply"


def _is_wrong(record: Record, value: object, now: float) -> bool:
    """Whether a flag says something else than the record; that of a containment which has ended goes by itself."""
    if record.kind == RELEASE:
        return value is not None
    return record.contains(now) and value != flag_value(record)
