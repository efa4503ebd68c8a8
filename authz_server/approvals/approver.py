"""The engine's side of approvals: finds what lifts a challenge, spends it, or asks for it.

An approval is spent only when the step is allowed in the end, in the store and once: the reservation carries the step's
fingerprint, so that Envoy's repeat of the same check passes with it and nothing else does.
"""

from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import Final

from authz_server.approvals.asking import describe
from authz_server.approvals.binding import Bound, Challenged, approval_id, bound_of
from authz_server.approvals.record import Ask, Grant
from authz_server.approvals.shelf import Shelf
from authz_server.errors import StateUnavailableError
from authz_server.keyhash import KeyedHash
from authz_server.model import Entity
from authz_server.pdp import Decided
from authz_server.signals import Hit, Measurement, Readings, Signal, SignalKind
from authz_server.state.base import Store
from authz_server.verdict import Decision

MAX_QUEUED: Final = 1024
"""Asks that wait to be sent; beyond it new ones are not asked, which denies."""
REMEMBERED: Final = 4096
"""Asks that were sent lately: a caller that tries again and again asks once."""
AGAIN_S: Final = 30.0
"""After which an ask that nobody has answered is sent again: it may have been lost."""
WINDOW_MS: Final = 2 * 86_400_000
"""What was spent is remembered for longer than any grant lasts."""
_SPENT: Final = "a9970a1d"
"""Id of the signal in which grants are spent."""

Redo = Callable[[frozenset[str]], Decided]
"""Decides the step again with the challenges of these rules lifted."""


class Approver:
    """Lifts challenges. Threads share it.

    Args:
        keyed: names approvals.
        shelf: where grants lie.
        store: where they are spent.
        post: brings an ask to those who take it; raises StateUnavailableError.
    """

    __slots__ = ("_keyed", "_post", "_queue", "_sending", "_sent", "_shelf", "_store")

    def __init__(self, keyed: KeyedHash, shelf: Shelf, store: Store, post: Callable[[Ask], object]) -> None:
        self._keyed = keyed
        self._post = post
        self._shelf = shelf
        self._store = store
        self._queue: deque[Ask] = deque()
        self._sending = Lock()
        self._sent: dict[str, float] = {}

    def lift(self, challenged: Challenged, mark: bytes, now: float, redo: Redo) -> tuple[Decided | None, str]:
        """Lift the challenge of a step, if that was approved.

        Args:
            challenged: the step.
            mark: its fingerprint: what only its repeat shares.
            now: Unix time in seconds.
            redo: decides it again.

        Returns:
            The decision that an approval brought about, or None where the challenge stands; and the approval's id, `""` when
            none can be had.
        """
        bound = bound_of(challenged)
        if bound is None:
            return None, ""
        name = approval_id(self._keyed, bound)
        try:
            grant = self._shelf.find(name, now)
        except StateUnavailableError:
            return None, name
        if grant is None:
            self._ask(name, challenged, bound, now)
            return None, name
        if grant.state != "approved":
            return None, name
        decided = redo(frozenset(grant.rules))
        if decided.verdict.decision is not Decision.ALLOW:
            if decided.verdict.decision is Decision.CHALLENGE:  # others have to agree, too
                self._ask(name, challenged, bound, now)
            return None, name
        if self._spend(grant, mark):
            return decided, name
        self._ask(name, challenged, bound, now)  # used up: somebody may grant it once more
        return None, name

    def flush(self) -> None:
        """Send what waits to be asked; what fails is tried again the next time. Then nobody else is sending either."""
        # The engine's tick and whoever asks over HTTP: one of them would take out what the other has not sent.
        with self._sending:
            while self._queue:
                try:
                    self._post(self._queue[0])
                except StateUnavailableError:
                    return
                self._queue.popleft()

    def _spend(self, grant: Grant, mark: bytes) -> bool:
        signal = Signal("approval", _SPENT, SignalKind.BUDGET, WINDOW_MS, cap=grant.uses)
        hit = Hit(signal, Entity("approval", (grant.id,)), (grant.key,))
        (found,) = self._store.apply([Measurement((hit,), mark)])
        return isinstance(found, Readings) and not found.degraded and 0 < found.values[0] <= grant.uses

    def _ask(self, name: str, challenged: Challenged, bound: Bound, now: float) -> None:
        if len(self._queue) >= MAX_QUEUED or now - self._sent.get(name, -AGAIN_S) < AGAIN_S:
            return
        if len(self._sent) >= REMEMBERED:
            self._sent.clear()
        self._sent[name] = now
        self._queue.append(describe(name, challenged, bound, now))
