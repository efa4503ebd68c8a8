"""Mints the credential of one allowed step: a token that only its destination takes, for a minute at most.

The token is a JWT access token (RFC 9068) that names the caller as its subject and, where the step is made under a task, the
task and the agent that acts (RFC 8693, section 4.1). It is used again for steps of the same caller, task and destination
while half of its life is left. Neither it nor a fixed secret is ever logged or recorded.
"""

from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any, Final, Protocol

from authz_server.minting.secrets import StaticSecrets
from authz_server.model import Task
from authz_server.verdict import Injected

TYPE: Final = "at+jwt"
"""RFC 9068, section 2.1."""
MAX_MINTED: Final = 4096
"""Tokens kept for further steps: callers times destinations of a busy proxy; about 4 MB."""
BEARER: Final = "authorization"
"""The header whose value has a scheme in front of the token (RFC 6750, section 2.1)."""


class Sign(Protocol):
    """Signs claims with the deployment's present key."""

    def __call__(self, claims: Mapping[str, Any], typ: str) -> str:
        """Give the compact token whose header carries this `typ`."""


class Minter:
    """Makes the values of injected headers. Threads share it.

    Args:
        sign: signs tokens.
        issuer: the `iss` of tokens.
        new_id: a fresh `jti` each time.
        secrets: of destinations that know no tokens.
    """

    __slots__ = ("_issuer", "_lock", "_minted", "_new_id", "_secrets", "_sign")

    def __init__(self, sign: Sign, issuer: str, new_id: Callable[[], str], secrets: StaticSecrets) -> None:
        self._sign = sign
        self._issuer = issuer
        self._new_id = new_id
        self._secrets = secrets
        self._minted: dict[tuple[str, str, int, str, str], tuple[str, int]] = {}
        self._lock = Lock()

    def mint(self, injected: Injected, principal: str, task: Task | None, now: float) -> str:
        """Give the header's value for one allowed step.

        Args:
            injected: header, audience and life.
            principal: who makes the step.
            task: under which, if any.
            now: Unix time in seconds.

        Returns:
            The value, or `""` when there is none to be had: the step must then be denied.
        """
        if injected.audience in self._secrets:
            return self._secrets.value(injected.audience)
        key = (injected.header, injected.audience, injected.ttl_s, principal, task.id if task is not None else "")
        value, half = self._minted.get(key, ("", 0))
        if value and now < half:
            return value
        issued = int(now)
        token = self._sign(self._claims(injected, principal, task, issued), TYPE)
        value = f"Bearer {token}" if injected.header == BEARER else token
        with self._lock:
            if len(self._minted) >= MAX_MINTED:
                self._minted.clear()
            self._minted[key] = (value, issued + injected.ttl_s // 2)
        return value

    def _claims(self, injected: Injected, principal: str, task: Task | None, issued: int) -> dict[str, Any]:
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "aud": injected.audience,
            "sub": principal,
            "client_id": principal,
            "iat": issued,
            "exp": issued + injected.ttl_s,
            "jti": self._new_id(),
        }
        if task is not None:
            claims |= {"sub": task.originator or principal, "txn": task.id, "act": {"sub": principal}}
        return claims
