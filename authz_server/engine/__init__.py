"""The decision of a whole batch: bytes in, bytes out, one round trip to the store. Every listener calls `Engine.decide`."""

from authz_server.engine.core import Engine
from authz_server.engine.ports import PolicySource, Ports, Trust

__all__ = ["Engine", "PolicySource", "Ports", "Trust"]
