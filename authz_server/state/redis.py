"""The store in Redis (7.0 and later) or Valkey (8 and later): one server, the primary that sentinels name, or a cluster.

A batch is one round trip: one MGET of all containment flags and one script call for each measurement (`step.lua`); on a
cluster one GET for each flag and one call for each entity of each measurement. What
fails is an entry of the answer, never an exception, and nothing that may have been carried out is sent twice: a step
counted twice would throttle somebody who did nothing.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from typing import Any, NamedTuple

from authz_server.errors import StateUnavailableError
from authz_server.keyhash import KeyedHash
from authz_server.model import Containment, Entity
from authz_server.signals import Measurement, Readings
from authz_server.state.divided import Division
from authz_server.state.keys import Keys
from authz_server.state.names import EPOCH
from authz_server.state.network import Command, Sendable, Tally
from authz_server.state.script import STEP, Answer, Call, Codec, Script, conclude
from authz_server.state.terms import Terms
from authz_server.state.topology import network_at

BUDGET_MS = 10.0
"""For a whole batch, unless configured: a twentieth of the 200 ms that Envoy waits for an answer by default."""
CONTROL_S = 0.1
"""At least for a command of the control plane, which no decision waits for."""
_NONCES = 1 << 32
_UNTOLD = b"?"
"""No epoch: what no server holds there."""
_RULE = re.compile(r"[A-Za-z0-9_./-]{1,64}")
"""What a flag tells in clear; an operator's act may name people, and is hashed."""


class RedisStore:
    """Signals and containment flags that all replicas share.

    Args:
        url: `redis://`, `rediss://`, `unix://`, or one of the first two with `+sentinel` or `+cluster`.
        keyed: the hash of the deployment; replicas share its secret.
        clock_ms: this replica's wall clock, for the length of containments and for `skew_ms`.
        monotonic: seconds, for budgets and the breaker.
        jitter: numbers in [0, 1) for the breaker.
        budget_ms: how long a batch may wait.
        step: the script; another one only to measure or to test.
        on_epoch: is told the stream ID of the newest record of containment, or `b""` when there is none, whenever a batch
            reads another one than before; on the thread of a decision. A cluster never tells.

    Attributes:
        resets: stored values met so far that another version wrote and this one took for empty.
        skew_ms: the server's clock minus ours, as of the last answer.

    Raises:
        ValueError: the URL cannot be read.
    """

    def __init__(
        self,
        url: str,
        keyed: KeyedHash,
        *,
        clock_ms: Callable[[], int],
        monotonic: Callable[[], float],
        jitter: Callable[[], float],
        budget_ms: float = BUDGET_MS,
        step: Script = STEP,
        on_epoch: Callable[[bytes], None] | None = None,
    ) -> None:
        self._keys = Keys(keyed)
        self._codec = Codec(self._keys, step.sha)
        self._tally = Tally()
        probe = self._codec.encode_echo(0).parts
        terms = Terms(
            script=step, probe=probe, budget_s=budget_ms / 1000, clock=monotonic, jitter=jitter, tally=self._tally
        )
        self._network = network_at(url, terms)
        self._control_s = max(CONTROL_S, budget_ms / 1000)
        self._clock_ms = clock_ms
        self._monotonic = monotonic
        self._nonces = count()
        self._keyed = keyed
        self._on_epoch = on_epoch
        self._epoch: bytes | None = _UNTOLD
        self.resets = 0
        self.skew_ms = 0

    @property
    def errors(self) -> Mapping[str, int]:
        """Errors so far by code; those that were mended by sending a command once more among them."""
        return self._tally.read()

    @property
    def is_open(self) -> bool:
        """Whether calls to a server, on a cluster to any of them, are held back because it does not answer."""
        return self._network.is_open()

    def apply(self, measurements: Sequence[Measurement]) -> Sequence[Readings | StateUnavailableError]:
        """Count and read a batch; see `Store.apply`.

        A contained entity is reported even when the counting of its step failed (`degraded`, readings 0): containment
        is decided first and must not be lost with them.
        """
        if not self._network.undivided:
            return self._apply_divided(measurements)
        flags: dict[Entity, None] = {}
        asked = []
        for measurement in measurements:
            if measurement.flags:
                flags |= dict.fromkeys(measurement.flags)
            asked.append(self._codec.encode(measurement, self._nonce()))
        calls = [call for call in asked if type(call) is Call]
        if not calls and flags:
            # The reply of MGET carries no nonce; the echo behind it proves that it is not another command's.
            calls.append(self._codec.encode_echo(self._nonce()))
        contained, answers = self._ask(flags, calls) if calls else (frozenset[Entity](), [])
        answer = iter(answers)
        return [
            conclude(measurement, next(answer) if isinstance(call, Call) else call, contained)
            for measurement, call in zip(measurements, asked, strict=True)
        ]

    def _apply_divided(self, measurements: Sequence[Measurement]) -> Sequence[Readings | StateUnavailableError]:
        division = Division(measurements, self._keys, self._codec, self._nonce)
        commands = division.commands
        replies = self._network.exchange(commands, self._monotonic()) if commands else []
        answers = division.answers(replies)
        self._note(answers)
        return [
            conclude(measurement, answer, division.contained(replies, measurement))
            for measurement, answer in zip(measurements, answers, strict=True)
        ]

    def contain(self, containment: Containment) -> None:
        """Store a containment; a longer one that is stored stays. See `Store.contain`."""
        remaining = int(containment.until * 1000) - self._clock_ms()
        if remaining <= 0:
            return
        key = self._keys.flag(containment.entity)
        parts = (b"SET", key, self._flag_value(containment), b"PX", b"%d" % remaining)
        if self.command(key, *parts, b"NX") is None and -1 != self.command(key, b"PTTL", key) < remaining:
            self.command(key, *parts)

    def release(self, entity: Entity) -> None:
        """Remove a containment; see `Store.release`."""
        key = self._keys.flag(entity)
        self.command(key, b"DEL", key)

    def command(self, key: bytes, *parts: bytes) -> Any:
        """Carry out one command of the control plane.

        Args:
            key: chooses the node of a cluster; `b""`: any.
            parts: the command's name and its arguments.

        Returns:
            The reply as the server gave it.

        Raises:
            StateUnavailableError: there was none, or it was an error.
        """
        (reply,) = self.commands([Command(key, parts)])
        if isinstance(reply, StateUnavailableError):
            raise StateUnavailableError(reply.code, reply.sent)
        return reply

    def commands(self, commands: Sequence[Command]) -> list[Any]:
        """Carry out commands of the control plane in one round trip: one reply or error for each, in order.

        The store is tended to at that, so that whoever calls this often (the feed does) spares the decisions the probes.
        """
        self._network.tend()
        return self._network.exchange(commands, self._monotonic(), budget_s=self._control_s) if commands else []

    def prompt(self, commands: Sequence[Command]) -> list[Any]:
        """Carry out commands that a decision waits for: like `commands`, within the budget of a batch, and nothing is tended to."""
        return self._network.exchange(commands, self._monotonic()) if commands else []

    def tend(self) -> None:
        """Do what is due and no decision should wait for; see `Network.tend`."""
        self._network.tend()

    def ping(self) -> None:
        """Make a call that measures nothing to every server, breaker or not: an answer closes it. See `Store.ping`."""
        for reply in self._network.ping():
            if isinstance(reply, StateUnavailableError):
                raise StateUnavailableError(reply.code, reply.sent)

    def close(self) -> None:
        """Close all connections, those in use when their batch is done."""
        self._network.close()

    def _nonce(self) -> int:
        return next(self._nonces) % _NONCES

    def _flag_value(self, containment: Containment) -> bytes:
        rule = containment.rule
        shown = rule if _RULE.fullmatch(rule) else self._keyed.hex((rule,), 8)
        return f"1|{shown}|{int(containment.until)}".encode()

    def _ask(
        self, flags: Iterable[Entity], calls: Sequence[Call]
    ) -> tuple[frozenset[Entity] | StateUnavailableError, list[Answer | StateUnavailableError]]:
        """Make one round trip: who of `flags` is contained, and for each call its answer."""
        commands: list[Sendable] = list(calls)
        flags = tuple(flags)
        if flags:
            names = [self._keys.flag(entity) for entity in flags]
            if self._on_epoch:
                names.append(EPOCH)
            commands.insert(0, _Flags(b"", (b"MGET", *names), len(names)))
        replies = self._network.exchange(commands, self._monotonic())
        held = replies.pop(0) if flags else []
        self._note(replies)
        if isinstance(held, StateUnavailableError):
            return held, replies
        if flags and self._on_epoch:
            self._tell(self._on_epoch, held.pop())
        if held.count(None) == len(held):
            return frozenset(), replies
        return frozenset([entity for entity, value in zip(flags, held, strict=True) if value is not None]), replies

    def _note(self, answers: Sequence[Any]) -> None:
        """Keep what answers tell beside their readings."""
        first = answers[0] if answers else None
        if type(first) is Answer:
            self.skew_ms = first.now_ms - self._clock_ms()
        self.resets += sum([answer.resets for answer in answers if type(answer) is Answer])

    def _tell(self, on_epoch: Callable[[bytes], None], epoch: bytes | None) -> None:
        if epoch != self._epoch:
            self._epoch = epoch
            on_epoch(epoch or b"")


class _Flags(NamedTuple):
    """The MGET of a batch."""

    key: bytes
    parts: tuple[bytes, ...]
    wanted: int
    """Values in the reply."""

    def read(self, reply: Any) -> Any:
        """Give the values, or the error that stands for them."""
        if isinstance(reply, StateUnavailableError) or (type(reply) is list and len(reply) == self.wanted):
            return reply
        raise StateUnavailableError("protocol")
