"""What Prometheus is told about the store and the feed of containments."""

from prometheus_client.core import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from authz_server.engine.standing import Standing
from authz_server.state_metrics import StateSeen, state_metrics

STANDING = Standing(synced=True, outage=True, owed=3, dropped=4, unstored=5, skew_ms=-2500, skewed=True)
SEEN = StateSeen(STANDING, 7, {"oom": 2, "timeout": 1}, True, 0.25, 6, {"forged": 8})


class Looking:
    def collect(self):
        return state_metrics(SEEN)


def test_everything_that_is_seen_is_told():
    registry = CollectorRegistry()
    registry.register(Looking())
    families = text_string_to_metric_families(generate_latest(registry).decode())
    found = {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}
    assert found == {
        ("authz_decisions_degraded_total",): 7,
        ("authz_state_errors_total", "oom"): 2,
        ("authz_state_errors_total", "timeout"): 1,
        ("authz_state_breaker_open",): 1,
        ("authz_state_outage",): 1,
        ("authz_state_skew_seconds",): -2.5,
        ("authz_state_owed",): 3,
        ("authz_state_dropped_total",): 4,
        ("authz_containments_unstored",): 5,
        ("authz_containment_age_seconds",): 0.25,
        ("authz_containment_resyncs_total",): 6,
        ("authz_containment_records_refused_total", "forged"): 8,
    }
