"""Which proofs this process has seen, and in which step: the second one that shows a proof is refused.

The store remembers them for all replicas, in the round trip of the step. This memory is for what comes before that: a step
that is refused without a round trip, a proof that is shown twice in one batch, and an outage of the store. It also bounds how
many proofs one caller has the store remember, since each of them is a key that the caller has made up.
"""

from threading import Lock
from typing import Final

from authz_server.keyhash import KeyedHash
from authz_server.task.proof import Proof

REPLAYED: Final = "proof_replayed"
TOO_MANY: Final = "proof_too_many"
MAX_OWN: Final = 32_768
"""Proofs of one caller within one life: 450 DPoP proofs a second, and 100 of WIMSE, which may live for minutes."""
MAX_HALF: Final = 131_072
"""Proofs of all callers within one life, about 25 MB, and as many of the life before: a good part of what a store in memory
holds. None is forgotten before its time for another one to be remembered."""


class ProofMemory:
    """Remembers proofs of one kind until they are too old to be shown again. Threads share it.

    Args:
        keyed: hashes what is remembered, which makes it small.
        life_s: seconds after which no proof of today holds any more.
    """

    __slots__ = ("_keyed", "_life", "_lock", "_old", "_owned", "_turned", "_young")

    def __init__(self, keyed: KeyedHash, life_s: float) -> None:
        self._keyed = keyed
        self._life = life_s
        self._lock = Lock()
        self._young: dict[bytes, bytes] = {}
        self._old: dict[bytes, bytes] = {}
        self._owned: dict[str, int] = {}
        """How many of the young ones are whose."""
        self._turned = 0.0

    def __len__(self) -> int:
        """How many proofs are remembered."""
        return len(self._young) + len(self._old)

    def take(self, owner: str, proof: Proof, mark: bytes, now: float) -> str:
        """Take a proof for a step, whose it is from now on.

        Args:
            owner: who shows it.
            proof: verified.
            mark: what only a byte-identical repeat of the same check shares, which is the same step.
            now: Unix time in seconds.

        Returns:
            `""`, `proof_replayed` when another step has shown it, or `proof_too_many`.
        """
        name = self._keyed.digest((proof.jkt, proof.jti))
        with self._lock:
            # A little back is another thread's batch, which began earlier: nothing is forgotten for it.
            if abs(now - self._turned) >= self._life:
                self._old, self._young, self._owned, self._turned = self._young, {}, {}, now
            known = self._young.get(name) or self._old.get(name)
            if known is not None:
                return "" if known == mark else REPLAYED
            owned = self._owned.get(owner, 0)
            if owned >= MAX_OWN or len(self._young) >= MAX_HALF:
                return TOO_MANY
            self._owned[owner] = owned + 1
            self._young[name] = mark
            return ""
