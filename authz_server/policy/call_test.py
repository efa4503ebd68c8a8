"""The conditions of a catalogue entry on the call in its body: MCP and A2A, which both are JSON-RPC."""

from typing import Final

from authz_server.content.mcp import TOOLS_CALL
from authz_server.content.rpc import Rpc
from authz_server.policy.matches import RequestMatch
from authz_server.policy.patterns import Globs, compile_globs

RPC_METHODS: Final = frozenset({"POST"})
"""Every JSON-RPC call over HTTP is a POST (MCP streamable-http, Sending Messages; A2A 1.0, section 9)."""


class CallTest:
    """What must hold of a call; all of it.

    Attributes:
        methods: lists of patterns, of each of which one must cover the method.
        tools: patterns of tools, or None.
        agents: patterns of agents, or None.
        weight: how many conditions there are; a tool also says the method.
    """

    __slots__ = ("agents", "methods", "tools", "weight")

    def __init__(self, match: RequestMatch) -> None:
        """Compile the conditions on the call.

        Raises:
            ValueError: a pattern is malformed.
        """
        mcp = (TOOLS_CALL,) if match.mcp_tool else match.mcp_method
        self.methods = tuple(compile_globs(patterns) for patterns in (mcp, match.a2a_method) if patterns)
        self.tools = compile_globs(match.mcp_tool) if match.mcp_tool else None
        self.agents = compile_globs(match.a2a_agent) if match.a2a_agent else None
        self.weight = len(self.methods) + (self.tools is not None) + (self.agents is not None)

    def matches(self, rpc: Rpc) -> bool:
        """Whether all conditions hold."""
        for methods in self.methods:
            if not methods.matches(rpc.method):
                return False
        if self.tools is not None and not self.tools.matches(rpc.tool):
            return False
        return self.agents is None or self.agents.matches(rpc.agent)

    def overlaps(self, other: "CallTest") -> bool:
        """Whether a call can satisfy both; unsure means yes."""
        return (
            all(one.overlaps(two) for one in self.methods for two in other.methods)
            and _may_meet(self.tools, other.tools)
            and _may_meet(self.agents, other.agents)
        )


def _may_meet(one: Globs | None, two: Globs | None) -> bool:
    return one is None or two is None or one.overlaps(two)


def reads_call(match: RequestMatch) -> bool:
    """Whether the conditions of a match can only be told from the body."""
    return bool(match.mcp_method or match.mcp_tool or match.a2a_method or match.a2a_agent)
