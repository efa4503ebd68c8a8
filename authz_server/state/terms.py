"""What all servers of a store have in common, and what their error replies mean for a server as a whole."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from math import inf
from typing import Final

from authz_server.state.network import Tally
from authz_server.state.script import Script

REPLACED = frozenset({"loading", "masterdown", "moved", "noauth", "readonly"})
"""Error replies that a new connection may not get: after a failover the name leads to another server."""
DOWN = frozenset({"busy", "clusterdown", "loading", "masterdown", "moved", "noauth", "readonly"})
"""Error replies that the next command would get as well: to the breaker they are no answer."""
DOWN_IN_CLUSTER = DOWN - {"clusterdown", "moved"}
"""The same where those two are about one slot, and the node is well."""


ELSEWHERE = REPLACED | {"connection"}
"""After these the idle connections lead nowhere too."""


TENDED_S: Final = 1.0
"""Since it was last tended to, a store counts as tended: then no decision makes a probe."""


@dataclass(slots=True, kw_only=True)
class Terms:
    """What all servers of a store have in common."""

    script: Script
    """Known to every connection."""
    probe: tuple[bytes, ...]
    """A command that a server answers which can do its work."""
    budget_s: float
    """For the exchange of a batch."""
    clock: Callable[[], float]
    """Monotonic seconds."""
    jitter: Callable[[], float]
    """Numbers in [0, 1) for the breakers."""
    tally: Tally
    """Of all errors."""
    down: frozenset[str] = DOWN
    """The error replies that are failures of a whole server."""
    nonces: Iterator[int] = field(default_factory=count)
    tended_at: float = -inf
    """When `Network.tend` was last called."""

    def is_tended(self) -> bool:
        """Say whether somebody probes, so that no decision has to."""
        return self.clock() - self.tended_at < TENDED_S
