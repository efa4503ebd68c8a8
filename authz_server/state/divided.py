"""A batch on a cluster: what concerns one entity goes to its node, and the readings are put together again.

No rule needs two entities to be counted at one moment. A step of which one entity could not be counted is an error as a whole:
its rules would read numbers that are not there.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from authz_server.errors import StateUnavailableError
from authz_server.model import Entity
from authz_server.signals import Measurement
from authz_server.state.keys import Keys
from authz_server.state.network import Command, Sendable
from authz_server.state.script import Answer, Call, Codec


class _Part(NamedTuple):
    """What one call counts of a step."""

    command: int
    """Its place among the commands."""
    places: tuple[int, ...]
    """Of its hits among those of the step."""


class Division:
    """The commands of one batch, a call for each entity of each step, and what becomes of their replies.

    Args:
        measurements: the batch.
        keys: of the deployment.
        codec: of the script.
        nonce: gives 32 bits that no other call carries.

    Attributes:
        commands: to be carried out, the flags first.
    """

    def __init__(self, measurements: Sequence[Measurement], keys: Keys, codec: Codec, nonce: Callable[[], int]) -> None:
        self._measurements = measurements
        flags = dict.fromkeys([entity for measurement in measurements for entity in measurement.flags])
        self._flags = {entity: place for place, entity in enumerate(flags)}
        self.commands: list[Sendable] = [Command(key, (b"GET", key), _flag) for key in map(keys.flag, flags)]
        self._codec = codec
        self._nonce = nonce
        self._asked = [self._divide(measurement) for measurement in measurements]

    def _divide(self, measurement: Measurement) -> list[_Part] | StateUnavailableError:
        """Make the calls of one step; none of them if one cannot be made."""
        places: dict[Entity, list[int]] = {}
        for place, hit in enumerate(measurement.hits):
            places.setdefault(hit.entity, []).append(place)
        calls: list[Call] = []
        for own in places.values():
            hits = tuple([measurement.hits[place] for place in own])
            call = self._codec.encode(measurement._replace(hits=hits, flags=()), self._nonce())
            if not isinstance(call, Call):
                return call or StateUnavailableError("signal_unsupported", sent=False)
            calls.append(call)
        first = len(self.commands)
        self.commands += calls
        return [_Part(first + rank, tuple(own)) for rank, own in enumerate(places.values())]

    def answers(self, replies: Sequence[Any]) -> list[Answer | StateUnavailableError | None]:
        """Put the answers of each step together: None for one without hits."""
        return [
            asked
            if isinstance(asked, StateUnavailableError)
            else _unite(asked, [replies[part.command] for part in asked], len(measurement.hits))
            for measurement, asked in zip(self._measurements, self._asked, strict=True)
        ]

    def contained(self, replies: Sequence[Any], measurement: Measurement) -> frozenset[Entity] | StateUnavailableError:
        """Say which of a step's entities are contained, or why that is not known of one of them."""
        held = []
        for entity in measurement.flags:
            reply = replies[self._flags[entity]]
            if isinstance(reply, StateUnavailableError):
                return reply
            if reply is not None:
                held.append(entity)
        return frozenset(held)


def _unite(
    parts: Sequence[_Part], answers: Sequence[Answer | StateUnavailableError], hits: int
) -> Answer | StateUnavailableError | None:
    if not parts:
        return None
    failure = next((answer for answer in answers if isinstance(answer, StateUnavailableError)), None)
    if failure is not None:
        sent = any(not isinstance(answer, StateUnavailableError) or answer.sent for answer in answers)
        return StateUnavailableError(failure.code, sent=sent)
    values = [0] * hits
    united = [answer for answer in answers if isinstance(answer, Answer)]
    for part, answer in zip(parts, united, strict=True):
        for place, value in zip(part.places, answer.values, strict=True):
            values[place] = value
    repeated = all(answer.repeated for answer in united)
    return Answer(tuple(values), repeated, sum([answer.resets for answer in united]), united[0].now_ms)


def _flag(reply: Any) -> Any:
    """Read the value of a flag: a text, nothing, or an error."""
    if reply is None or isinstance(reply, (bytes, StateUnavailableError)):
        return reply
    raise StateUnavailableError("protocol")
