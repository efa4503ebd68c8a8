"""How a replica stands with its store: what readiness and metrics tell, and no decision asks."""

from typing import Final, NamedTuple

from authz_server.engine.containing import Containing
from authz_server.engine.measuring import Measuring
from authz_server.engine.ports import Ports

MAX_SKEW_MS: Final = 2000
"""Between the store's clock and ours. Signals go by the store's, hours and expiry by ours; beyond two seconds somebody should see
to one of them."""


class Standing(NamedTuple):
    """One look."""

    synced: bool
    """Whether it is known who is contained; without it every step is denied."""
    outage: bool
    """Whether steps are, or a second ago were, decided without the store."""
    owed: int
    """Measurements that the store is to be told when it is back."""
    dropped: int
    """Measurements that it will never be told, because more waited than may."""
    unstored: int
    """Containments that the other replicas are to be told yet."""
    skew_ms: int
    """The store's clock minus ours, as of its last answer; 0 for this replica's own memory."""
    skewed: bool
    """Whether that is more than it should be."""


def standing(ports: Ports, measuring: Measuring, containing: Containing) -> Standing:
    """Look."""
    skew_ms: int = getattr(ports.store, "skew_ms", 0)
    return Standing(
        synced=ports.synced(),
        outage=measuring.outage,
        owed=measuring.owed,
        dropped=measuring.dropped,
        unstored=len(containing),
        skew_ms=skew_ms,
        skewed=abs(skew_ms) > MAX_SKEW_MS,
    )
