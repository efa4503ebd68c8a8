"""What a folded hit is, and how it is read: the names of the instances that many hits share, and the reading beside them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from authz_server.model import Entity
from authz_server.policy.heritage import OWNER
from authz_server.policy.reporters import REPORTERS
from authz_server.signals import Hit, Readings, SignalKind

OTHER: Final = "~other"
"""The instance of all that a principal has too much of."""
CELL: Final = "~cell"
"""One of the instances that anonymous callers share."""
CELLS: Final = 4096
"""What anonymous callers share, for each signal: half a megabyte, and a busy address disturbs one in 4 096."""
_OTHER_REST: Final = (OTHER,)
_FOLDED_PARTS: Final = 2
"""An entity of a step has one part; `~other` and `~cell` stand in front of a second one, so that no client can imitate them."""
_BESIDE: Final = "~beside:"
"""In the `group` of a hit that only reads, with the place of the hit to whose reading its own is added."""

FREE: Final = frozenset(
    {
        "principal",
        "principal.id",
        "principal.trust_domain",
        "principal.namespace",
        "principal.service_account",
        "principal.cohort",
        "principal.authenticated_by",
        "lineage",
        OWNER,
        "task",
        "task.template",
        "task.id",
        "task.issuer",
        "task.agent",
        "task.originator",
        "action",
        "action.name",
        "action.kind",
        "action.stage",
        "action.sensitivity",
        "destination",
        "destination.service",
        "destination.principal",
        "credential.kind",
        "request.body_state",
    }
)
"""Types of entities that no client makes up: proved by a certificate or a token, or listed by an operator."""


def costs_nothing(hit: Hit) -> bool:
    """Whether its instance is no client's making, or folded already."""
    entity, rest = hit.entity, hit.rest
    if entity.type in FREE:
        return not rest or rest == _OTHER_REST
    return len(entity.parts) == _FOLDED_PARTS and entity.parts[0] in {OTHER, CELL}


def folded(hit: Hit, whose: str) -> Hit:
    """The hit in `~other`, where a level is never lowered."""
    signal, entity, rest, member, stage, amount, group = hit
    if entity.type not in FREE:
        entity = Entity(entity.type, (OTHER, whose))
    if signal.kind is SignalKind.LEVEL:
        amount = max(0, amount)
    return Hit(signal, entity, _OTHER_REST if rest else (), member, stage, amount, group)


def in_cell(hit: Hit, digest: bytes) -> Hit:
    """The hit in its cell, where what is remembered of one address stands for no other."""
    signal, entity, _, member, stage, amount, group = hit
    cell = int.from_bytes(digest) % CELLS
    if member and signal.kind in {SignalKind.FAMILIAR, SignalKind.LEVEL}:
        member = f"{digest.hex()}:{member}"
    return Hit(signal, Entity(entity.type, (CELL, str(cell))), (), member, stage, amount, group)


def readers(beside: Sequence[tuple[int, Hit]]) -> list[Hit]:
    """Hits that read the instances of these and change nothing; those whose readings are to be added come last."""
    largest: list[Hit] = []
    added: list[Hit] = []
    for place, (signal, entity, rest, *_) in beside:
        # Of two readings the larger counts where a sum means nothing, or would vouch for more than was seen.
        if signal.kind is SignalKind.FAMILIAR or signal.name.startswith(REPORTERS):
            largest.append(Hit(signal, entity, rest, amount=0))
        else:
            added.append(Hit(signal, entity, rest, amount=0, group=f"{_BESIDE}{place}"))
    return largest + added


def raised(hits: Sequence[Hit], readings: Readings) -> Readings:
    """Add to the readings of folded hits what they do not tell themselves; the same object when nothing was folded.

    Args:
        hits: as `KeyBounds.fold` gave them for reading.
        readings: parallel to them.
    """
    if not hits or not hits[-1].group.startswith(_BESIDE):
        return readings
    values = list(readings.values)
    for place in range(len(hits) - 1, -1, -1):
        group = hits[place].group
        if not group.startswith(_BESIDE):
            break
        values[place] += values[int(group[len(_BESIDE) :])]
    return readings._replace(values=tuple(values))


def without_lowering(hits: tuple[Hit, ...]) -> tuple[Hit, ...]:
    """Leave out what an outcome would lower in `~other`: good steps here must not outweigh bad ones there.

    Args:
        hits: fed by an outcome, of hits that were folded when they were expected.
    """
    lowering = [_is_other(hit) and hit.amount < 0 and hit.signal.kind is SignalKind.LEVEL for hit in hits]
    if not any(lowering):
        return hits
    return tuple([hit for hit, lowers in zip(hits, lowering, strict=True) if not lowers])


def apart(hits: Sequence[Hit]) -> Iterator[tuple[Hit, ...]]:
    """Hits in as few measurements as count each of them: those of one measurement do not see each other."""
    left = Counter(hits)
    while left:
        yield tuple(left)
        left = Counter({hit: count - 1 for hit, count in left.items() if count > 1})


def _is_other(hit: Hit) -> bool:
    parts = hit.entity.parts
    if hit.rest == _OTHER_REST and hit.entity.type in FREE:
        return True
    return len(parts) == _FOLDED_PARTS and parts[0] == OTHER
