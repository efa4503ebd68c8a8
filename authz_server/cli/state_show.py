"""How `authz-server state inspect` shows what is kept about an entity."""

from collections.abc import Iterator, Sequence

from authz_server.containment.record import CONTAIN, FOREVER, Record
from authz_server.model import Entity
from authz_server.printable import printable
from authz_server.reports.kept import Instance, limit_words
from authz_server.reports.kept_words import moment, span
from authz_server.state.admin import Kept


def kept_lines(kept: Kept, instances: Sequence[Instance], record: Record | None) -> Iterator[str]:
    """Say what is kept about an entity, line by line."""
    yield f"{_named(kept.entity)}   (tag {kept.tag}, the store's clock says {moment(kept.now_ms)})"
    yield f"  {_containment(kept, record)}"
    for each in instances:
        composite = f" [{each.stored.rest}]" if each.stored.rest else ""
        if not each.signal:
            yield f"  {each.stored.id}{composite}: of a signal that this policy does not have, for {span(each.stored.expires_ms)} more"
            continue
        yield f"  {each.signal}{composite} = {each.reading}"
        yield f"      {each.word}: {each.words}"
        for limit in each.limits:
            yield f"      {limit_words(limit, each.reading)}"
        yield f"      without a further step it means nothing in {span(each.ends_ms)}"
    if not instances:
        yield "  no signals"
    if kept.guards:
        yield f"  {kept.guards} steps or outcomes just seen, kept to recognise their repeats"
    for name in kept.others:
        yield f"  {printable(name.decode('ascii', 'backslashreplace'))}"


def _containment(kept: Kept, record: Record | None) -> str:
    flagged = kept.flag is not None
    if record is None:
        if kept.held is not None:
            return f"{'CONTAINED by its flag' if flagged else 'not contained'}; its record does not open"
        return "CONTAINED by its flag, without a record" if flagged else "not contained"
    said = f"by {printable(record.author)}"
    said += f", rule {printable(record.rule)}" if record.rule else ""
    said += f": {printable(record.reason)}" if record.reason else ""
    if not record.contains(kept.now_ms / 1000):
        ended = "released" if record.kind != CONTAIN else f"until {_moment(record.until)} it was"
        return f"not contained, {ended} {said}{'; its flag says otherwise' if flagged else ''}"
    until = "it is released" if record.until >= FOREVER else _moment(record.until)
    said += "; critical" if record.critical else ""
    said += f"; {printable(record.asked_by)} asks for its release" if record.asked_by else ""
    said += "" if flagged else "; its flag is missing, servers know it by the feed"
    return f"CONTAINED since {_moment(record.since)} until {until} {said}"


def _moment(time: float) -> str:
    return moment(int(time * 1000))


def record_as_json(record: Record | None) -> dict[str, object] | None:
    """A record as plain values."""
    if record is None:
        return None
    entity = {"type": record.entity.type, "parts": list(record.entity.parts)}
    return {**record._asdict(), "entity": entity}


def _named(entity: Entity) -> str:
    return printable(" ".join((entity.type, *entity.parts)))
