"""Signed tokens in compact form (JWS, RFC 7515 section 7.1), taken apart so that one token has one spelling.

Libraries differ in what they forgive: padding, blanks, unused bits, header members that point to keys. Here nothing is
forgiven, and nothing behind the header is decoded before a key for it is known. Signatures themselves are made and
verified by joserfc, in `keypair.py`.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from typing import Final, NamedTuple

from authz_server.content.json_strict import JsonValue, parse_json
from authz_server.errors import DecodeError

MAX_TOKEN: Final = 8192
"""Characters of a token: what proxies forward in one header without being told to; a task token has about 1 000."""
MAX_HEADER: Final = 2048
"""Characters of the encoded header: an RSA key of 4096 bits in it takes 1 000, everything else less."""
MAX_SIGNATURE: Final = 683
"""Characters of the encoded signature: RSA with 4096 bits."""

_COMPACT: Final = re.compile(
    rf"([A-Za-z0-9_-]{{1,{MAX_HEADER}}})\.([A-Za-z0-9_-]{{1,{MAX_TOKEN}}})\.([A-Za-z0-9_-]{{1,{MAX_SIGNATURE}}})"
)
_FOREIGN_KEYS: Final = frozenset({"jku", "x5u", "x5c", "x5t", "x5t#S256"})
"""Header members that name a key in a way of their own (RFC 7515 4.1.2, 4.1.5 to 4.1.8)."""


class Jws(NamedTuple):
    """A token taken apart; nothing in it is verified."""

    header: str
    """Still encoded."""
    payload: str
    """Still encoded."""
    signature: str
    """Still encoded."""

    @property
    def signed(self) -> bytes:
        """What the signature is about (RFC 7515 5.1, step 5)."""
        return f"{self.header}.{self.payload}".encode("ascii")


def split_jws(text: str) -> Jws:
    """Take a token apart.

    Raises:
        DecodeError: `too_large`, or `malformed` for everything that is not three parts in the alphabet of base64url:
            blanks, line ends, padding, a dot too many, an unsigned token's empty third part.
    """
    if len(text) > MAX_TOKEN:
        raise DecodeError("too_large")
    found = _COMPACT.fullmatch(text)
    if found is None:
        raise DecodeError("malformed")
    return Jws(found[1], found[2], found[3])


def decode_part(part: str) -> bytes:
    """Decode base64url (RFC 4648 section 5) without padding.

    Raises:
        DecodeError: `base64` for other characters, a length that no bytes have, or set bits that stand for nothing
            (RFC 4648 3.5).
    """
    try:
        raw = urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        raise DecodeError("base64") from None
    if encode_part(raw) != part:  # the decoder passes over what it does not know
        raise DecodeError("base64")
    return raw


def encode_part(raw: bytes) -> str:
    """Encode as base64url without padding."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def digest_of(text: str) -> str:
    """SHA-256 of an ASCII token as base64url: what `ath`, `wth` and `tth` hold.

    Raises:
        DecodeError: `malformed` for other characters, which no token has.
    """
    if not text.isascii():
        raise DecodeError("malformed")
    return encode_part(sha256(text.encode("ascii")).digest())


def read_object(part: str) -> dict[str, JsonValue]:
    """Decode one part of a token that is a JSON object.

    Raises:
        DecodeError: `base64`, `not_an_object`, or a code of `parse_json`, such as `json_duplicate_key`.
    """
    value = parse_json(decode_part(part))
    if not isinstance(value, dict):
        raise DecodeError("not_an_object")
    return value


def check_header(header: dict[str, JsonValue], typ: str, members: frozenset[str]) -> None:
    """Check what a header says apart from its algorithm and its key.

    Args:
        header: decoded.
        typ: the one media type that is meant, exactly so spelt.
        members: of the header: these and no others.

    Raises:
        DecodeError: `crit` for extensions that would have to be understood, `foreign_key` for a key that the token
            brings or points to itself, `typ`, or `header` for members too many or too few.
    """
    if "crit" in header or "b64" in header:
        raise DecodeError("crit")
    if not _FOREIGN_KEYS.isdisjoint(header) or ("jwk" in header and "jwk" not in members):
        raise DecodeError("foreign_key")
    if header.get("typ") != typ:
        raise DecodeError("typ")
    if header.keys() != members:
        raise DecodeError("header")
