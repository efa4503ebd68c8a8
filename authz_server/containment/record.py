"""A record: the control plane's statement that an entity is contained, or is no longer.

Written as canonical JSON (RFC 8259): sorted members, no white space, times as whole milliseconds. There is one text for
each record, and any other is refused, so that nobody can sign one meaning and read another.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, NoReturn

from authz_server.errors import AuthzError
from authz_server.model import Containment, Entity

CONTAIN: Final = "contain"
RELEASE: Final = "release"

AUTOMATIC: Final = "rules"
"""The author of what rules contain; behind an `@` the replica that asked for it."""

PARTS: Final[Mapping[str, int]] = {
    "principal": 1,
    "instance": 2,
    "pair": 2,
    "destination": 2,
    "task": 1,
    "lineage": 2,
    "credential": 1,
    "source": 1,
}
"""The types of entities that can be contained, and of how many parts each is made."""

MAX_PART: Final = 2048
"""Characters of a part of an entity, of an author and of who asked for a release: as long as a SPIFFE ID may be."""
MAX_RULE: Final = 256
"""Characters of a rule's name."""
MAX_REASON: Final = 512
"""Characters of a reason: a sentence and the number of an incident."""
MAX_RECORD: Final = 16_384
"""Bytes of a whole record: two SPIFFE IDs of the greatest length, two authors and the texts, with room for escapes."""
MAX_TIME_MS: Final = 1 << 43
"""The year 2248: times and versions stay far below 2^53, where the doubles of Lua and JSON are exact."""

FOREVER: Final = MAX_TIME_MS / 1000
"""The end of what lasts until somebody releases it (Unix seconds)."""

_FORMAT: Final = 1
_ID: Final = re.compile(r"[0-9a-f]{32}")
_MEMBERS: Final = frozenset({
    "v", "id", "kind", "entity", "until", "version", "rule", "reason", "author", "since", "critical", "asked_by", "keep",
})  # fmt: skip


class RecordError(AuthzError):
    """A record that cannot be written, or a text that is none; says which member is at fault."""


class Record(NamedTuple):
    """One statement about one entity; of two the one with the higher version holds."""

    id: str
    """32 hexadecimal digits."""
    kind: str
    """`contain` or `release`."""
    entity: Entity
    until: float
    """Of a containment its end, of a release when it may be forgotten (Unix seconds, whole milliseconds)."""
    version: int
    """Unix time in milliseconds at which it was made; grows strictly for each entity."""
    rule: str
    """The rule that caused it; `""` for an operator's act."""
    reason: str
    author: str
    """The operator's SPIFFE ID, `local`, or `rules`."""
    since: float
    """Since when the entity is contained without a break (Unix seconds)."""
    critical: bool = False
    """It takes two operators to release it."""
    asked_by: str = ""
    """Who asked for the release of a critical one; it stays contained until another operator releases it too."""
    keep: float = 0.0
    """The latest end that any record of this entity had (Unix seconds). It is remembered until then, so that an older
    and longer record, which somebody kept, does not come back to life once this one has ended."""

    @property
    def end(self) -> float:
        """When it may be forgotten (Unix seconds)."""
        return max(self.until, self.keep)

    def released_since(self, moment: float) -> bool:
        """Whether it releases, and was made at `moment` (Unix seconds) or after it."""
        return self.kind == RELEASE and self.version / 1000 >= moment

    def contains(self, now: float) -> bool:
        """Say whether the entity is contained by it at `now` (Unix seconds)."""
        return self.kind == CONTAIN and self.until > now

    @property
    def is_automatic(self) -> bool:
        """Whether rules caused it, and no operator."""
        return self.author == AUTOMATIC or self.author.startswith(f"{AUTOMATIC}@")

    @property
    def containment(self) -> Containment:
        """What decisions enforce; an operator's act goes by the name `operator`."""
        return Containment(self.entity, self.until, self.rule or "operator")


def whole_ms(seconds: float) -> float:
    """Round to whole milliseconds, as records carry times."""
    return round(seconds * 1000) / 1000


def encode_record(record: Record) -> bytes:
    """Write a record.

    Raises:
        RecordError: a member is out of bounds.
    """
    _check(record)
    members = {
        "v": _FORMAT,
        **record._asdict(),
        "entity": [record.entity.type, *record.entity.parts],
        **{name: round(getattr(record, name) * 1000) for name in ("until", "since", "keep")},
    }
    try:
        text = json.dumps(members, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        raise RecordError("a text of the record has no UTF-8 form") from None
    if len(text) > MAX_RECORD:
        raise RecordError(f"a record has at most {MAX_RECORD} bytes, this one {len(text)}")
    return text


def decode_record(text: bytes) -> Record:
    """Read a record.

    Raises:
        RecordError: the text is not the canonical form of one.
    """
    if len(text) > MAX_RECORD:
        raise RecordError(f"a record has at most {MAX_RECORD} bytes, this one {len(text)}")
    try:
        members = json.loads(text.decode(), parse_float=_refuse, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise RecordError("not JSON") from None
    if not isinstance(members, dict) or members.keys() != _MEMBERS or members.pop("v") != _FORMAT:
        raise RecordError("not the members of a record of this version")
    record = Record(**members | {"entity": decode_entity(members["entity"])} | _times(members))
    if encode_record(record) != text:
        raise RecordError("not in the canonical form")
    return record


def decode_entity(value: Any) -> Entity:
    """Read an entity from a list of its type and parts.

    Raises:
        RecordError: it is none that can be contained.
    """
    if not isinstance(value, list) or not all(isinstance(part, str) for part in value) or not value:
        raise RecordError("entity is not a list of texts")
    entity = Entity(value[0], tuple(value[1:]))
    check_entity(entity)
    return entity


def check_entity(entity: Entity) -> None:
    """Check the shape of an entity, not what its parts say.

    Raises:
        RecordError: it is none that can be contained.
    """
    if PARTS.get(entity.type) != len(entity.parts):
        raise RecordError("entity is of no type that can be contained, or has another number of parts")
    if max(map(len, entity.parts)) > MAX_PART:
        raise RecordError(f"a part of entity has more than {MAX_PART} characters")


def _times(members: Mapping[str, Any]) -> dict[str, float]:
    times = {}
    for name in ("until", "since", "keep"):
        if type(members[name]) is not int or not 0 <= members[name] <= MAX_TIME_MS:
            raise RecordError(f"{name} is not a time")
        times[name] = members[name] / 1000
    return times


def _check(record: Record) -> None:
    if type(record.id) is not str or _ID.fullmatch(record.id) is None:
        raise RecordError("id is not 32 hexadecimal digits")
    if record.kind not in {CONTAIN, RELEASE}:
        raise RecordError("kind is neither `contain` nor `release`")
    check_entity(record.entity)
    if type(record.version) is not int or not 0 < record.version <= MAX_TIME_MS:
        raise RecordError("version is not a time")
    if type(record.critical) is not bool:
        raise RecordError("critical is not true or false")
    texts = (
        (record.rule, MAX_RULE),
        (record.reason, MAX_REASON),
        (record.author, MAX_PART),
        (record.asked_by, MAX_PART),
    )
    if not all(type(text) is str and len(text) <= most for text, most in texts):
        raise RecordError("a text of the record is none, or too long")
    if not all(0 <= time <= MAX_TIME_MS / 1000 for time in (record.until, record.since, record.keep)):
        raise RecordError("a time of the record is out of bounds")


def _refuse(_: str) -> NoReturn:
    raise ValueError
