"""Callers that the policy itself knows: those without an SVID that it names, and those that it contains."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from authz_server.errors import Fault
from authz_server.model import Principal, Request
from authz_server.policy.catalogue import Catalogue
from authz_server.policy.entries import ActionEntry, ContainedEntry, Defaults, LegacyEntry, RuleEntry
from authz_server.policy.selector import Selector, Selectors
from authz_server.policy.step import LEGACY, UNCLASSIFIED, Step
from authz_server.verdict import Effect

LEGACY_ROUTE: Final = "authz.legacy"
"""The context extension of the routes on which a caller without identity may be a legacy one; its value is `true`."""
EVERYBODY: Final = 10_000


class Callers:
    """The legacy callers of one policy: the most specific entry that fits wins, as in the catalogue."""

    __slots__ = ("_index",)

    def __init__(self, entries: Sequence[LegacyEntry], faults: list[Fault]) -> None:
        """Index the entries; those that fit the same requests equally well are faults."""
        found = [
            ActionEntry(f"{LEGACY}{entry.name}", entry.match, "read", "low", "", "", "", (), where=entry.where)
            for entry in entries
        ]
        self._index: Catalogue | None = None
        if found:
            self._index, more = Catalogue.compile(found, Defaults())
            faults += more

    def identify(self, request: Request) -> Principal | None:
        """The legacy caller that makes a request which carries no identity at all, or None.

        Only on routes that are marked for it: what such a caller shows could be imitated by anybody who gets there.
        """
        if self._index is None or request.context.get(LEGACY_ROUTE) != "true":
            return None
        name = self._index.classify(request).action.name
        return None if name == UNCLASSIFIED else Principal(name, "", "", "", "legacy")


def legacy_rules(entry: LegacyEntry) -> list[RuleEntry]:
    """The grant of a legacy caller, and behind it the limit if it has one."""
    caller = (f"{LEGACY}{entry.name}",)
    grant = RuleEntry(
        name=f"{LEGACY}{entry.name}",
        match={"principal": caller, "action": entry.actions},
        exclude={},
        when="",
        then=Effect.ALLOW,
        reason="",
        remedy="",
        alert="",
        tags=(),
        contain=(),
        enforce=EVERYBODY,
        on_state_error="deny",
        where=entry.where,
    )
    return [grant]


class Contained(NamedTuple):
    """One compiled declaration."""

    selector: Selector
    reason: str


def compile_contained(entries: Sequence[ContainedEntry], selectors: Selectors) -> tuple[Contained, ...]:
    """Compile the declared containments.

    Raises:
        ValueError: a pattern has no meaning.
    """
    return tuple(Contained(selectors.compile(entry.match), entry.reason) for entry in entries)


def contained_by(declared: Sequence[Contained], step: Step) -> Contained | None:
    """The declaration that contains the step's caller, or None."""
    for each in declared:
        if each.selector.holds(step):
            return each
    return None
