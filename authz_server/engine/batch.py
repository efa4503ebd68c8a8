"""One batch under way, and the two ways in which a step can stand in it."""

from collections.abc import Sequence
from typing import NamedTuple

from authz_server.engine.ports import Ports, Trust
from authz_server.envoy.encode import DENIED_503
from authz_server.model import Call, Request
from authz_server.pdp import Pending
from authz_server.record import DecisionEvent
from authz_server.signals import Hit, Measurement
from authz_server.verdict import Verdict


class Waiting(NamedTuple):
    """A step that waits for its readings."""

    position: int
    request: Request
    pending: Pending
    measurement: Measurement


class Done(NamedTuple):
    """A step that needs no reading."""

    request: Request | None
    verdict: Verdict
    hits: tuple[Hit, ...] = ()
    """What is still to be measured of it."""


class Batch:
    """One batch under way: the snapshot, the moment, and the answers so far (denied until they are decided)."""

    __slots__ = ("_ports", "answers", "calls", "now", "snapshot", "started", "trust")

    def __init__(self, ports: Ports, trust: Trust, calls: Sequence[Call]) -> None:
        self._ports = ports
        self.calls = calls
        self.answers: list[bytes] = [DENIED_503] * len(calls)
        self.snapshot = ports.policy.current
        self.trust = trust
        self.now = ports.clock()
        self.started = ports.monotonic()

    def answer(self, position: int, request: Request | None, verdict: Verdict) -> None:
        """Encode the answer and hand the event over for its record."""
        ports = self._ports
        identifier = ports.new_id()
        self.answers[position] = ports.encoder.encode(verdict, identifier, self.snapshot.digest, request)
        micros = int((ports.monotonic() - self.started) * 1_000_000)
        ports.submit(
            DecisionEvent(
                identifier, self.now, self.snapshot.digest, self.calls[position].caller, request, verdict, micros
            )
        )
