"""authz_server/content/a2a.py."""

import pytest

from authz_server.content.a2a import MAX_AGENT, called_agent
from authz_server.errors import DecodeError


@pytest.mark.parametrize(
    ("params", "agent"),
    [
        ({}, ""),
        ({"tenant": None}, ""),
        ({"tenant": ""}, ""),
        ({"tenant": "billing"}, "billing"),
        ({"tenant": "projects/p/locations/l/agents/a"}, "projects/p/locations/l/agents/a"),
        ({"tenant": "x" * MAX_AGENT}, "x" * MAX_AGENT),
        ({"message": {"tenant": "inner"}}, ""),
    ],
)
def test_the_agent_is_the_routing_identifier(params, agent):
    """Absent where host and path tell agents apart."""
    assert called_agent(params) == agent


@pytest.mark.parametrize("tenant", [5, True, ["a"], {"a": 1}, "a b", "a\n", "\u00e4", "x" * (MAX_AGENT + 1)])
def test_what_is_no_plain_name_is_refused(tenant):
    """It would become a part of keys and records."""
    with pytest.raises(DecodeError, match="rpc_agent_invalid"):
        called_agent({"tenant": tenant})
