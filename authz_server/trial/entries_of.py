"""Which entry of the catalogue a request is classified by, which of its cases, and why the others do not fit.

Asked of the catalogue itself: one with the same entries under names that tell them apart.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from authz_server.model import Action, Request
from authz_server.policy.catalogue import Catalogue
from authz_server.policy.entries import ActionEntry
from authz_server.policy.matches import RequestMatch
from authz_server.policy.names import TOOL
from authz_server.policy.step import UNCLASSIFIED

_NOTHING: Final = Action(UNCLASSIFIED, "write", "", "medium")


class Fit(NamedTuple):
    """The entry that classifies a request."""

    entry: ActionEntry
    case: int
    """From 1; 0 when none of its cases fits."""


class Entries:
    """The entries of one catalogue, told apart."""

    __slots__ = ("_catalogue", "_entries")

    def __init__(self, entries: Sequence[ActionEntry]) -> None:
        """Take the entries of a catalogue that has no faults."""
        self._entries = tuple(entries)
        self._catalogue = Catalogue([_told_apart(number, entry) for number, entry in enumerate(entries)], _NOTHING)

    def find(self, request: Request) -> Fit | None:
        """The entry and the case that classify a request; None for none."""
        action = self._catalogue.classify(request).action
        if action.name == UNCLASSIFIED:
            return None
        number = int(action.name.partition(".")[0].removeprefix("e"))
        return Fit(self._entries[number], int(action.stage or 0))


def _told_apart(number: int, entry: ActionEntry) -> ActionEntry:
    """The entry under its number, its cases by theirs in the place of the stage."""
    name = f"e{number}.{TOOL}" if TOOL in entry.name else f"e{number}"
    cases = tuple(replace(case, stage=str(place)) for place, case in enumerate(entry.cases, 1))
    return replace(entry, name=name, stage="", cases=cases)


class Misfit(NamedTuple):
    """A condition of an entry that a request does not fulfil."""

    key: str
    wanted: str
    found: str


def misfits(entry: ActionEntry, request: Request, found: dict[str, str]) -> list[Misfit]:
    """The conditions of an entry that a request does not fulfil, each tried alone.

    Args:
        entry: of the catalogue.
        request: decoded.
        found: what the request has, by the words of a request match.
    """
    match = entry.match
    alone = [
        ("upgrade", RequestMatch(upgrade=match.upgrade)),
        ("host", RequestMatch(host=match.host, upgrade=match.upgrade)),
        ("method", RequestMatch(method=match.method, upgrade=match.upgrade)),
        ("path", RequestMatch(path=match.path, upgrade=match.upgrade)),
        ("header", RequestMatch(header=match.header, upgrade=match.upgrade)),
        ("source", RequestMatch(source=match.source, upgrade=match.upgrade)),
        ("grpc.service", RequestMatch(grpc_service=match.grpc_service)),
        ("grpc.method", RequestMatch(grpc_method=match.grpc_method)),
        ("mcp.method", RequestMatch(mcp_method=match.mcp_method)),
        ("mcp.tool", RequestMatch(mcp_tool=() if TOOL in entry.name else match.mcp_tool)),
        ("a2a.method", RequestMatch(a2a_method=match.a2a_method)),
        ("a2a.agent", RequestMatch(a2a_agent=match.a2a_agent)),
    ]
    missed: list[Misfit] = []
    for key, condition in alone:
        if _says(condition, key) and not _fits(condition, request, entry):
            missed.append(Misfit(key, _shown(condition, key), found.get(key, "")))
            if key == "upgrade":
                break
    return missed


def _says(match: RequestMatch, key: str) -> bool:
    return key == "upgrade" or bool(getattr(match, key.replace(".", "_")))


def _fits(match: RequestMatch, request: Request, entry: ActionEntry) -> bool:
    alone = Catalogue([replace(entry, name="e0", match=match, cases=())], _NOTHING)
    return alone.classify(request).action.name != UNCLASSIFIED


def _shown(match: RequestMatch, key: str) -> str:
    values = getattr(match, key.replace(".", "_"))
    if key == "header":
        return ", ".join(f"{name}: {' | '.join(patterns)}" for name, patterns in values)
    return " | ".join(values) or "none"
