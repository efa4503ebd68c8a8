"""Secrets, keys, and what is signed with them."""

from typing import Final

from pydantic import Field, field_validator

from authz_server.config.base import Section
from authz_server.config.values import Duration, FilePath, IssuerUrl

MAX_RECORD_KEYS: Final = 8
"""The present key, the next one, and those of a few regions."""
MIN_TOKEN_LIFE_S: Final = 10.0
MAX_TOKEN_LIFE_S: Final = 900.0
"""Minutes, as the draft of transaction tokens asks: how long a stolen one is of use at most."""


class Secrets(Section):
    """Files with secrets and keys; read once at the start."""

    hash_key: FilePath | None = None
    record_key: FilePath | None = None
    """PEM of the Ed25519 key that signs containments (PKCS #8); the roles `all` and `control` read it."""
    record_public_keys: tuple[FilePath, ...] = Field(default=(), max_length=MAX_RECORD_KEYS)
    """PEM of the Ed25519 keys whose containments are believed, beside the one that belongs to `record_key`."""
    signing_keys: FilePath | None = None
    """Directory with the private keys of tokens, one PEM in each `*.pem`; the roles `all` and `control` read it."""


class TaskConfig(Section):
    """Tokens of declared work."""

    audience: str = Field(default="", max_length=255, pattern=r"^[a-z0-9._-]*$")
    """The trust domain that they are for; `""` for the first one of `trust.domains`."""
    issuer: IssuerUrl = Field(default="", max_length=255)
    """`iss`, an https URL; `""` for https://authz. and the audience."""
    token_life: Duration = 300.0
    kubernetes: bool = False
    """End tasks with the last pod of their agents; the control role watches pods with its own service account."""
    header: str = Field(default="txn-token", pattern=r"^[a-z0-9-]{1,64}$")

    @field_validator("token_life")
    @classmethod
    def _lives_for_minutes(cls, seconds: float) -> float:
        if not MIN_TOKEN_LIFE_S <= seconds <= MAX_TOKEN_LIFE_S:
            raise ValueError("a token lives for 10s to 15m; who needs more replaces it")
        return seconds


class InjectedSecret(Section):
    """The secret of a destination that knows no tokens."""

    secret: FilePath
    scheme: str = Field(default="", pattern=r"^[A-Za-z][A-Za-z0-9-]{0,31}$|^$")
    """Stands in front of it in the header, such as `Bearer`."""
