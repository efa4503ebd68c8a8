"""From `access_logs` to doors, and to a server that learns what becomes of its steps."""

import logging

import pytest
from envoy.service.auth.v3.external_auth_pb2 import CheckResponse

from authz_server import app, outcomes_door
from authz_server.config import load_config
from authz_server.control.outcomes import CODES
from authz_server.errors import ConfigError
from authz_server.listeners.base import CHECK_METHOD
from tests.check_request import check_request
from tests.envoy_site import await_value
from tests.harness import Policy
from tests.listening import channel, short_directory
from tests.log_messages import entry, message, report
from tests.outcome_place import POLICY


@pytest.fixture
def place():
    with short_directory() as found:
        (found / "policies").mkdir()
        (found / "policies/policy.yaml").write_text(POLICY)
        yield found


def configure(place, text):
    listen = (f"unix:{place}/run/s",)
    return load_config("config.yaml", text.encode(), {"policies": str(place / "policies"), "listen": listen})


def faults(text):
    with pytest.raises(ConfigError) as refused:
        load_config("config.yaml", text.encode(), {})
    return [(fault.path, fault.message) for fault in refused.value.faults]


def test_addresses_are_written_as_those_for_checks():
    """As text or as a mapping; there is at least one."""
    text = "access_logs:\n  listen: ['unix:/run/l', {address: '0.0.0.0:1', mesh_sidecar: true}]\n  exempt_routes: [health]\n"
    logs = load_config("config.yaml", text.encode(), {}).access_logs
    assert [(each.address, each.mesh_sidecar) for each in logs.listen] == [("unix:/run/l", False), ("0.0.0.0:1", True)]
    assert logs.exempt_routes == ("health",)
    assert load_config("config.yaml", b"", {}).access_logs is None
    assert [path for path, _ in faults("access_logs: {listen: []}")] == ["access_logs.listen"]
    ((path, fault),) = faults("access_logs: {listen: ['unix:/run/l'], exempt: [a]}")
    assert (path, fault[:15]) == ("access_logs.exempt", "unknown setting")
    assert faults("access_logs: {exempt_routes: [a]}")


def test_a_server_learns_from_the_logs_of_its_proxy(place):
    """A step, its outcome, and the step after it, each through its own socket."""
    config = configure(place, f"access_logs: {{listen: ['unix:{place}/run/s.logs']}}")
    server = app.Server(config)
    try:
        server.start()
        logs, checks = server.listeners
        assert server.readiness().detail["tls"] == "ok"
        payload = check_request(
            path="/docs/1", principal="spiffe://a.test/b", destination_principal="spiffe://a.test/ns/c/sa/d"
        )
        with channel(checks.address) as opened, channel(logs.address) as reporting:

            def ask():
                return CheckResponse.FromString(opened.unary_unary(CHECK_METHOD)(payload, timeout=10)).dynamic_metadata

            told = ask()
            report(reporting, message(entry(told["decision_id"], told["join"], status=403)))
            assert server.outcomes.counts["learned"] == 1
            await_value(lambda: ask()["decision"] == "deny")
    finally:
        server.stop()


def test_without_the_setting_nothing_is_sealed(place, caplog):
    """And the operator reads which signals stay silent."""
    caplog.set_level(logging.WARNING)
    server = app.Server(configure(place, ""))
    assert server.engine.ports.seal is None
    assert len(server.listeners) == 1
    assert server.outcomes.counts == dict.fromkeys((*CODES, "stream_refused", "hit_dropped", "seal_fault"), 0)
    warning = "access_logs is not set: nothing feeds the signals that learn from outcomes: known, refused"
    assert warning in caplog.messages
    server.stop()


def test_a_policy_that_learns_from_nothing_needs_no_logs(place, caplog):
    """No warning."""
    policy = Policy("version: 1\nsignals: {calls: {count: steps, per: [principal], window: 1m}}\n")
    outcomes_door.tell_outcomes(configure(place, ""), policy.current)
    assert "access_logs" not in caplog.text


def test_an_open_door_is_told(place, caplog):
    """Whoever reaches it can raise alarms, though nobody can make a join up."""
    open_door = "access_logs: {listen: [{address: '127.0.0.1:1', insecure_plaintext: true}]}"
    outcomes_door.tell_outcomes(configure(place, open_door), Policy("version: 1\n").current)
    assert "127.0.0.1:1 takes access logs from everybody" in caplog.text
