"""A proof that holds, and how the store is asked whether another step has shown it."""

from typing import Final, NamedTuple

from authz_server.model import Entity, Task
from authz_server.signals import Hit, Signal, SignalKind
from authz_server.task.proof import MAX_AGE_S, SKEW_S, Proof
from authz_server.task.workload_proof import MAX_PROOF_LIFE_S

DPOP: Final = "dpop"
"""The value of `credential.proof` for RFC 9449."""
WPT: Final = "wpt"
"""The value of `credential.proof` for WIMSE."""
KINDS: Final = (DPOP, WPT)
MARGIN_S: Final = 5.0
"""By how much the clocks of replicas and of the store may differ, so that nothing is forgotten before it is too old."""
LIVES_S: Final = {DPOP: MAX_AGE_S + SKEW_S + MARGIN_S, WPT: MAX_PROOF_LIFE_S + MARGIN_S}
"""How long a proof has to be remembered, by its kind."""

_USES: Final = {
    DPOP: Signal("proof:dpop", "70726f31", SignalKind.BUDGET, int(LIVES_S[DPOP] * 1000), 1),
    WPT: Signal("proof:wpt", "70726f32", SignalKind.BUDGET, int(LIVES_S[WPT] * 1000), 1),
}
"""Every proof may be used once. The ids are of no policy: what they measure is of an entity that no policy has a word for."""


class Proved(NamedTuple):
    """A proof that holds for its request, unless the store knows it from another step."""

    kind: str
    proof: Proof
    covers: bool = False
    """Whether everything that the request presents is bound to the key, as far as it says itself."""
    alone: bool = False
    """Whether the request presents nothing beside the proof, save perhaps a task token."""

    @property
    def use(self) -> Hit:
        """What asks the store for the one use; a reading above 1 says that another step has had it."""
        return Hit(_USES[self.kind], Entity("proof", (self.proof.jkt, self.proof.jti)))

    def word(self, task: Task | None) -> str:
        """The value of `credential.proof`: the kind, or `""` for a key that nobody has named but the caller.

        Whoever steals a token can make a key and a proof with it, so that a proof says nothing of a token that is bound to
        no key, or to one that cannot be read here.

        Args:
            task: verified, of the same request.
        """
        named = self.covers or (self.alone and task is not None and task.key == self.proof.jkt)
        return self.kind if named else ""
