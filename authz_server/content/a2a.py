"""Agent2Agent: which agent behind an endpoint is meant (A2A 1.0, section 3.1 and the topic Multi-Agent Routing).

Agents are told apart by host and path, or, where several share one endpoint, by the member `tenant` that each operation
carries in its `params`: "an opaque string used for routing". Versions before 1.0 have no such member.

Methods need nothing of their own: both `message/send` (0.3) and `SendMessage` (1.0) are methods of JSON-RPC.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from authz_server.errors import DecodeError

AGENT_WORD: Final = "tenant"
MAX_AGENT: Final = 256
"""Characters: names of cloud resources with four parts have fewer, and it becomes a part of keys and records."""

_AGENT: Final = re.compile(f"[!-~]{{0,{MAX_AGENT}}}")


def called_agent(params: Mapping[str, Any]) -> str:
    """Read the agent that a call is routed to; `""` when the endpoint alone says it.

    Raises:
        DecodeError: `rpc_agent_invalid` for anything but up to 256 visible ASCII characters, or null.
    """
    agent = params.get(AGENT_WORD)
    if agent is None:
        return ""
    if not isinstance(agent, str) or _AGENT.fullmatch(agent) is None:
        raise DecodeError("rpc_agent_invalid")
    return agent
