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
    expected: tuple[Hit, ...] = ()
    """What its outcome will feed."""


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

    def answer(self, position: int, request: Request | None, verdict: Verdict, expected: tuple[Hit, ...] = ()) -> None:
        """Encode the answer and hand the event over for its record, with what its outcome will feed."""
        ports = self._ports
        identifier = ports.new_id()
        snapshot = self.snapshot
        ports.tally.add(verdict)
        caller = self.calls[position].caller
        join = ports.seal(identifier, caller, self.now, expected) if expected and ports.seal is not None else b""
        self.answers[position] = ports.encoder.encode(
            verdict, identifier, snapshot.digest, request, int(snapshot.loaded_at), join=join
        )
        micros = int((ports.monotonic() - self.started) * 1_000_000)
        ports.submit(DecisionEvent(identifier, self.now, snapshot.digest, caller, request, verdict, micros, expected))
