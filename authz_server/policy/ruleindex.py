"""Which entries can be about a step of a candidate key, found without asking every entry.

The entries of a policy share few distinct tests: equal patterns compile to one test. A tree splits the entries by the tests
that they hold on one dimension of the key (action, principal, destination, task), then by those on the next. To look a key up
is to find, for each dimension once, which of its tests hold, and to walk the branches of these. What is found is asked
itself in the end, so the tree may be coarser than the entries: it knows nothing of `exclude`, kinds and stages.
"""

from collections.abc import Collection, Iterable, Sequence
from itertools import accumulate
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar

from authz_server.policy.keytests import ActionTest, Key, PrincipalTest, ServiceTest, TemplateTest
from authz_server.policy.selector import Selector
from authz_server.policy.step import LEGACY

LEAF: Final = 4
"""Entries that are asked one by one: as long as walking one branch takes."""
MAX_MADE: Final = 4096
"""Names of actions made at run time whose tests are remembered; the catalogue makes no more of them."""


class Entry(Protocol):
    """What can be indexed: a rule, the plan of a signal."""

    @property
    def selector(self) -> Selector:
        """Its `match`."""

    def applies(self, key: Key) -> bool:
        """Whether it is about steps of this key."""


_Entry = TypeVar("_Entry", bound=Entry)


class _Actions:
    """The tests over actions, by the names that they spell or mean."""

    __slots__ = ("_every", "_known", "_made", "_named", "_open")

    def __init__(self, tests: Iterable[ActionTest]) -> None:
        self._every = tuple(tests)
        self._open = tuple(test for test in self._every if not test.spells)
        self._known = self._every[0].known if self._every else frozenset()
        self._named: dict[str, list[ActionTest]] = {}
        for test in self._every:
            for name in test.names:
                self._named.setdefault(name, []).append(test)
        self._made: dict[str, tuple[ActionTest, ...]] = {}

    def holding(self, key: Key) -> Collection[object]:
        name = key.action.name
        if name in self._known:
            return self._named.get(name, ())
        made = self._made.get(name)
        if made is None:
            # A name with a `*` stands for several tools, and may be meant by a pattern without one.
            tests = self._every if "*" in name else (*self._named.get(name, ()), *self._open)
            if len(self._made) >= MAX_MADE:
                self._made = {}
            made = self._made[name] = tuple(test for test in tests if test(key))
        return made


class _Principals:
    """The tests over callers: by ID, and by what stands around the first and the last wildcard."""

    __slots__ = ("_anonymous", "_deepest", "_depths", "_exact", "_legacy", "_wild")

    def __init__(self, tests: Iterable[PrincipalTest]) -> None:
        every = tuple(tests)
        self._anonymous = tuple(test for test in every if test.anonymous)
        self._legacy = tuple(test for test in every if test.legacy.literals or test.legacy.globs)
        self._exact: dict[str, list[PrincipalTest]] = {}
        self._wild: dict[tuple[str, str], dict[PrincipalTest, None]] = {}
        depths: set[int] = set()
        for test in every:
            for name in test.exact:
                self._exact.setdefault(name, []).append(test)
            for pattern in test.wild:
                self._wild.setdefault((pattern.prefix, pattern.last), {})[test] = None
                depths.add(pattern.prefix.count("/"))
        self._depths = frozenset(depths)
        self._deepest = max(depths, default=0)

    def holding(self, key: Key) -> Collection[object]:
        name = key.principal
        if not name:
            return self._anonymous
        if name.startswith(LEGACY):
            return [test for test in self._legacy if test(key)]
        found = dict.fromkeys(self._exact.get(name, ()))
        if self._depths:
            last = name.rpartition("/")[2]
            segments = name.split("/", self._deepest)[: self._deepest]
            for depth, prefix in enumerate(accumulate(f"{segment}/" for segment in segments), 1):
                if depth in self._depths:
                    for end in (last, ""):
                        tests = self._wild.get((prefix, end), ())
                        found.update(dict.fromkeys([test for test in tests if test(key)]))
        return found


class _Names:
    """The tests over a destination or a template."""

    __slots__ = ("_named", "_wild", "_word")

    def __init__(self, word: str, tests: Iterable[ServiceTest | TemplateTest]) -> None:
        self._word = word
        self._named: dict[str, list[Any]] = {}
        self._wild: list[Any] = []
        for test in tests:
            if test.globs.globs:
                self._wild.append(test)
                continue
            for name in test.globs.literals:
                self._named.setdefault(name, []).append(test)

    def holding(self, key: Key) -> Collection[object]:
        named = self._named.get(getattr(key, self._word), ())
        return [*named, *(test for test in self._wild if test(key))] if self._wild else named


_KINDS: Final[tuple[type, ...]] = (ActionTest, PrincipalTest, ServiceTest, TemplateTest)
"""The dimensions, by the tests on them."""
_Places = tuple[object, ...]
"""For each dimension the test that an entry holds there, or None."""


class _Branch(NamedTuple):
    dimension: int
    children: "dict[object, _Branch | tuple[int, ...]]"
    """By test; those under None hold none."""


def _place(entry: Entry) -> _Places:
    found: list[Any] = [None] * len(_KINDS)
    for test in entry.selector.static:
        if type(test) in _KINDS:
            at = _KINDS.index(type(test))
            # An action is tested twice in a team's entry: its scope and its match. The one that fewer pass says more.
            if found[at] is None or (isinstance(test, ActionTest) and len(test.names) < len(found[at].names)):
                found[at] = test
    return tuple(found)


def _grow(numbers: Sequence[int], places: Sequence[_Places], left: Sequence[int]) -> "_Branch | tuple[int, ...]":
    """The tree over some entries, by the dimension first on which they differ most."""
    if len(numbers) > LEAF and left:
        apart = {at: len({places[number][at] for number in numbers}) for at in left}
        best = max(left, key=lambda at: apart[at])
        groups: dict[object, list[int]] = {}
        for number in numbers:
            groups.setdefault(places[number][best], []).append(number)
        if groups.keys() != {None}:
            rest = tuple(at for at in left if at != best)
            return _Branch(best, {test: _grow(group, places, rest) for test, group in groups.items()})
    return tuple(numbers)


class RuleIndex(Generic[_Entry]):
    """Entries in their order, and the tree over them."""

    __slots__ = ("_dimensions", "_root", "entries")

    def __init__(self, entries: Iterable[_Entry]) -> None:
        """Build the tree: about 5 us an entry."""
        self.entries = tuple(entries)
        places = [_place(entry) for entry in self.entries]
        actions, principals, services, templates = (
            dict.fromkeys(place[at] for place in places if place[at] is not None) for at in range(len(_KINDS))
        )
        self._dimensions: tuple[_Actions | _Principals | _Names, ...] = (
            _Actions(actions),  # type: ignore[arg-type] # `_place` sorts them by type
            _Principals(principals),  # type: ignore[arg-type]
            _Names("service", services),  # type: ignore[arg-type]
            _Names("template", templates),  # type: ignore[arg-type]
        )
        self._root = _grow(range(len(self.entries)), places, tuple(range(len(_KINDS))))

    def find(self, key: Key) -> list[_Entry]:
        """The entries that apply to a key, in their order."""
        numbers: list[int] = []
        holding: dict[int, Collection[object]] = {}
        open_nodes = [self._root]
        while open_nodes:
            node = open_nodes.pop()
            if not isinstance(node, _Branch):
                numbers += node
                continue
            at, children = node
            tests = holding.get(at)
            if tests is None:
                tests = holding[at] = {None, *self._dimensions[at].holding(key)}
            if len(tests) <= len(children):
                open_nodes += [children[test] for test in tests if test in children]
            else:
                open_nodes += [child for test, child in children.items() if test in tests]
        numbers.sort()
        entries = self.entries
        return [entry for entry in map(entries.__getitem__, numbers) if entry.applies(key)]
