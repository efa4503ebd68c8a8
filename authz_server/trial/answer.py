"""What the bytes of an answer say to the proxy: the status that the caller gets, and the headers that are set."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from authz_server.envoy.wire import CheckResponse

_ALLOWED: Final = 200
"""The request goes on; what the caller gets is the destination's answer."""


class Answer(NamedTuple):
    """One answer."""

    status: int
    """HTTP status of the refusal; 200 when the request goes on."""
    headers: Mapping[str, str]
    """By lower-case name: of the refusal, or those that the destination gets."""
    body: str


def decode_answer(data: bytes) -> Answer:
    """Read the bytes of a CheckResponse that this server made."""
    message = CheckResponse.FromString(data)
    denied = message.status.code != 0
    part = message.denied_response if denied else message.ok_response
    return Answer(
        status=int(message.denied_response.status.code) if denied else _ALLOWED,
        headers={option.header.key.lower(): _value(option.header) for option in part.headers},
        body=str(message.denied_response.body) if denied else "",
    )


def _value(header: object) -> str:
    """Envoy has two fields for a value, of which one is filled."""
    raw: bytes = getattr(header, "raw_value", b"")
    return raw.decode("utf-8", "replace") if raw else str(getattr(header, "value", ""))
