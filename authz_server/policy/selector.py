"""Which steps an entry is about: a step match compiled to tests, apart by what they depend on."""

from bisect import bisect_left
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

from authz_server.policy.hours import compile_hours
from authz_server.policy.keytests import (
    ActionTest,
    Key,
    PrincipalTest,
    ServiceTest,
    StaticTest,
    TemplateTest,
    key_of,
)
from authz_server.policy.patterns import compile_globs, compile_networks
from authz_server.policy.step import UNCLASSIFIED, Step

DynamicTest = Callable[[Step], bool]

MAX_TOKEN_TESTS: Final = 1024
"""Lists of action patterns that are kept compiled outside of the policy's own: issuers write them into tokens as they like."""


class Selector(NamedTuple):
    """A compiled `match` or `exclude`: all tests must hold. Static tests depend on nothing but the candidate key."""

    static: tuple[StaticTest, ...]
    dynamic: tuple[DynamicTest, ...]

    def holds_statically(self, key: Key) -> bool:
        """Whether every static test holds."""
        for test in self.static:  # noqa: SIM110 - `all` would make a generator, which takes longer than the tests
            if not test(key):
                return False
        return True

    def holds_dynamically(self, step: Step) -> bool:
        """Whether every dynamic test holds."""
        for test in self.dynamic:  # noqa: SIM110 - as above
            if not test(step):
                return False
        return True

    def holds(self, step: Step) -> bool:
        """Whether the selector is about this step."""
        return self.holds_statically(key_of(step)) and self.holds_dynamically(step)


EVERYTHING: Final = Selector((), ())


class Selectors:
    """Compiles the step matches of one policy; equal parts share one test."""

    __slots__ = ("_known", "_memo", "_names", "_tokens")

    def __init__(self, action_names: Collection[str]) -> None:
        """Take every name that the catalogue knows, for the action patterns."""
        self._names = tuple(sorted(action_names))
        self._known = frozenset((*action_names, UNCLASSIFIED))
        self._memo: dict[tuple[str, tuple[str, ...], bool], StaticTest | DynamicTest] = {}
        self._tokens: dict[tuple[str, ...], StaticTest] = {}

    def compile(
        self, match: Mapping[str, Sequence[str]], scope: Sequence[str] = (), *, surely: bool = False
    ) -> Selector:
        """Compile a step match.

        Args:
            match: validated keys and patterns.
            scope: patterns of the only actions that the entry may be about, for a team's; empty for all.
            surely: for what grants or lifts: an action whose name stands for several tools fits only if all of them do.
                What restricts fits if one of them may.

        Raises:
            ValueError: a pattern has no meaning; the message says why.
        """
        static = [self._test("action", scope, surely=surely)] if scope else []
        static += [self._test(key, patterns, surely=surely) for key, patterns in match.items() if key not in _DYNAMIC]
        dynamic = [self._test(key, patterns, surely=surely) for key, patterns in match.items() if key in _DYNAMIC]
        return Selector(tuple(static), tuple(dynamic))

    def action_test(self, patterns: Sequence[str]) -> StaticTest:
        """Whether a step's action is surely among those that the patterns mean: those of a template, or of a task's token."""
        place = tuple(patterns)
        known = self._tokens.get(place)
        if known is None:
            if len(self._tokens) >= MAX_TOKEN_TESTS:
                self._tokens = {}
            known = self._tokens[place] = self._static_test("action", place, surely=True)
        return known

    def actions_of(self, patterns: Sequence[str]) -> frozenset[str]:
        """The known actions that the patterns mean; `unclassified` only by that very word, never by `*`."""
        globs = compile_globs(patterns)
        found = set(self._known & globs.literals)
        for glob in globs.globs:
            for name in self._names[bisect_left(self._names, glob.prefix) :]:
                if not name.startswith(glob.prefix):
                    break
                if glob.matches(name):
                    found.add(name)
        return frozenset(found)

    def _test(self, key: str, patterns: Sequence[str], *, surely: bool) -> Any:
        place = (key, tuple(patterns), surely and key == "action")
        known = self._memo.get(place)
        if known is None:
            dynamic = _DYNAMIC.get(key)
            known = dynamic(patterns) if dynamic is not None else self._static_test(key, patterns, surely=surely)
            self._memo[place] = known
        return known

    def _static_test(self, word: str, patterns: Sequence[str], *, surely: bool) -> StaticTest:
        if word == "action":
            return ActionTest(compile_globs(patterns), self.actions_of(patterns), self._known, surely=surely)
        if word == "principal":
            return PrincipalTest(patterns)
        if word == "destination":
            return ServiceTest(compile_globs(patterns))
        if word == "task":
            return TemplateTest(compile_globs(patterns))
        return _word_test(word, patterns)


def _word_test(word: str, patterns: Sequence[str]) -> StaticTest:
    words = frozenset(patterns)
    if word == "action.kind":
        return lambda key: key.action.kind in words
    if word == "action.stage":
        return lambda key: key.action.stage in words
    if word == "action.sensitivity":
        return lambda key: key.action.sensitivity in words
    raise ValueError(f"`{word}` is no key of a step match")


def _source_test(patterns: Sequence[str]) -> DynamicTest:
    networks = compile_networks(patterns)
    return lambda step: networks.matches(step.request.source_address)


def _credential_test(patterns: Sequence[str]) -> DynamicTest:
    globs = compile_globs(patterns)
    return lambda step: any(globs.matches(credential.id) for credential in step.request.credentials)


def _hours_test(patterns: Sequence[str]) -> DynamicTest:
    hours = tuple(compile_hours(pattern) for pattern in patterns)
    return lambda step: any(each.contains(step.now) for each in hours)


def _tool_test(patterns: Sequence[str]) -> DynamicTest:
    tools = compile_globs(patterns)
    return lambda step: step.rpc is not None and bool(step.rpc.tool) and tools.matches(step.rpc.tool)


_DYNAMIC: Final[Mapping[str, Callable[[Sequence[str]], DynamicTest]]] = {
    "source": _source_test,
    "credential": _credential_test,
    "hours": _hours_test,
    "mcp.tool": _tool_test,
}


__all__ = ["EVERYTHING", "DynamicTest", "Key", "Selector", "Selectors", "StaticTest", "key_of"]
