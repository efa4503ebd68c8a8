"""What every listener is: calls in, answers out, health and drain, whatever carries the bytes.

An answer with no bytes is a `CheckResponse` whose status code is 0, which Envoy reads as *allow*
(`ext_authz_grpc_impl.cc`). `Guard` therefore stands between a listener and the decision: whatever goes wrong behind it,
each call is answered with the prebuilt denial, and never with an error of gRPC, which `failure_mode_allow` would open.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

from authz_server.model import Call

Decide = Callable[[Sequence[Call]], Sequence[bytes]]
"""One serialised `CheckResponse` per call, in their order. Never raises; called from several threads at once."""

CHECK_SERVICE: Final = "envoy.service.auth.v3.Authorization"
CHECK_METHOD: Final = f"/{CHECK_SERVICE}/Check"

KEEPALIVE_MS: Final = 60_000
"""How often a silent connection is asked whether its peer still lives, so that dead proxies hold no descriptors."""
KEEPALIVE_TIMEOUT_MS: Final = 20_000
TRANSPORT_FLOOR: Final = 64 * 1024 * 1024
"""No message below this is refused by gRPC itself: a caller cannot be made to exceed it by what an agent sends through
Envoy with any sane `max_request_bytes` and `max_request_headers_kb` (at most 8 MiB)."""
QUIET_S: Final = 0.25
"""A drained listener has answered everything and heard nothing for this long. The front loses answers that are younger
than its close by some microseconds; this is far more."""
_POLL_S: Final = 0.01

_log = logging.getLogger(__name__)


class ListenerLimits(NamedTuple):
    """Bounds of one listener. All of them refuse on the level of gRPC, so none may be within an agent's reach."""

    max_message: int = 256 * 1024
    """Bytes of a CheckRequest above which the decision denies: 64 KiB of body, twice Envoy's 60 KiB of headers (as
    fields and again inside a credential or metadata), 64 KiB of everything else. The transport lets larger ones pass,
    because `RESOURCE_EXHAUSTED` would open under `failure_mode_allow`."""
    max_concurrent_streams: int = 1024
    """Per connection; Envoy never exceeds what SETTINGS say but opens a further connection."""
    max_batch: int = 64
    """Calls decided together: enough to share a state round trip, few enough not to keep the first one waiting."""
    max_metadata: int = 1024 * 1024
    """Bytes of a call's metadata. Envoy copies a client's `tracestate` there, so it lies well above its header limit
    (60 KiB unless raised)."""

    @property
    def transport_max_message(self) -> int:
        """The message size in bytes that gRPC itself accepts."""
        return max(TRANSPORT_FLOOR, 4 * self.max_message)


class FlowCounts(NamedTuple):
    """What a listener has done so far; plain integers for the metrics."""

    calls: int
    answered: int
    batches: int
    cancelled: int
    """Calls that the proxy gave up before they were decided; they are not decided."""
    late: int
    """Answers that came after the proxy had gone."""
    faults: int
    """Batches in which the decision raised or answered wrongly; every call of them was denied."""


class Listener(Protocol):
    """One open door."""

    @property
    def address(self) -> str:
        """`unix:PATH`, or `HOST:PORT` with the port that was really bound."""

    @property
    def counts(self) -> FlowCounts:
        """What passed through so far."""

    def start(self) -> None:
        """Bind and serve; the health service answers NOT_SERVING until `set_serving(True)`.

        Raises:
            ConfigError: the address, the socket's directory or a certificate cannot be used.
        """

    def set_serving(self, serving: bool) -> None:  # noqa: FBT001 - the one thing that it says
        """Switch what `grpc.health.v1` answers; Check calls are decided either way."""

    def stop(self, grace_s: float) -> None:
        """Answer what is in flight and what still arrives, then close and join all threads; may be repeated.

        Returns when nothing has been in flight and nothing has arrived for `QUIET_S`, or when `grace_s` is over.
        """


class Flow:
    """Counts calls in and out, for the drain and the metrics. One lock, taken once per batch and side."""

    __slots__ = ("_answered", "_batches", "_calls", "_cancelled", "_last", "_late", "_lock")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls = self._answered = self._batches = self._cancelled = self._late = 0
        self._last = time.monotonic()

    def enter(self, calls: int, cancelled: int = 0) -> None:
        """A batch of `calls` has arrived, `cancelled` others were dropped."""
        with self._lock:
            self._calls += calls
            self._batches += 1
            self._cancelled += cancelled
            self._last = time.monotonic()

    def leave(self, calls: int, late: int = 0) -> None:
        """`calls` have been answered, `late` of them after their proxy had gone."""
        with self._lock:
            self._answered += calls
            self._late += late
            self._last = time.monotonic()

    def counts(self, faults: int) -> FlowCounts:
        """The numbers so far."""
        with self._lock:
            return FlowCounts(self._calls, self._answered, self._batches, self._cancelled, self._late, faults)

    @property
    def idle(self) -> bool:
        """Whether all that arrived has been answered."""
        with self._lock:
            return self._calls == self._answered

    def wait_quiet(self, seconds: float) -> bool:
        """Wait until all is answered and nothing has happened for `QUIET_S`; false when `seconds` were not enough."""
        end = time.monotonic() + seconds
        while True:
            now = time.monotonic()
            with self._lock:
                if self._calls == self._answered and now - self._last >= QUIET_S:
                    return True
            if now >= end:
                return False
            time.sleep(min(_POLL_S, end - now))


class Guard:
    """Turns anything that a decision may do into exactly one non-empty answer per call.

    Args:
        decide: the decision.
        failsafe: a serialised `CheckResponse` that denies with 503.

    Raises:
        ValueError: `failsafe` is empty, which Envoy would read as allow.
    """

    __slots__ = ("_decide", "_failsafe", "faults")

    def __init__(self, decide: Decide, failsafe: bytes) -> None:
        if not failsafe:
            raise ValueError("the failsafe answer is empty, which Envoy reads as allow")
        self._decide = decide
        self._failsafe = failsafe
        self.faults = 0

    def answers(self, calls: Sequence[Call]) -> Sequence[bytes]:
        """One answer per call; never raises.

        A panic in a Rust extension derives from BaseException alone, and SystemExit from a library must not end the
        thread that serves, so everything is caught.
        """
        try:
            answers = self._decide(calls)
            if len(answers) == len(calls) and all(answers) and set(map(type, answers)) == {bytes}:
                return answers
            cause = "wrong answers"
        except BaseException as error:  # noqa: BLE001 - see the docstring
            # The type alone: an exception's text may quote what the request carried.
            cause = type(error).__name__
        self.faults += 1
        if self.faults & (self.faults - 1) == 0:  # the 1st, 2nd, 4th, 8th …: a flood of faults is no flood of lines
            _log.error("decision failed, calls denied: cause=%s batches=%d", cause, self.faults)
        return [self._failsafe] * len(calls)
