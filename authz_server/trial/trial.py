"""The engine on a virtual clock, with a store of its own: what cases, replays and explanations run on."""

from collections.abc import Sequence
from itertools import count
from typing import Final

from authz_server.engine import Engine, Ports, Trust
from authz_server.engine.heritage import Heritage
from authz_server.engine.owners import MemoryOwners
from authz_server.engine.tally import Tally
from authz_server.envoy.credentials import CredentialSource
from authz_server.envoy.decode import Decoder, DecodeSettings
from authz_server.envoy.encode import Encoder
from authz_server.identity.authenticate import Authenticator, TrustSettings
from authz_server.identity.caller import build_caller_settings
from authz_server.keyhash import KeyedHash
from authz_server.model import Call, Caller, CallerKind, Entity, Invalid, Outcome, Principal, Request, Task
from authz_server.policy.envelopes import Meter
from authz_server.policy.snapshot import Snapshot
from authz_server.record import DecisionEvent
from authz_server.signals import Hit
from authz_server.state.containment import ContainedSet
from authz_server.state.guard import ContainmentGuard
from authz_server.state.memory import MemoryStore
from authz_server.trial.described import ISSUER, Described, encode_check
from authz_server.trial.described_proofs import DescribedProofs

TRIAL_KEY: Final = KeyedHash(b"a policy tried out, not in force")
"""Shares of `enforce` come out the same in every trial, and otherwise than in any deployment."""
MAX_AUTO: Final = 1_000_000
"""Automatic containments that a trial admits: whether there were too many is for its result to show."""
PRUNE_S: Final = 60.0
"""Seconds of the trial between two looks for containments that have ended: each looks at all of them."""

_SOURCES: Final = (CredentialSource("authorization", ("bearer", "basic")), CredentialSource("x-api-key"))
_NOBODY: Final = Described()
_SEVERAL: Final = "*"
"""No name of a service."""
_SOCKET: Final = Caller(CallerKind.SOCKET, "trial")


class _OneSnapshot:
    """The policy of a trial: one, for good."""

    refuses = False

    def __init__(self, snapshot: Snapshot) -> None:
        self.current = snapshot


class _Contained(ContainedSet):
    """The local set, tidied up as seldom as a server's would be: a trial ticks after every step."""

    __slots__ = ("_next",)

    def __init__(self) -> None:
        super().__init__()
        self._next = 0.0

    def prune(self, now: float) -> None:
        """Forget what has expired, if it is time to."""
        if now >= self._next:
            self._next = now + PRUNE_S
            super().prune(now)


class Trial:
    """One policy on a clock of its own.

    Attributes:
        now: Unix time in seconds; whoever runs the trial sets it, and never back.
    """

    def __init__(self, snapshot: Snapshot, now: float) -> None:
        """Start with nothing measured and nobody contained.

        Args:
            snapshot: compiled with `TRIAL_KEY`, so that the shares of `enforce` fit.
            now: Unix time in seconds.
        """
        self.now = now
        self._serial = count(1)
        self._services: dict[str, str] = {}
        """The service that each proxy speaks for."""
        self._step = Described()
        self._events: list[DecisionEvent] = []
        store = MemoryStore(TRIAL_KEY, lambda: int(self.now * 1000))
        ports = Ports(
            decoder=Decoder(DecodeSettings(TRIAL_KEY, _SOURCES)),
            encoder=Encoder(),
            policy=_OneSnapshot(snapshot),
            store=store,
            local=store,
            contained=_Contained(),
            guard=ContainmentGuard(_never, MAX_AUTO, 600.0, 1.0),
            keyed=TRIAL_KEY,
            clock=lambda: self.now,
            monotonic=lambda: 0.0,
            new_id=lambda: "0" * 32,
            submit=self._events.append,
            wake=lambda: None,
            tally=Tally(),
            meter=Meter(),
            tasks=self,
            approvals=self,
            proofs=DescribedProofs(lambda: self._step),
            injects=True,
            heritage=Heritage(MemoryOwners()),
        )
        trust = Trust(Authenticator(TrustSettings(None, ("principal",))), build_caller_settings(("spiffe://**",)))
        self._engine = Engine(ports, trust)

    def decide(self, step: Described) -> tuple[DecisionEvent, bytes]:
        """Decide one step at the present time; what it teaches is taken in before the next.

        Returns:
            The event, and the bytes of the CheckResponse.
        """
        return self.decide_check(encode_check(step, next(self._serial)), step)

    def decide_check(self, payload: bytes, step: Described = _NOBODY) -> tuple[DecisionEvent, bytes]:
        """Decide the bytes of a check.

        Args:
            payload: a serialised CheckRequest.
            step: its task, its approvals, and who the proxy is; the rest of it is not looked at.
        """
        self._step = step
        (answer,) = self._engine.decide([Call(payload, self._caller(step), None)])
        self._engine.tick()
        deciding = self._events[-1]  # of several calls in one body
        self._events.clear()
        return deciding, answer

    def _caller(self, step: Described) -> Caller:
        """The proxy: a sidecar is the destination itself, and one that speaks for two services is a gateway."""
        named = step.destination_principal
        if named and self._services.setdefault(named, step.service) != step.service:
            self._services[named] = _SEVERAL
        return Caller(CallerKind.MTLS, named) if named and self._services[named] != _SEVERAL else _SOCKET

    def learn(self, event: DecisionEvent, outcome: Outcome) -> None:
        """Tell what the destination answered to an allowed step, at the present time."""
        self.feed(event.expected, outcome)

    def feed(self, expected: Sequence[Hit], outcome: Outcome) -> None:
        """The same, by what the decision's event expected of the outcome."""
        if expected:
            self._engine.learn(expected, outcome)
            self._engine.tick()

    def task_of(
        self,
        request: Request,  # noqa: ARG002 - `TaskSource`
        principal: Principal | None,  # noqa: ARG002 - as above
        now: float,  # noqa: ARG002 - as above
        jkt: str = "",  # noqa: ARG002 - as above
    ) -> Task | Invalid | None:
        """The described step's task, as if its token had been verified."""
        task = self._step.task
        if not isinstance(task, Task) or task.issuer != ISSUER:
            return task
        template = self._engine.ports.policy.current.tasks.templates.get(task.template)
        return task if template is None else task._replace(issuer=template.entry.issuers[0])

    def approved(self, request: Request, principal: Principal | None, now: float) -> frozenset[str]:  # noqa: ARG002 - `ApprovalSource`
        """The described step's approvals."""
        return self._step.approved


def _never(entity: Entity) -> bool:  # noqa: ARG001 - nobody is exempt from a trial
    return False
