"""A whole server and its policy: metrics, the environment file, and an answer that says which policy decided."""

import httpx
import pytest

from tests.envoy_site import await_value
from tests.stand import POLICY, outcome, step
from tests.stand import stand as make_stand

pytestmark = pytest.mark.server


@pytest.fixture
def stand():
    """A place for servers."""
    with make_stand() as found:
        yield found


def sample(server, name):
    """The value of one line of the metrics."""
    text = httpx.get(f"http://{server.probes}/metrics").text
    return next(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))


def test_metrics_count_decisions_and_name_the_policy(stand):
    """On the probes' address; the policy's digest is that of the answers."""
    server = stand.start()
    answer = server.check(step())
    fields = answer.dynamic_metadata.fields
    digest = fields["policy_digest"].string_value
    assert sample(server, 'authz_decisions_total{decision="allow"') == 1
    assert sample(server, f'authz_policy_info{{digest="{digest}",mode="enforce"}}') == 1
    assert sample(server, "authz_policy_loaded_timestamp_seconds") >= fields["policy_loaded_at"].number_value > 0


def test_the_environment_file_adapts_the_policy_and_is_reloaded(stand):
    """`mode: shadow` answers allow and says so everywhere; taken out, the policy is enforced again."""
    environment = stand.directory / "staging.yaml"
    environment.write_text("mode: shadow\n")
    stand.policies.write(POLICY.replace("action: thing.*", "action: thing.read"))
    server = stand.start(environment=str(environment))
    answer = server.check(step(method="PUT"))
    assert outcome(answer)[0] == 200
    assert answer.dynamic_metadata.fields["decision"].string_value == "deny"
    assert answer.dynamic_metadata.fields["shadow"].bool_value is True
    assert server.readiness()["policy_mode"] == "shadow"
    assert "mode: shadow" in server.log()
    environment.write_text("mode: enforce\n")
    await_value(lambda: server.readiness()["policy_mode"] == "enforce")
    assert outcome(server.check(step(1, method="PUT")))[0] == 403


def test_a_faulty_environment_file_replaces_nothing(stand):
    """It is part of the policy: a fault in it is told with its place, and what is in force stays."""
    environment = stand.directory / "staging.yaml"
    environment.write_text("enforce: {too-fast: 0%}\n")
    server = stand.start(environment=str(environment))
    digest = server.readiness()["policy_digest"]
    environment.write_text("enforce: {too-fats: 0%}\n")
    await_value(lambda: server.readiness()["policy_reload"] == "failing")
    assert server.readiness()["policy_digest"] == digest
    assert "env/staging.yaml:1: enforce" in server.log()
    assert "did you mean `too-fast`?" in server.log()
