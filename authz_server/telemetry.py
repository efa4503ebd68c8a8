"""What the server tells Prometheus: text exposition of what its parts count anyway, collected when it is asked for."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from authz_server.engine.tally import Sort
from authz_server.holder import PolicyHolder
from authz_server.policy.snapshot import Snapshot
from authz_server.sources.reload import Reloader
from authz_server.state_metrics import StateSeen, state_metrics


class PolicyState(NamedTuple):
    """What is known about the policy in force."""

    digest: str
    mode: str
    """`enforce` or `shadow`."""
    loaded_at: float
    """Unix time in seconds."""
    age_s: float
    """For how long the files on disk have not been in force: since they were last found good, and 0 while they are."""
    failing: bool
    stale: bool
    held_back: tuple[str, ...]
    """Teams whose folder is not in force as it is on disk."""


def policy_state(holder: PolicyHolder, files: Reloader[Snapshot], now: float) -> PolicyState:
    """Look at the policy.

    Args:
        holder: of the snapshot in force.
        files: reloads it.
        now: Unix time in seconds.
    """
    current, failing = holder.current, files.failing_since
    return PolicyState(
        digest=current.digest,
        mode="shadow" if current.shadow else "enforce",
        loaded_at=current.loaded_at,
        age_s=0.0 if failing is None else max(0.0, now - (files.last_success or now)),
        failing=failing is not None,
        stale=failing is not None and now - failing > current.max_policy_age,
        held_back=tuple(sorted(holder.held_back)),
    )


class Observed(NamedTuple):
    """One look at the server."""

    decisions: tuple[tuple[Sort, int], ...]
    policy: PolicyState
    contained: int
    audit_dropped: int
    encoder_faults: int
    draining: bool
    outcomes: Mapping[str, int] = {}
    """Access-log entries by what became of them."""
    state: StateSeen | None = None
    """None where nothing is known of it."""


class Telemetry:
    """Makes the exposition."""

    def __init__(self, observe: Callable[[], Observed]) -> None:
        """Take the function that looks at the server; it is called for each scrape."""
        self._observe = observe
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def exposition(self) -> bytes:
        """The metrics in the text format."""
        return generate_latest(self._registry)

    def describe(self) -> list[Metric]:
        """Nothing in advance: what is there is known when it is asked for."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All metrics as of now; called by the registry."""
        seen = self._observe()
        decisions = CounterMetricFamily(
            "authz_decisions", "Decisions by what was decided and why.", labels=("decision", "reason", "shadow")
        )
        for sort, total in seen.decisions:
            decisions.add_metric((sort.decision, sort.reason, str(sort.shadow).lower()), total)
        yield decisions
        yield from _policy(seen.policy)
        yield GaugeMetricFamily("authz_contained", "Containments that this replica enforces.", seen.contained)
        yield CounterMetricFamily("authz_audit_dropped", "Decision records that were lost.", seen.audit_dropped)
        yield CounterMetricFamily(
            "authz_encoder_faults", "Verdicts that could not be encoded and were answered 503.", seen.encoder_faults
        )
        outcomes = CounterMetricFamily(
            "authz_outcomes", "Access-log entries by what became of them.", labels=("result",)
        )
        for result, total in sorted(seen.outcomes.items()):
            outcomes.add_metric((result,), total)
        yield outcomes
        if seen.state is not None:
            yield from state_metrics(seen.state)
        yield GaugeMetricFamily("authz_draining", "Whether this replica is going away.", int(seen.draining))


def _policy(policy: PolicyState) -> Iterator[Metric]:
    info = GaugeMetricFamily("authz_policy_info", "The policy in force.", labels=("digest", "mode"))
    info.add_metric((policy.digest, policy.mode), 1)
    yield info
    yield GaugeMetricFamily(
        "authz_policy_loaded_timestamp_seconds", "When the policy in force was compiled.", policy.loaded_at
    )
    yield GaugeMetricFamily(
        "authz_policy_age_seconds",
        "How long the policy in force has not been that on disk; 0 while it is.",
        policy.age_s,
    )
    yield GaugeMetricFamily(
        "authz_policy_reload_failing", "Whether the files on disk are refused.", int(policy.failing)
    )
    yield GaugeMetricFamily("authz_policy_stale", "Whether the policy is older than it may be.", int(policy.stale))
    held = GaugeMetricFamily("authz_policy_team_held_back", "Teams whose folder is faulty.", labels=("team",))
    for team in policy.held_back:
        held.add_metric((team,), 1)
    yield held
