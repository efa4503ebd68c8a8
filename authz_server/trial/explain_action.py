"""Why a request is the action that it is: the entry that classifies it, and those that nearly do."""

from typing import Final

from authz_server.content.rpc import Rpc, read_rpc
from authz_server.errors import DecodeError
from authz_server.model import Request
from authz_server.policy.entries import ActionEntry
from authz_server.policy.snapshot import Snapshot
from authz_server.policy.tree import shown
from authz_server.trial.entries_of import Entries, misfits
from authz_server.trial.explain_words import ActionExplained, EntryExplained

NEAREST: Final = 3
"""Entries that are shown beside the one that fits: more than can be meant helps nobody."""
MAX_COMPARED: Final = 2000
"""Entries that are compared with the request in every key; each costs a tenth of a millisecond."""
_GRPC_PIECES: Final = 3


def explain_action(snapshot: Snapshot, request: Request) -> ActionExplained:
    """Explain what the catalogue makes of a request."""
    classified = snapshot.catalogue.classify(request)
    entries = snapshot.text.actions
    fit = Entries(entries).find(request)
    action = classified.action
    others = [entry for entry in entries[:MAX_COMPARED] if fit is None or entry is not fit.entry]
    return ActionExplained(
        name=action.name,
        kind=action.kind,
        sensitivity=action.sensitivity,
        stage=action.stage,
        service=action.service,
        captures=dict(classified.captures),
        refused=classified.refused,
        place=fit.entry.where.place() if fit is not None else "",
        case=fit.case if fit is not None else 0,
        nearest=_nearest(others, request),
    )


def _nearest(entries: list[ActionEntry], request: Request) -> tuple[EntryExplained, ...]:
    """The entries with the fewest conditions that do not hold, and of those the ones with most that do."""
    found = {name: shown(value) for name, value in _found(request).items()}
    explained = [
        (_said(entry), EntryExplained(entry.name, entry.where.place(), tuple(misfits(entry, request, found))))
        for entry in entries
    ]
    explained.sort(key=lambda each: (len(each[1].misfits), -each[0]))
    return tuple(entry for said, entry in explained[:NEAREST] if len(entry.misfits) < said)


def _said(entry: ActionEntry) -> int:
    """How many conditions an entry has."""
    match = entry.match
    return sum(bool(getattr(match, name)) for name in match.__dataclass_fields__)


def _found(request: Request) -> dict[str, str]:
    """What a request has, by the keys of a request match."""
    rpc = _rpc(request)
    pieces = request.path.split("/")
    grpc = len(pieces) == _GRPC_PIECES and request.headers.get("content-type", "").startswith("application/grpc")
    headers = ", ".join(name for name in sorted(request.headers))
    return {
        "host": request.host,
        "method": request.method,
        "path": request.path,
        "header": headers,
        "source": request.source_address,
        "grpc.service": pieces[1] if grpc else "",
        "grpc.method": pieces[2] if grpc else "",
        "mcp.method": rpc.method if rpc is not None else "",
        "mcp.tool": rpc.tool if rpc is not None else "",
        "a2a.method": rpc.method if rpc is not None else "",
        "a2a.agent": rpc.agent if rpc is not None else "",
        "upgrade": request.upgrade,
    }


def _rpc(request: Request) -> Rpc | None:
    try:
        return read_rpc(request)
    except DecodeError:
        return None
