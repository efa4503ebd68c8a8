"""The task of a step: the token that its request carries, verified, bound to the caller, and of a task that is still open."""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final

from authz_server.model import TASK_ENDED, Invalid, Principal, Request, Task
from authz_server.task.binding import bound
from authz_server.task.token import TokenVerifier

HEADER: Final = "txn-token"
"""draft-ietf-oauth-transaction-tokens, section 8: the header that carries a token, once."""
MAX_SEEN: Final = 16_384
"""Tasks of which it is told that they are at work, each time; of more some look idle a while too early."""


def open_always(_task_id: str, _now: float) -> bool:
    """Yes: where the store is asked in the round trip of the step."""
    return True


class TokenTaskSource:
    """Reads task tokens; implements `TaskSource`. Threads share it.

    Args:
        verifier: of the moment; keys rotate.
        header: the lower-case name of the header.
        is_open: says of a task id, at a Unix time in seconds, whether the task is open, without I/O.
    """

    __slots__ = ("_header", "_is_open", "_seen", "_verifier")

    def __init__(
        self,
        verifier: Callable[[], TokenVerifier],
        header: str = HEADER,
        is_open: Callable[[str, float], bool] = open_always,
    ) -> None:
        self._verifier = verifier
        self._header = header
        self._is_open = is_open
        self._seen: set[str] = set()

    def take_seen(self) -> list[str]:
        """The tasks under which steps were made since the last call."""
        seen, self._seen = self._seen, set()
        return sorted(seen)

    def give_back(self, seen: Iterable[str]) -> None:
        """Take tasks back that nobody could be told of, to be taken with the next ones."""
        self._seen.update(islice(seen, MAX_SEEN))

    def task_of(
        self, request: Request, principal: Principal | None, now: float, jkt: str = ""
    ) -> Task | Invalid | None:
        """The task of a request, None without a token, Invalid with the reason for one that does not hold.

        Args:
            request: decoded.
            principal: who makes the step; None for anonymous.
            now: Unix time in seconds.
            jkt: thumbprint of the key of a verified proof in the request; `""` without one.
        """
        text = request.headers.get(self._header)
        if text is None:
            return None
        if self._header in request.repeated:
            return Invalid("token_repeated")
        claims = self._verifier().verify(text, now)
        if isinstance(claims, Invalid):
            return claims
        fault = bound(claims, principal, None, jkt)
        if fault:
            return Invalid(fault)
        if not self._is_open(claims.txn, now):
            return Invalid(TASK_ENDED)
        if len(self._seen) < MAX_SEEN:
            self._seen.add(claims.txn)
        return claims.as_task()
