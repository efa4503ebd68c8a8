"""The store in Redis (7.0 and later) or Valkey (8 and later), on a single server.

A batch is one round trip: one MGET of all containment flags and one script call for each measurement (`step.lua`). What
fails is an entry of the answer, never an exception, and nothing that may have been carried out is sent twice: a step
counted twice would throttle somebody who did nothing. The calls of a batch are independent of each other, so that a
cluster can later take one per slot.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Any

from authz_server.errors import StateUnavailableError
from authz_server.keyhash import KeyedHash
from authz_server.model import Containment, Entity
from authz_server.signals import Measurement, Readings
from authz_server.state.breaker import Breaker
from authz_server.state.keys import Keys
from authz_server.state.pool import Pool
from authz_server.state.script import STEP, Answer, Call, Codec, Script, decode
from authz_server.state.wire import Wire, dialler

BUDGET_MS = 10.0
"""For a whole batch, unless configured: a twentieth of the 200 ms that Envoy waits for an answer by default."""
_NONCES = 1 << 32
_UNFIT = frozenset({"busy", "clusterdown", "loading", "masterdown", "moved", "noauth", "noperm", "readonly"})
"""Error replies that the next command would get as well, and that a new connection may not: after a failover the name
leads to another server."""
_RULE = re.compile(r"[A-Za-z0-9_./-]{1,64}")
"""What a flag tells in clear; an operator's act may name people, and is hashed."""


class RedisStore:
    """Signals and containment flags that all replicas share.

    Args:
        url: `redis://`, `rediss://` or `unix://`.
        keyed: the hash of the deployment; replicas share its secret.
        clock_ms: this replica's wall clock, for the length of containments and for `skew_ms`.
        monotonic: seconds, for budgets and the breaker.
        jitter: numbers in [0, 1) for the breaker.
        budget_ms: how long a batch may wait.
        step: the script; another one only to measure or to test.

    Attributes:
        breaker: open while the server does not answer.
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
    ) -> None:
        dial = dialler(url)
        self._pool = Pool(lambda: Wire(dial(), step, budget_ms / 1000, monotonic), monotonic)
        self._keys = Keys(keyed)
        self._codec = Codec(self._keys, step.sha)
        self._load = (b"SCRIPT", b"LOAD", step.text)
        self._clock_ms = clock_ms
        self._monotonic = monotonic
        self._nonces = count()
        self._keyed = keyed
        self.breaker = Breaker(jitter)
        self.resets = 0
        self.skew_ms = 0

    def apply(self, measurements: Sequence[Measurement]) -> Sequence[Readings | StateUnavailableError]:
        """Count and read a batch; see `Store.apply`.

        A contained entity is reported even when the counting of its step failed (`degraded`, readings 0): containment
        is decided first and must not be lost with them.
        """
        flags: dict[Entity, None] = {}
        asked = []
        for measurement in measurements:
            if measurement.flags:
                flags |= dict.fromkeys(measurement.flags)
            asked.append(self._codec.encode(measurement, self._nonce()))
        calls = [call for call in asked if isinstance(call, Call)]
        if not calls and flags:
            # The reply of MGET carries no nonce; the echo behind it proves that it is not another command's.
            calls.append(self._codec.encode_echo(self._nonce()))
        contained: frozenset[Entity] | StateUnavailableError = frozenset()
        answers: Sequence[Answer | StateUnavailableError] = ()
        if calls:
            try:
                contained, answers = self._ask(flags, calls)
            except StateUnavailableError as error:
                contained, answers = error, [error] * len(calls)
        answer = iter(answers)
        return [
            _conclude(measurement, next(answer) if isinstance(call, Call) else call, contained)
            for measurement, call in zip(measurements, asked, strict=True)
        ]

    def contain(self, containment: Containment) -> None:
        """Store a containment; a longer one that is stored stays. See `Store.contain`."""
        remaining = int(containment.until * 1000) - self._clock_ms()
        if remaining <= 0:
            return
        key = self._keys.flag(containment.entity)
        command = (b"SET", key, self._flag_value(containment), b"PX", b"%d" % remaining)
        with_condition = (*command, b"NX")
        if self._command(with_condition) is None and -1 != self._command((b"PTTL", key)) < remaining:
            self._command(command)

    def release(self, entity: Entity) -> None:
        """Remove a containment; see `Store.release`."""
        self._command((b"DEL", self._keys.flag(entity)))

    def ping(self) -> None:
        """Make a call that measures nothing, breaker or not: an answer closes it. See `Store.ping`."""
        _, (answer,) = self._converse((), [self._codec.encode_echo(self._nonce())])
        if isinstance(answer, StateUnavailableError):
            raise StateUnavailableError(answer.code)

    def close(self) -> None:
        """Close all connections, those in use when their batch is done."""
        self._pool.close()

    def _nonce(self) -> int:
        return next(self._nonces) % _NONCES

    def _flag_value(self, containment: Containment) -> bytes:
        rule = containment.rule
        shown = rule if _RULE.fullmatch(rule) else self._keyed.hex((rule,), 8)
        return f"1|{shown}|{int(containment.until)}".encode()

    def _ask(
        self, flags: Iterable[Entity], calls: Sequence[Call]
    ) -> tuple[frozenset[Entity] | StateUnavailableError, list[Answer | StateUnavailableError]]:
        if not self.breaker.admit(self._monotonic()):
            raise StateUnavailableError("breaker_open")
        flags = tuple(flags)
        held, answers = self._converse(tuple(map(self._keys.flag, flags)), calls)
        first = answers[0]
        if isinstance(first, Answer):
            self.skew_ms = first.now_ms - self._clock_ms()
        if isinstance(held, StateUnavailableError):
            return held, answers
        if held.count(None) == len(held):
            return frozenset(), answers
        return frozenset([entity for entity, value in zip(flags, held, strict=True) if value is not None]), answers

    def _converse(
        self, flags: tuple[bytes, ...], calls: Sequence[Call]
    ) -> tuple[list[Any] | StateUnavailableError, list[Answer | StateUnavailableError]]:
        """Make one round trip, and tell the breaker how it went.

        Returns:
            The values of the flags' keys, and for each call its answer.

        Raises:
            StateUnavailableError: nothing was answered; what was sent may have been carried out.
        """
        fit = False
        wire = None
        try:
            wire = self._pool.take()
            held, answers = self._exchange(wire, flags, calls)
            fit = not any(map(_is_unfit, answers))
            return held, answers
        finally:
            if fit and wire:
                self._pool.put_back(wire)
                self.breaker.succeeded()
            else:
                if wire:
                    wire.close()
                self.breaker.failed(self._monotonic())

    def _exchange(
        self, wire: Wire, flags: tuple[bytes, ...], calls: Sequence[Call]
    ) -> tuple[list[Any] | StateUnavailableError, list[Answer | StateUnavailableError]]:
        started = self._monotonic()
        commands = [call.command for call in calls]
        if flags:
            commands.insert(0, (b"MGET", *flags))
        replies = wire.exchange(commands, started)
        held = replies.pop(0) if flags else []
        if not isinstance(held, StateUnavailableError) and (type(held) is not list or len(held) != len(flags)):
            raise StateUnavailableError("protocol")
        answers = [decode(call, reply) for call, reply in zip(calls, replies, strict=True)]
        lost = [place for place, answer in enumerate(answers) if _is_noscript(answer)]
        if lost:
            # Somebody flushed the scripts: these calls were refused before they began, so that they can be sent again.
            again = [self._load, *(calls[place].command for place in lost)]
            for place, reply in zip(lost, wire.exchange(again, started)[1:], strict=True):
                answers[place] = decode(calls[place], reply)
        self.resets += sum([answer.resets for answer in answers if isinstance(answer, Answer)])
        return held, answers

    def _command(self, command: tuple[bytes, ...]) -> Any:
        """Send one command of the control plane; each of them may be repeated by the caller."""
        wire = self._pool.take()
        done = False
        try:
            (reply,) = wire.exchange([command], self._monotonic())
            done = not _is_unfit(reply)
        finally:
            if done:
                self._pool.put_back(wire)
            else:
                wire.close()
        if isinstance(reply, StateUnavailableError):
            raise StateUnavailableError(reply.code)
        return reply


def _is_unfit(reply: Any) -> bool:
    return isinstance(reply, StateUnavailableError) and reply.code in _UNFIT


def _is_noscript(answer: Answer | StateUnavailableError) -> bool:
    return isinstance(answer, StateUnavailableError) and answer.code == "noscript"


def _conclude(
    measurement: Measurement,
    answer: Answer | StateUnavailableError | None,
    contained: frozenset[Entity] | StateUnavailableError,
) -> Readings | StateUnavailableError:
    """Put the entry of one measurement together."""
    held: tuple[Entity, ...] = ()
    if measurement.flags:
        if isinstance(contained, StateUnavailableError):
            return contained
        if contained:
            held = tuple([entity for entity in measurement.flags if entity in contained])
    if answer is None:
        return Readings((), False, held)
    if isinstance(answer, StateUnavailableError):
        return Readings((0,) * len(measurement.hits), contained=held, degraded=True) if held else answer
    return Readings(answer.values, answer.repeated, held)
