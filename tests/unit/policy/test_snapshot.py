"""One compiled policy, as the decision point uses it."""

import pytest

from authz_server.policy.compiler import compile_policy
from authz_server.policy.selector import Key
from authz_server.policy.step import Step
from tests.steps import AGENT, KEYED, NOW, policy, principal, request

TEXT = """
    version: 1
    actions:
      - {name: read, match: {method: GET, path: "/v1/{thing}"}, kind: read}
      - {name: write, match: {method: PUT, path: "/v1/{thing}"}, kind: write}
    tasks: [{name: t, issuers: [group:x], agents: ["spiffe://**"], actions: [read], budget: {steps: 5}, ttl: 5m}]
    signals:
      calls:  {count: steps, per: [principal], window: 1h}
      unread: {count: steps, per: [principal], window: 1h}
    rules:
      - {name: slow, when: signals.calls > 3, then: throttle}
    inject:
      - {match: {action: read}, header: authorization, audience: https://a.example, ttl: 60s, strip: [txn-token]}
      - {match: {action: [read, write], source: 10.0.0.0/8}, header: x-key, audience: https://b.example, ttl: 30s}
    defaults: {max_policy_age: 2h}
"""


def step(method="GET", **changes):
    snapshot = policy(TEXT)
    req = request(method, "/v1/7", **changes)
    return snapshot, Step(req, principal(), snapshot.catalogue.classify(req).action, {}, NOW)


@pytest.mark.parametrize(
    ("method", "changes", "headers"),
    [
        ("GET", {}, ["authorization", "x-key"]),
        ("PUT", {}, ["x-key"]),
        ("GET", {"source_address": "192.0.2.1"}, ["authorization"]),
        ("PUT", {"source_address": "192.0.2.1"}, []),
    ],
)
def test_what_is_injected_depends_on_the_step(method, changes, headers):
    """Every entry that matches."""
    snapshot, it = step(method, **changes)
    assert [entry.header for entry in snapshot.injected(it)] == headers


def test_signals_are_found_by_name_with_the_hidden_ones():
    """Those that somebody reads, and the budgets of tasks."""
    assert policy(TEXT).plans.keys() == {"calls", "task:t:"}


def test_age_and_mode_are_told():
    """Two hours; in shadow only where the environment says so."""
    plain = policy(TEXT)
    assert (plain.max_policy_age, plain.shadow) == (7200, False)
    assert compile_policy({"p.yaml": b"version: 1\nrules: []\n"}, KEYED, (), ("env/e.yaml", b"mode: shadow\n")).shadow


def test_a_new_snapshot_is_warmed_with_the_actions_of_its_own_catalogue():
    """What the old one was asked for may be classified otherwise now."""
    old, new = policy(TEXT), policy(TEXT.replace("kind: read}", "kind: discovery}", 1))
    old.rules.candidates(Key(old.catalogue.actions["read"], AGENT, ""))
    new.warm_like(old)
    assert Key(new.catalogue.actions["read"], AGENT, "") in new.rules.known_keys()
