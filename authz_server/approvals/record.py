"""What is asked and what was granted, and their form in the store: JSON, validated as strictly as a stranger's."""

from typing import Annotated, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from authz_server.errors import DecodeError

MAX_SEALED: Final = 16_384
"""Bytes of either."""
MAX_SHOWN: Final = 3072
"""Characters of the arguments that an approver can be shown: all of them or none, so that nothing is hidden behind the others."""
PENDING_S: Final = 3600.0
"""How long an ask waits for somebody; nobody answering is a refusal."""

_Id = Annotated[str, Field(pattern=r"^[0-9a-f]{32}\z")]
_Text = Annotated[str, Field(max_length=2048)]
_Texts = Annotated[tuple[_Text, ...], Field(max_length=32)]
_Time = Annotated[float, Field(ge=0, lt=1 << 40)]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


_R = TypeVar("_R", bound=_Record)


class AskedRule(_Record):
    """One rule whose challenge is to be lifted."""

    name: _Text
    reason: _Text
    groups: _Texts
    """`group:<name>` of those who may."""
    digest: _Text
    """What the rule says."""


class Ask(_Record):
    """A step that waits for an approval."""

    id: _Id
    principal: _Text
    lineage: tuple[_Text, _Text]
    parties: _Texts
    task: _Text
    """The template's name, or `""`."""
    task_id: _Text
    action: _Text
    destination: _Text
    method: _Text
    host: _Text
    path: _Text
    query: _Text
    body: _Text
    """What stands for the arguments; `""` where any will do."""
    size: Annotated[int, Field(ge=0, lt=1 << 31)]
    """Of the arguments, in bytes."""
    text: Annotated[str, Field(max_length=MAX_SHOWN)]
    """The arguments, as far as they can be shown."""
    rules: Annotated[tuple[AskedRule, ...], Field(max_length=32)]
    binds: Literal["arguments", "action"]
    uses: Annotated[int, Field(ge=1, le=100)]
    expires_s: Annotated[int, Field(ge=1, le=86_400)]
    """How long a grant holds."""
    asked: _Time
    """Unix time in seconds, as all times here."""
    until: _Time
    """Unless somebody grants it by then, it is denied."""


class Grant(_Record):
    """What became of an ask."""

    id: _Id
    """Of the ask."""
    key: _Id
    """Of this grant: what was spent of an earlier one says nothing about it."""
    state: Literal["approved", "denied"]
    rules: _Texts
    """Names of the rules whose challenge is lifted."""
    uses: Annotated[int, Field(ge=1, le=100)]
    at: _Time
    until: _Time
    authors: _Texts
    reason: _Text


def encode_record(record: Ask | Grant) -> bytes:
    """Write a record."""
    return record.model_dump_json().encode()


def decode_ask(data: bytes) -> Ask:
    """Read an ask.

    Raises:
        DecodeError: `approval_record`.
    """
    return _decode(Ask, data)


def decode_grant(data: bytes) -> Grant:
    """Read a grant.

    Raises:
        DecodeError: `approval_record`.
    """
    return _decode(Grant, data)


def _decode(kind: type[_R], data: bytes) -> _R:
    if len(data) > MAX_SEALED:
        raise DecodeError("approval_record")
    try:
        return kind.model_validate_json(data, strict=True)
    except ValidationError:
        raise DecodeError("approval_record") from None
