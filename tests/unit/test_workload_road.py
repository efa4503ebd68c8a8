"""Which workloads end tasks, from the configuration."""

import pytest

from authz_server import workload_road
from authz_server.config import load_config
from authz_server.taskbook.pod_events import Pod
from authz_server.token_keys import token_settings

DOMAINS = "trust: {domains: [{name: corp.example, bundle: b.pem}, {name: partner.example, bundle: p.pem}]}\n"
AGENT, FEDERATED = (f"spiffe://{name}.example/ns/agents/sa/a" for name in ("corp", "partner"))


@pytest.fixture
def build(monkeypatch):
    times = iter(range(1000, 10**6, 100))
    monkeypatch.setattr(workload_road, "in_cluster", lambda _: None)
    monkeypatch.setattr(workload_road, "HttpsPodApi", lambda *_: None)
    monkeypatch.setattr(workload_road.time, "monotonic", lambda: float(next(times)))

    def build(text):
        config = load_config("c.yaml", text.encode(), {})
        return workload_road.build_workloads(config, token_settings(config).audience)

    return build


@pytest.mark.parametrize("tasks", ["{kubernetes: true}", "{kubernetes: true, audience: corp.example}"])
def test_an_account_of_a_federated_domain_is_not_that_of_our_own(build, tasks):
    """Both have a namespace `agents`, and its pods elsewhere are not seen."""
    known = build(f"{DOMAINS}tasks: {tasks}\n").known
    known.saw(Pod("1", "agents", "a", runs=True), 10.0)
    known.saw(Pod("1", "agents", "a", runs=False), 20.0)
    known._monotonic = lambda: 5000.0
    known.vouch(5000.0)
    assert (known.is_gone(AGENT, 15.0), known.is_gone(FEDERATED, 15.0)) == (True, False)


@pytest.mark.parametrize("text", ["", "tasks: {audience: corp.example}\n"])
def test_nothing_is_watched_that_nobody_asked_for(build, text):
    assert build(text) is None
