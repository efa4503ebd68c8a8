"""How allowed steps ended, from the access logs of the proxies that asked about them, to the signals that outcomes feed.

A log is evidence and never authority: it is lossy, and whoever writes it could leave lines out. So an outcome counts only
with the join that this deployment sealed for that decision and that proxy, and once.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from authz_server.control.remembered import Remembered
from authz_server.control.unchecked import Unchecked
from authz_server.engine import PolicySource
from authz_server.envoy.accesslog import LogEntry, decode_batch, read_entry
from authz_server.envoy.join import LIFE_S, MAX_SKEW_S, JoinCodec, JoinError, join_reporter
from authz_server.errors import DecodeError
from authz_server.identity.caller import CallerSettings
from authz_server.model import Call, Caller, CallerKind, Outcome
from authz_server.policy.snapshot import Snapshot
from authz_server.signals import Hit, Signal
from authz_server.spiffe import parse_spiffe_id
from authz_server.verdict import Decision

LOG: Final = logging.getLogger(__name__)

CODES: Final = (
    "learned",
    "unfed",
    "refused",
    "join_missing",
    "join_forged",
    "join_expired",
    "join_other_reporter",
    "join_repeated",
    "unchecked_request",
    "exempt",
    "not_forwarded",
    "unfinished",
    "tcp",
    "surplus",
    "entry_faulty",
    "message_malformed",
)
"""What can become of an entry, and, the last, of a message."""
TAKEN: Final = b"taken"
"""What a listener's guard wants to see for each message; nobody is told."""
PACE_ENTRIES: Final = 32
"""So many entries, about 1 ms of work, and then ..."""
PACE_S: Final = 0.001
"""... a pause of this many seconds: logs must not keep decisions waiting for the interpreter, however many there are."""
PACE_BYTES: Final = 8192
"""Bytes of a message that are as much work as an entry."""
_PROVED: Final = frozenset({CallerKind.MTLS, CallerKind.SIDECAR})


class OutcomePorts(NamedTuple):
    """What the outcomes are given: their collaborators and their sources of time."""

    codec: JoinCodec
    policy: PolicySource
    learn: Callable[[Sequence[Hit], Outcome, str], None]
    """`Engine.learn`."""
    callers: Callable[[], CallerSettings]
    """Which proxies may ask, and so report, at the moment."""
    clock: Callable[[], float]
    """Unix seconds."""
    pause: Callable[[float], None]
    """Waits for so many seconds."""
    alert: Callable[[dict[str, Any]], None]
    """Records an alert; see `Unchecked`."""
    exempt: frozenset[str] = frozenset()
    """Names of routes that are not checked on purpose."""


class Outcomes:
    """Takes messages of access logs. Threads may share it; they take turns."""

    def __init__(self, ports: OutcomePorts) -> None:
        self._ports = ports
        self._turn = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._work = 0
        self._remembered = Remembered(LIFE_S + MAX_SKEW_S)
        self._unchecked = Unchecked(ports.alert)
        self._snapshot: Snapshot | None = None
        self._signals: Mapping[str, Signal] = {}

    @property
    def counts(self) -> dict[str, int]:
        """How many entries, and malformed messages, there were so far of each of `CODES`."""
        return {code: self._counts[code] for code in CODES}

    def admits(self, caller: Caller) -> bool:
        """Whether a proxy may report: who may ask. Whose steps it may report is what the joins say."""
        if not caller.valid:
            return False
        if caller.kind not in _PROVED:
            return True
        settings, name = self._ports.callers(), parse_spiffe_id(caller.id)
        if name is None or not name.path:
            return False
        return caller.id in settings.gateways or any(pattern.matches(caller.id) for pattern in settings.proxies)

    def take(self, calls: Sequence[Call]) -> Sequence[bytes]:
        """Take messages of proxies that `admits`.

        Args:
            calls: serialised `StreamAccessLogsMessage`s.

        Returns:
            `TAKEN` for each. Never raises for what is in a message.
        """
        with self._turn:
            for call in calls:
                self._take(call)
        return [TAKEN] * len(calls)

    def _take(self, call: Call) -> None:
        self._rest(1 + len(call.payload) // PACE_BYTES)
        try:
            batch = decode_batch(call.payload)
        except DecodeError as error:
            self._counts[error.code] += 1
            return
        self._counts["surplus"] += batch.surplus
        self._counts["tcp"] += batch.tcp
        for message in batch.entries:
            self._rest(1)
            try:
                code = self._judge(read_entry(message), call.caller)
            except JoinError as error:
                code = error.code
            except Exception as error:  # noqa: BLE001 - one entry's failure must not take the others along
                code = "entry_faulty"
                LOG.debug("an entry could not be read: cause=%s", type(error).__name__)
            self._counts[code] += 1

    def _judge(self, entry: LogEntry, caller: Caller) -> str:
        """What becomes of an entry.

        Raises:
            JoinError: its join teaches nothing.
        """
        ports = self._ports
        if not entry.final:
            return "unfinished"
        if not entry.decision:
            return self._missed(entry, caller)
        if entry.decision != Decision.ALLOW.value:
            return "refused"  # by us: what the caller was not let to do has no outcome
        now = ports.clock()
        hits = ports.codec.open(entry.join, entry.decision_id, join_reporter(caller), now, self._known())
        if not self._remembered.add(entry.decision_id, now):
            raise JoinError("join_repeated")
        if not hits:
            return "unfed"
        ports.learn(hits, entry.outcome, entry.decision_id)
        return "learned"

    def _missed(self, entry: LogEntry, caller: Caller) -> str:
        """What to think of a request without a decision of ours."""
        if not entry.forwarded:
            return "not_forwarded"  # answered by the proxy itself, as it does when we cannot be reached
        if entry.route in self._ports.exempt:
            return "exempt"
        self._unchecked.add(entry, caller, self._ports.clock())
        return "unchecked_request"

    def _known(self) -> Mapping[str, Signal]:
        """The signals of the policy in force, by id."""
        snapshot = self._ports.policy.current
        if snapshot is not self._snapshot:
            self._signals = {plan.signal.id: plan.signal for plan in snapshot.plans.values()}
            self._snapshot = snapshot
        return self._signals

    def _rest(self, work: int) -> None:
        self._work += work
        if self._work >= PACE_ENTRIES:
            self._work = 0
            self._ports.pause(PACE_S)
