"""What an entry makes of a request that fits it: its action, refined by its cases, and named by the tool that is called."""

from collections.abc import Collection
from typing import Final

from authz_server.model import Action
from authz_server.policy.entries import ActionEntry
from authz_server.policy.names import OTHER, TOOL, fill
from authz_server.policy.patterns import Glob
from authz_server.policy.request_test import RequestTest

MAX_MADE_NAMES: Final = 512
"""Names that the callers of one entry can make of its patterns of tools: a server has tens of tools, and a gateway
hundreds. Each costs candidate rules, counters by action and memory; what is made beyond them shares the family's."""

Outcome = tuple[Action, tuple[tuple[RequestTest, Action], ...]]
"""The action of an entry, and what its cases make of it, in their order."""


def outcome_of(entry: ActionEntry) -> Outcome:
    """The action of an entry under the name that is written, and those of its cases.

    Raises:
        ValueError: a pattern of a case is malformed.
    """
    action = Action(entry.name, entry.kind, entry.stage, entry.sensitivity, entry.service, entry.body)
    cases = tuple(
        (
            RequestTest(case.match),
            action._replace(
                kind=case.kind or action.kind,
                stage=case.stage or action.stage,
                sensitivity=case.sensitivity or action.sensitivity,
            ),
        )
        for case in entry.cases
    )
    return action, cases


def variants_in(outcome: Outcome) -> set[Action]:
    """Every action that an outcome can give."""
    action, cases = outcome
    return {action, *(refined for _, refined in cases)}


class Tools:
    """The outcomes of an entry with `{tool}` in its name, by tool.

    The names of listed tools are there at load, and those of patterns that the policy speaks of, so that no caller can keep
    others from what they are granted. The rest of a pattern is made when it is met, a bounded number of names.
    A name that is not made any more is the family's (`files.read_*`), which every pattern of names fits that fits the
    whole family: nobody gets out of a rule on `files.delete_*` by calling hundreds of invented tools before.

    Attributes:
        other: the outcome of every tool that is not listed.
    """

    __slots__ = ("_families", "_known", "_room", "_written", "other")

    def __init__(self, entry: ActionEntry, written: Outcome, named: Collection[str] = ()) -> None:
        """Name what is known at load.

        Args:
            entry: with `{tool}` in its name.
            written: its outcome, as `outcome_of` gives it.
            named: names of actions that the policy speaks of.
        """
        self._written = written
        tools = sorted(entry.match.mcp_tool)
        self._known = {tool: self._named(tool) for tool in tools if "*" not in tool}
        self._families = tuple((Glob(tool), self._named(tool)) for tool in tools if "*" in tool)
        for name in named:
            tool = _tool_in(name, entry.name)
            if tool and any(glob.matches(tool) for glob, _ in self._families):
                self._known.setdefault(tool, self._named(tool))
        self._room = MAX_MADE_NAMES
        self.other = self._named(OTHER)

    def outcome(self, tool: str) -> Outcome:
        """The outcome of a call of one tool."""
        known = self._known.get(tool)
        if known is not None:
            return known
        for glob, family in self._families:
            if glob.matches(tool):
                if self._room <= 0:
                    return family
                self._room -= 1
                made = self._known[tool] = self._named(tool)
                return made
        return self.other

    def all(self) -> tuple[Outcome, ...]:
        """The outcomes of every name that is known, and of the families."""
        return (*self._known.values(), *(family for _, family in self._families), self.other)

    def _named(self, tool: str) -> Outcome:
        action, cases = self._written
        name = fill(action.name, tool)
        return action._replace(name=name), tuple((test, refined._replace(name=name)) for test, refined in cases)


def _tool_in(name: str, template: str) -> str:
    """The tool of which a template makes a name; `""` when it makes no such name."""
    before, _, behind = template.partition(TOOL)
    tool = name.removeprefix(before).removesuffix(behind)
    return tool if fill(template, tool) == name else ""
