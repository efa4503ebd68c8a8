"""The proofs of described steps, which count as verified."""

from collections.abc import Callable, Mapping
from itertools import count

from authz_server.model import Principal, Request
from authz_server.proving.proved import Proved
from authz_server.task.proof import Proof
from authz_server.trial.described import Described


class DescribedProofs:
    """Says of each step what its description says (`ProofSource`); no step shows the proof of another one.

    Args:
        step: the present one.
    """

    __slots__ = ("_numbers", "_step")

    def __init__(self, step: Callable[[], Described]) -> None:
        self._step = step
        self._numbers = count(1)

    def presents(self, headers: Mapping[str, str]) -> bool:  # noqa: ARG002 - `ProofSource`
        """Whether the step is described with a proof."""
        return self._step().proof != ""

    def proof_of(self, request: Request, principal: Principal | None, now: float, mark: bytes) -> Proved:  # noqa: ARG002 - as above
        """The described proof."""
        return self.verified(request, principal, now)

    def verified(self, request: Request, principal: Principal | None, now: float) -> Proved:  # noqa: ARG002 - as above
        """The same, of a step that is only asked about."""
        return Proved(self._step().proof, Proof("described", str(next(self._numbers)), now), covers=True)
