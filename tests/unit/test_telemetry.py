"""What Prometheus is told."""

from prometheus_client.parser import text_string_to_metric_families

from authz_server.engine.tally import Sort
from authz_server.holder import PolicyHolder
from authz_server.sources.reload import Reloader
from authz_server.telemetry import Observed, PolicyState, Telemetry, policy_state
from tests.steps import KEYED

POLICY = PolicyState("abc", "enforce", 1_790_000_000.0, 12.5, failing=False, stale=False, held_back=("billing",))
SEEN = Observed(((Sort("allow", "ok", False), 3), (Sort("deny", "no_match", True), 1)), POLICY, 2, 5, 7, draining=True)
TEXT = "version: 1\nactions: [{name: a, match: {path: /a}, kind: read}]\ndefaults: {max_policy_age: 1m}\n"


def read(telemetry):
    """All samples by name and labels."""
    families = text_string_to_metric_families(telemetry.exposition().decode())
    return {(s.name, *sorted(s.labels.items())): s.value for family in families for s in family.samples}


def test_everything_that_is_seen_is_told():
    """Counters and gauges under stable names, labels from closed lists."""
    found = read(Telemetry(lambda: SEEN))
    assert found["authz_decisions_total", ("decision", "allow"), ("reason", "ok"), ("shadow", "false")] == 3
    assert found["authz_decisions_total", ("decision", "deny"), ("reason", "no_match"), ("shadow", "true")] == 1
    assert found["authz_policy_info", ("digest", "abc"), ("mode", "enforce")] == 1
    assert found["authz_policy_team_held_back", ("team", "billing")] == 1
    plain = {name: value for (name, *labels), value in found.items() if not labels}
    assert plain == {
        "authz_policy_loaded_timestamp_seconds": 1_790_000_000.0,
        "authz_policy_age_seconds": 12.5,
        "authz_policy_reload_failing": 0,
        "authz_policy_stale": 0,
        "authz_contained": 2,
        "authz_audit_dropped_total": 5,
        "authz_encoder_faults_total": 7,
        "authz_draining": 1,
    }


def test_each_scrape_looks_anew():
    """Nothing is kept between two of them."""
    seen = [SEEN, SEEN._replace(contained=9)]
    telemetry = Telemetry(lambda: seen.pop(0))
    assert read(telemetry)["authz_contained",] == 2
    assert read(telemetry)["authz_contained",] == 9


def test_a_policy_ages_while_its_files_are_refused():
    """Failing at once, stale after `max_policy_age`; the digest is that of what is in force."""
    now = [1_790_000_000.0]
    files = {"p.yaml": TEXT.encode()}
    holder = PolicyHolder(KEYED, (), lambda: now[0])
    reloader = Reloader([], lambda: dict(files), holder.compile, holder.publish, lambda _: None, clock=lambda: now[0])
    assert reloader.load_now().ok
    first = policy_state(holder, reloader, now[0])
    assert (first.failing, first.stale, first.age_s, first.loaded_at) == (False, False, 0, now[0])
    files["p.yaml"] = b"version: 2\n"
    assert not reloader.load_now().ok
    now[0] += 61
    later = policy_state(holder, reloader, now[0])
    assert (later.failing, later.stale, later.age_s, later.digest) == (True, True, 61, first.digest)
