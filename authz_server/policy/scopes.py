"""Which steps the entries of a policy can be about: their matches compiled, within what their owners may speak of."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from authz_server.errors import Fault
from authz_server.model import Action
from authz_server.policy.catalogue import Catalogue
from authz_server.policy.entries import ExceptionEntry, TeamEntry
from authz_server.policy.keytests import ActionTest
from authz_server.policy.selector import Key, Selector, Selectors
from authz_server.policy.tree import Where
from authz_server.verdict import Effect


class Scoped(Protocol):
    """A rule, a signal or an exception."""

    @property
    def match(self) -> Mapping[str, tuple[str, ...]]:
        """Patterns by key."""

    @property
    def team(self) -> str:
        """Its owner."""

    @property
    def where(self) -> Where:
        """Its place."""


class Scopes:
    """Compiles step matches.

    Attributes:
        selectors: for matches that belong to nobody.
    """

    __slots__ = ("_catalogue", "_faults", "_teams", "_touched", "_variants", "selectors")

    def __init__(self, catalogue: Catalogue, teams: Sequence[TeamEntry], faults: list[Fault]) -> None:
        """Take the catalogue, the teams' scopes, and where complaints go."""
        self.selectors = Selectors(tuple(catalogue.actions))
        self._catalogue = catalogue
        self._teams = {team.name: team.actions for team in teams}
        self._faults = faults
        self._touched: dict[tuple[object, ...], frozenset[str]] = {}
        self._variants: dict[str, tuple[Action, ...]] = {}

    def compile(self, entry: Scoped) -> tuple[Selector, Selector | None] | None:
        """The compiled `match` and `exclude` of an entry; None after a fault was recorded."""
        exclude = getattr(entry, "exclude", None)
        # What grants or lifts is about a step only if that is sure, what restricts or measures if it may be.
        surely = isinstance(entry, ExceptionEntry) or getattr(entry, "then", None) is Effect.ALLOW
        try:
            match = self.selectors.compile(entry.match, self._teams.get(entry.team, ()), surely=surely)
            return match, self.selectors.compile(exclude, surely=not surely) if exclude else None
        except ValueError as error:
            self._faults.append(entry.where.fault(str(error), "match"))
            return None

    def touched(self, entry: Scoped) -> frozenset[str]:
        """The names of the actions that an entry's match can be about."""
        about = {key: tuple(value) for key, value in entry.match.items() if key.startswith("action")}
        place = (entry.team, *sorted(about.items()))
        known = self._touched.get(place)
        if known is None:
            selector = self.selectors.compile(about, self._teams.get(entry.team, ()))
            known = self._touched[place] = frozenset(
                name
                for name in self._names_for(selector)
                if any(selector.holds_statically(Key(action, "", "")) for action in self._variants_of(name))
            )
        return known

    def _names_for(self, selector: Selector) -> Iterable[str]:
        """Names of actions, among them all that a selector can be about: thousands of rules are each about a few."""
        tests = [test for test in selector.static if isinstance(test, ActionTest)]
        if not tests:
            return self._catalogue.names
        fewest: frozenset[str] = min((test.names for test in tests), key=len)
        return (*(self._catalogue.actions.keys() & fewest), *self._catalogue.families)

    def _variants_of(self, name: str) -> tuple[Action, ...]:
        found = self._variants.get(name)
        if found is None:
            found = self._variants[name] = self._catalogue.variants_of(name)
        return found

    def is_about_unclassified(self, entry: Scoped) -> bool:
        """Whether an entry's match can be about requests that no entry of the catalogue fits."""
        about = {key: value for key, value in entry.match.items() if key.startswith("action")}
        selector = self.selectors.compile(about, self._teams.get(entry.team, ()))
        return selector.holds_statically(Key(self._catalogue.unclassified, "", ""))
