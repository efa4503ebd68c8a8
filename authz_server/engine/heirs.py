"""What a step inherits: it is read with the step's own, and told apart from it.

The hits that read another lineage's past stand behind the step's own in its measurement, and nowhere else: the step's own
readings are concluded as always, with what was inherited already where the conditions read it.
"""

from collections.abc import Mapping, Sequence

from authz_server.engine.batch import Waiting
from authz_server.engine.heritage import Heritage
from authz_server.pdp import Pending
from authz_server.policy.facts import lineage_of
from authz_server.policy.heritage import exceeding, inherited_hits
from authz_server.readings import take_readings
from authz_server.signals import Readings


def extend(heritage: Heritage | None, waiting: Sequence[Waiting], now: float) -> Sequence[Waiting]:
    """Add to what steps measure the reading of what they inherit.

    Args:
        heritage: knows whose credentials are; None where nobody does.
        waiting: the steps of a batch.
        now: Unix time in seconds.

    Returns:
        The steps in their order; the same object where nobody inherits anything.
    """
    if heritage is None:
        return waiting
    asking = [
        place
        for place, each in enumerate(waiting)
        if each.request.credentials
        and isinstance(each.pending, Pending)
        and each.pending.candidates.heritable
        and not heritage.knows_own(each.request.credentials, lineage_of(each.pending.step), now)
    ]
    if not asking:
        return waiting
    presented = [credential.id for place in asking for credential in waiting[place].request.credentials]
    owners = heritage.owners_of(presented, now)
    found = list(waiting)
    for place in asking:
        found[place] = _extended(waiting[place], owners)
    return found


def _extended(each: Waiting, known: Mapping[str, str]) -> Waiting:
    """The step with what reads the past of those whose credentials it presents."""
    pending, asked = each.pending, each.asked
    if not isinstance(pending, Pending):
        return each
    step = pending.step
    names = [credential.id for credential in each.request.credentials]
    if not known.keys() >= set(names):
        step.inherited = None
    own = lineage_of(step)
    owners = dict.fromkeys([owner for name in names if (owner := known.get(name, "")) not in {"", own}])
    hits = [hit for owner in owners for hit in inherited_hits(pending.candidates.heritable, step, owner)]
    if not hits:
        return each
    measurement = asked.measurement
    return each._replace(asked=asked._replace(measurement=measurement._replace(hits=(*measurement.hits, *hits))))


def take_inherited(each: Waiting, read: Readings, replicas: int) -> Readings:
    """Put where the conditions read it what a step inherits, and leave the readings that are its own.

    Args:
        each: as `Heritage.extend` gave it.
        read: parallel to the hits that it measured.
        replicas: by how many a degraded count is multiplied.

    Returns:
        The readings without what was inherited.
    """
    pending = each.pending
    if not isinstance(pending, Pending):
        return read
    step, count = pending.step, len(pending.hits) + (each.proof is not None)
    if len(read.values) <= count:
        return read
    hits = each.asked.measurement.hits[count:]
    own, inherited = read.values[:count], read.values[count:]
    take_readings(step, pending.candidates, hits, read._replace(values=inherited), replicas)
    if step.inherited is not None:
        step.inherited = exceeding(zip(pending.hits, own, strict=False), zip(hits, inherited, strict=True))
    return read._replace(values=own)
