"""What a caller presents as a secret, and how it becomes a `Credential` without the secret leaving this file.

One secret must have one identity however it is spelled, or a thief mints a fresh one with each request. Proxies and
upstreams accept `bearer`, `Bearer` and several blanks alike, and Envoy joins two `Authorization` lines into one value
with a comma, so the grammar here is the strict one of RFC 9110 11.4 and everything beside it is refused:

- `scheme SP token68` with exactly one blank; the scheme is compared without case.
- basic (RFC 7617): canonical base64 of `user:password` without control characters.
- other schemes: padding (`=`) at the end is not part of the secret. A JSON Web Token (RFC 7519) is known by its signing
  input, header and payload: a signature can be re-encoded, or be random, without the token becoming another one. An
  encrypted one (RFC 7516) is known by its canonically encoded parts.
- a header without schemes, such as `x-api-key`: visible ASCII without a comma.

An `authorization` of a scheme that is not configured yields no credential, but must fit `scheme SP token68` or
`scheme SP name=value, …` (RFC 9110 11.2) with neither commas nor blanks where the second of two joined lines could hide.
"""

import re
from base64 import b64decode, b64encode, urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from typing import NamedTuple

from authz_server.errors import DecodeError
from authz_server.keyhash import KeyedHash
from authz_server.model import Credential

MAX_CREDENTIAL = 16384
"""Characters of one credential header: larger than any token that servers accept, and hashed for each step."""

_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"  # noqa: S105 - RFC 9110 5.6.2, not a secret
_TOKEN68 = re.compile(rf"({_TOKEN}) ([A-Za-z0-9._~+/-]+=*)")
_PARAMETER = rf"""{_TOKEN}=(?:[^\s,"=\x00-\x20\x7f][^\s,"\x00-\x20\x7f]*|"[^,"\\\x00-\x1f\x7f]*")"""
_PARAMETERS = re.compile(rf"({_TOKEN}) {_PARAMETER}(?:, ?{_PARAMETER})*")
_WHOLE_VALUE = re.compile(r"[!-+\--~]+")
_JWS_DOTS = 2
_JWE_DOTS = 4
"""Of the compact serialisations (RFC 7515 7.1, RFC 7516 7.1)."""
_USER_PASS = re.compile(rb"[^:\x00-\x1f\x7f]*:[^\x00-\x1f\x7f]*")
_FIELD_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,64}")
_SCHEME = re.compile(_TOKEN)


class CredentialSource(NamedTuple):
    """A request header that carries a credential."""

    header: str
    """Its name, lower-case."""
    schemes: tuple[str, ...] = ()
    """Authentication schemes, such as `bearer`; empty when the whole value is the credential, as in `x-api-key`."""


def checked_sources(sources: tuple[CredentialSource, ...]) -> tuple[CredentialSource, ...]:
    """Bring the configured sources into lower-case and check them.

    Raises:
        ValueError: a name or a scheme is no token, or a header is listed twice.
    """
    checked = tuple(
        CredentialSource(source.header.lower(), tuple(scheme.lower() for scheme in source.schemes))
        for source in sources
    )
    for source in checked:
        if _FIELD_NAME.fullmatch(source.header) is None:
            raise ValueError("the header of a credential source is a lower-case token of at most 64 characters")
        if not all(map(_SCHEME.fullmatch, source.schemes)):
            raise ValueError(f"a scheme of the credential source {source.header} is not a token")
    if len({source.header for source in checked}) != len(checked):
        raise ValueError("a credential source is listed twice")
    return checked


def read_credential(source: CredentialSource, value: str, keyed: KeyedHash) -> Credential | None:
    """Read one credential header.

    Returns:
        The credential, or None for a well-formed value of a scheme that the source does not list.

    Raises:
        DecodeError: `credential_too_long`, `credential_malformed` or `basic_not_canonical`.
    """
    if len(value) > MAX_CREDENTIAL:
        raise DecodeError("credential_too_long")
    if not source.schemes:
        if _WHOLE_VALUE.fullmatch(value) is None:
            raise DecodeError("credential_malformed")
        return Credential(source.header, keyed.hex((source.header, value)))
    match = _TOKEN68.fullmatch(value)
    if match is None:
        other = _PARAMETERS.fullmatch(value)
        if other is None or other[1].lower() in source.schemes:
            raise DecodeError("credential_malformed")
        return None
    scheme = match[1].lower()
    if scheme not in source.schemes:
        return None
    secret = match[2]
    if scheme == "basic":
        _check_basic(secret)
    else:
        secret = _identity(secret)
    return Credential(scheme, keyed.hex((scheme, secret)))


def check_authorization(value: str) -> None:
    """Check an `authorization` header that no source reads: it must still be one header line, not two joined ones.

    Raises:
        DecodeError: `credential_too_long` or `credential_malformed`.
    """
    if len(value) > MAX_CREDENTIAL:
        raise DecodeError("credential_too_long")
    if _TOKEN68.fullmatch(value) is None and _PARAMETERS.fullmatch(value) is None:
        raise DecodeError("credential_malformed")


def _check_basic(secret: str) -> None:
    try:
        decoded = b64decode(secret, validate=True)
    except Base64Error:
        raise DecodeError("basic_not_canonical") from None
    if b64encode(decoded).decode("ascii") != secret:  # unused bits of the last digit may differ (RFC 4648 3.5)
        raise DecodeError("basic_not_canonical")
    if _USER_PASS.fullmatch(decoded) is None:
        raise DecodeError("credential_malformed")


def _identity(secret: str) -> str:
    """Give the part of a token that makes it this token."""
    bare = secret.rstrip("=")
    dots = bare.count(".")
    if dots not in {_JWS_DOTS, _JWE_DOTS}:
        return bare
    parts = bare.split(".")
    if not _is_json_object(parts[0]):
        return bare
    if dots == _JWS_DOTS:
        return f"{parts[0]}.{parts[1]}"
    return ".".join([parts[0], *map(_canonical_base64url, parts[1:])])


def _is_json_object(header: str) -> bool:
    """Tell a JOSE header from the first part of some other dotted token, whose last part may be the secret one."""
    if header.startswith("eyJ"):  # `{"`
        return True
    try:
        text = urlsafe_b64decode(header + "=" * (-len(header) % 4))
    except Base64Error:
        return False
    return text.lstrip(b" \t\r\n").startswith(b"{")


def _canonical_base64url(part: str) -> str:
    """Clear the unused bits of the last digit, which decoders ignore (RFC 4648 3.5)."""
    try:
        return urlsafe_b64encode(urlsafe_b64decode(part + "=" * (-len(part) % 4))).decode("ascii").rstrip("=")
    except Base64Error:
        return part
