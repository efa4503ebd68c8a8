"""What an entry is about: patterns over a request, or over a step."""

from collections.abc import Mapping
from dataclasses import dataclass

StepMatch = Mapping[str, tuple[str, ...]]
"""Patterns by key of a step match: all keys must match, any pattern of each."""


@dataclass(frozen=True, slots=True)
class RequestMatch:
    """Patterns over a request; an empty tuple is a key that is not named."""

    host: tuple[str, ...] = ()
    method: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    header: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """(lower-case name, patterns), in the order of the names."""
    source: tuple[str, ...] = ()
    grpc_service: tuple[str, ...] = ()
    grpc_method: tuple[str, ...] = ()
    upgrade: tuple[str, ...] = ()
    """Lower-case tokens, `connect`, or `tcp` for connections that carry no HTTP."""
    mcp_method: tuple[str, ...] = ()
    mcp_tool: tuple[str, ...] = ()
    a2a_method: tuple[str, ...] = ()
    a2a_agent: tuple[str, ...] = ()
