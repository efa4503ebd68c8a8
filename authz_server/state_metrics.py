"""What metrics tell about the store, and about containment between replicas."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from authz_server.engine.standing import Standing


class StateSeen(NamedTuple):
    """One look at the store and at the feed of containments."""

    standing: Standing
    degraded: int
    """Decisions that were made without the store."""
    errors: Mapping[str, int] = {}
    """Of the store, by code."""
    breaker_open: bool = False
    feed_age_s: float = 0.0
    resyncs: int = 0
    refused: Mapping[str, int] = {}
    """Records of the feed that were not believed, by reason."""


def state_metrics(seen: StateSeen) -> Iterator[Metric]:
    """The metrics of one look."""
    standing = seen.standing
    yield CounterMetricFamily("authz_decisions_degraded", "Decisions made without the shared store.", seen.degraded)
    errors = CounterMetricFamily("authz_state_errors", "Errors of the shared store by code.", labels=("code",))
    for code, total in sorted(seen.errors.items()):
        errors.add_metric((code,), total)
    yield errors
    yield GaugeMetricFamily(
        "authz_state_breaker_open", "Whether a server of the store is not asked.", int(seen.breaker_open)
    )
    yield GaugeMetricFamily("authz_state_outage", "Whether decisions are made without the store.", int(standing.outage))
    yield GaugeMetricFamily("authz_state_skew_seconds", "The clock of the store minus ours.", standing.skew_ms / 1000)
    yield GaugeMetricFamily("authz_state_owed", "Measurements that the store is told when it is back.", standing.owed)
    yield CounterMetricFamily("authz_state_dropped", "Measurements that the store is never told.", standing.dropped)
    yield GaugeMetricFamily(
        "authz_containments_unstored", "Containments that the other replicas are to be told yet.", standing.unstored
    )
    yield GaugeMetricFamily(
        "authz_containment_age_seconds", "How long ago the feed of containments was read to its end.", seen.feed_age_s
    )
    yield CounterMetricFamily(
        "authz_containment_resyncs", "How often all containments had to be read again.", seen.resyncs
    )
    refused = CounterMetricFamily(
        "authz_containment_records_refused", "Records that were not believed, by reason.", labels=("reason",)
    )
    for reason, total in sorted(seen.refused.items()):
        refused.add_metric((reason,), total)
    yield refused
