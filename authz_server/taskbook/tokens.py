"""The tokens of tasks: what the book says of a task and one of its agents, signed for a few minutes."""

from collections.abc import Callable
from typing import Final, NamedTuple

from authz_server.model import Invalid
from authz_server.task.claims import BY_SPIFFE, Confirmation, TaskClaims
from authz_server.task.keypair import SigningKey
from authz_server.task.token import TokenVerifier, issue
from authz_server.taskbook.ports import Grant
from authz_server.taskbook.record import Member, TaskRecord

TOKEN_LIFE_S: Final = 300.0
"""Unless configured: how long a token lasts that nobody replaces."""


class TokenSettings(NamedTuple):
    """Whose tokens they are."""

    issuer: str
    """`iss`."""
    audience: str
    """`aud`: the trust domain."""
    life_s: float = TOKEN_LIFE_S


class TaskTokens:
    """Issues and reads tokens. Threads share it.

    Args:
        settings: whose tokens they are.
        key: the key to sign with at a time (Unix seconds).
        verifier: of the moment; keys rotate.
        new_id: a fresh `jti` each time.
    """

    __slots__ = ("_key", "_new_id", "_settings", "_verifier")

    def __init__(
        self,
        settings: TokenSettings,
        key: Callable[[float], SigningKey],
        verifier: Callable[[], TokenVerifier],
        new_id: Callable[[], str],
    ) -> None:
        self._settings = settings
        self._key = key
        self._verifier = verifier
        self._new_id = new_id

    def issue(self, task: TaskRecord, agent: Member, now: float) -> tuple[str, float]:
        """See `Tokens`. It never outlives its task."""
        issued, deadline = int(now), int(task.deadline)
        expires = max(issued + 1, min(issued + int(self._settings.life_s), deadline))
        claims = TaskClaims(
            issuer=self._settings.issuer,
            audience=self._settings.audience,
            txn=task.id,
            jti=self._new_id(),
            subject=task.originator,
            issued=issued,
            expires=expires,
            req_wl=task.opened_by,
            agents=task.chain(agent),
            confirmation=Confirmation(BY_SPIFFE, agent.agent),
            template=task.template,
            opener=task.issuer,
            originator=task.originator,
            deadline=max(deadline, expires),
            actions=task.actions,
            steps=task.steps,
            purpose=task.purpose[:256],
            generation=task.generation,
            context=task.context,
        )
        return issue(claims, self._key(now)), float(expires)

    def read(self, text: str, now: float) -> Grant | Invalid:
        """See `Tokens`."""
        claims = self._verifier().verify(text, now)
        if isinstance(claims, Invalid):
            return claims
        return Grant(claims.txn, claims.agent, claims.depth, float(claims.expires))
