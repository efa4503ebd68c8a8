"""What spares the store: keys that callers make up are folded, and who goes on against a limit is answered without it."""

from authz_server import pdp
from authz_server.engine.bounds import KeyBounds
from authz_server.engine.folds import raised
from authz_server.engine.shield import SERVED, Shield, is_by_readings
from authz_server.keyhash import KeyedHash
from authz_server.model import Principal
from authz_server.pdp import Decided, Pending
from authz_server.policy.step import Step
from authz_server.signals import Measurement, Readings
from authz_server.verdict import Verdict


class Sparing:
    """Stands between the decision point and the store. Threads share it.

    Args:
        keyed: the hash of the deployment.
    """

    __slots__ = ("_bounds", "_shield")

    def __init__(self, keyed: KeyedHash) -> None:
        self._bounds = KeyBounds(keyed)
        self._shield = Shield()

    def begin(
        self, begun: Decided | Pending, principal: Principal | None, now: float, steady: float
    ) -> Decided | Pending:
        """Fold the hits of a step that has begun, and decide it at once where the store need not be asked.

        Args:
            begun: by `pdp.begin`.
            principal: who makes the step.
            now: Unix time in seconds.
            steady: seconds of a clock that is never set.

        Returns:
            The same, with other hits where something was folded; a step that waits may be decided now.
        """
        if isinstance(begun, Decided):
            return self._fold(begun, principal, steady)
        hits = self._bounds.fold(*_named(principal), begun.hits, steady, reads=True)
        if hits is not begun.hits:
            begun = begun._replace(hits=hits)
        readings = self._shield.find(_whose(begun.step), begun.snapshot.digest, hits, now)
        return begun if readings is None else self._conclude_again(begun, readings, steady)

    def conclude(
        self, pending: Pending, readings: Readings, replicas: int, now: float, steady: float, *, local: bool = True
    ) -> Decided:
        """Conclude a step from its readings, see `pdp.conclude`, and remember it when they refused it.

        Args:
            pending: of `begin`.
            readings: parallel to its hits.
            replicas: by how many a degraded count is multiplied.
            now: Unix time in seconds.
            steady: seconds of a clock that is never set.
            local: whether degraded readings may still be gone by.
        """
        decided = pdp.conclude(pending, raised(pending.hits, readings), replicas, local=local)
        step = pending.step
        if is_by_readings(decided.verdict):
            self._shield.refused(_whose(step), pending.snapshot.digest, pending.hits, readings, now)
        return self._fold(decided, step.principal, steady)

    def refuse(
        self, pending: Pending, readings: Readings, verdict: Verdict, steady: float, *, local: bool = True
    ) -> Decided:
        """Refuse a step that `conclude` has allowed, see `pdp.refuse`."""
        decided = pdp.refuse(pending, raised(pending.hits, readings), verdict, local=local)
        return self._fold(decided, pending.step.principal, steady)

    def take_skipped(self) -> list[Measurement]:
        """What the store is to be told with the next round trip; see `Shield.take_skipped`."""
        return self._shield.take_skipped()

    def _conclude_again(self, pending: Pending, readings: Readings, steady: float) -> Decided | Pending:
        step = pending.step
        decided = pdp.conclude(pending, raised(pending.hits, readings))
        if decided.verdict.decision not in SERVED:
            # Something else of this step is different: the store shall say what it reads now.
            step.readings.clear()
            step.unlearned = frozenset()
            step.within_budget = False
            return pending
        decided = self._fold(decided, step.principal, steady)
        left = self._shield.skip(_whose(step), pending.snapshot.digest, pending.hits, decided.hits)
        return decided._replace(hits=left)

    def _fold(self, decided: Decided, principal: Principal | None, steady: float) -> Decided:
        if not (decided.hits or decided.expected):
            return decided
        named = _named(principal)
        hits = self._bounds.fold(*named, decided.hits, steady)
        expected = self._bounds.fold(*named, decided.expected, steady)
        if hits is decided.hits and expected is decided.expected:
            return decided
        return Decided(decided.verdict, hits, expected)


def _named(principal: Principal | None) -> tuple[str, str]:
    return (principal.id, principal.trust_domain) if principal is not None else ("", "")


def _whose(step: Step) -> str:
    return step.principal.id if step.principal is not None else f"source:{step.request.source_address}"
