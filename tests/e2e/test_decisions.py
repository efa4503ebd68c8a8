"""Decisions through a real Envoy: what the upstream, the caller and the access log see of each."""

import pytest

from tests.envoy_site import decision_of
from tests.site_pki import agent

pytestmark = [pytest.mark.e2e, pytest.mark.server]


def test_allow(alone):
    """The upstream learns who asks for what and by which decision, each exactly once."""
    answer = alone.get(agent("reader"), "/v1/things/7")
    assert answer.status_code == 200
    lines = [(name, value) for name, value in answer.json()["headers"] if name.startswith("x-authz")]
    identifier = decision_of(answer)
    assert sorted(lines) == [
        ("x-authz-action", "thing.read"),
        ("x-authz-decision-id", identifier),
        ("x-authz-principal", agent("reader")),
    ]
    assert len(identifier) == 32
