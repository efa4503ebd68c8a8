"""What is known about a step besides its request and its caller. Pure."""

from collections.abc import Callable
from typing import Final, NamedTuple

from authz_server.model import Invalid, Task
from authz_server.policy.envelopes import Envelope


class Circumstances(NamedTuple):
    """What is known about a step besides its request and its caller."""

    task: Task | Invalid | None = None
    """As its token says; Invalid for a token that does not hold, which denies."""
    reporter: str = ""
    """The proxy that asks, where it speaks for one workload only; `""` for a gateway."""
    approved: frozenset[str] = frozenset()
    """Names of the rules whose challenge an approval lifts for this step."""
    admits: Callable[[Envelope, float], bool] | None = None
    """Takes one step out of an envelope at a time; without it there are no envelopes."""
    injects: bool = True
    """Whether credentials for destinations can be made here; without it a step that needs one is denied."""
    proof: str | Invalid = ""
    """The kind of the proof of possession that holds, `""` for none; Invalid for one that does not hold, which denies."""
    together: bool = False
    """Whether other steps decide about it too. Then it waits for its readings where it would be allowed without any: what it
    reserves is reserved with them, so that it can be given back."""


NOTHING_MORE: Final = Circumstances()
