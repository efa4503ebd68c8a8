"""What the actions of a catalogue can be, by name: for rules, which speak about names, kinds, captures and calls."""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from authz_server.model import Action
from authz_server.policy.entries import ActionEntry
from authz_server.policy.names import ActionNames
from authz_server.policy.outcomes import Outcome, variants_in
from authz_server.policy.patterns import Glob


class ActionTable:
    """All actions of a catalogue by name; a family's name stands for every name that can be made of it.

    Attributes:
        names: all of them.
        actions: for each name that is known at load the action of one of its entries, without refinement by cases.
    """

    __slots__ = ("_actions", "_calls", "_captures", "_families", "_variants", "actions", "names")

    def __init__(self, entries: Iterable[ActionEntry]) -> None:
        """Take the names; `add` takes what they stand for."""
        self.names = ActionNames(entries)
        self._families = tuple((Glob(name), name) for name in self.names.families)
        self._actions: dict[str, Action] = {}
        self._variants: dict[str, set[Action]] = {}
        self._captures: dict[str, set[frozenset[str]]] = {}
        self._calls: set[str] = set()
        self.actions: Mapping[str, Action] = MappingProxyType(self._actions)

    def add(self, outcome: Outcome, captures: frozenset[str], *, call: bool) -> None:
        """Add one way to an action.

        Args:
            outcome: the action, under its name or its family's.
            captures: the path captures of this way.
            call: whether the call in the body is read on it.
        """
        action = outcome[0]
        name = action.name
        self._variants.setdefault(name, set()).update(variants_in(outcome))
        self._captures.setdefault(name, set()).add(captures)
        if call:
            self._calls.add(name)
        if name in self.names.exact:
            self._actions[name] = min(action, self._actions.get(name, action))

    def variants_of(self, name: str) -> tuple[Action, ...]:
        """Every action that `classify` can return under a name: of all its entries, with and without their cases."""
        found = {variant._replace(name=name) for source in self._sources(name) for variant in self._variants[source]}
        return tuple(sorted(found))

    def captures_of(self, name: str) -> frozenset[str]:
        """The path captures that every request of an action has."""
        found = [captures for source in self._sources(name) for captures in self._captures[source]]
        return frozenset.intersection(*found) if found else frozenset()

    def some_captures_of(self, name: str) -> frozenset[str]:
        """The path captures that some request of an action has."""
        return frozenset().union(*(captures for source in self._sources(name) for captures in self._captures[source]))

    def reads_call(self, name: str) -> bool:
        """Whether the call in the body is read of some request of an action, so that `mcp.*` and `a2a.*` say what it is."""
        return not self._calls.isdisjoint(self._sources(name))

    def all_captures(self) -> frozenset[str]:
        """Every `{x}` of every path."""
        return frozenset().union(*(captures for found in self._captures.values() for captures in found))

    def _sources(self, name: str) -> Iterator[str]:
        """Where a name can come from: an entry that says it, and the families it can be made of."""
        if name in self._variants:
            yield name
        for glob, family in self._families:
            if family != name and glob.matches(name):
                yield family
