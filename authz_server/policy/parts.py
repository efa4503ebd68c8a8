"""Reading the parts that the platform and each team have alike: actions, signals and rules, each judged within its own."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol, TypeVar

from authz_server.policy.action_entries import captures_named_in, read_action
from authz_server.policy.entries import ActionEntry, RuleEntry, SignalEntry
from authz_server.policy.exception_entries import Exceptions
from authz_server.policy.fields import Scope
from authz_server.policy.ownership import names_for, owned
from authz_server.policy.report import Report
from authz_server.policy.rule_entries import check_adds, read_rule
from authz_server.policy.section_entries import ExceptionEntry, TaskEntry, TeamEntry
from authz_server.policy.sections import Sections
from authz_server.policy.signal_entries import Known, read_signal
from authz_server.policy.step_match import StepMatches
from authz_server.policy.tree import Node, Where


class Named(Protocol):
    """An entry with a name of its own."""

    @property
    def name(self) -> str:
        """Its full name."""

    @property
    def where(self) -> Where:
        """Its place."""


_Entry = TypeVar("_Entry")
_NamedEntry = TypeVar("_NamedEntry", bound=Named)


class Lent(NamedTuple):
    """What the platform's files lend to those of the teams."""

    scope: Scope
    default_mode: str
    """What holds for rules without `on_state_error`."""
    known: Known
    """What the words of signals can speak about."""
    actions: tuple[ActionEntry, ...]
    tasks: tuple[TaskEntry, ...]
    callers: frozenset[str]
    signals: tuple[SignalEntry, ...]
    rules: tuple[RuleEntry, ...]


class Part(NamedTuple):
    """What the files of a team say."""

    actions: tuple[ActionEntry, ...]
    signals: tuple[SignalEntry, ...]
    rules: tuple[RuleEntry, ...]
    exceptions: tuple[ExceptionEntry, ...]


def read_each(nodes: Iterable[Node], read: Callable[[Node], _Entry | None]) -> tuple[_Entry, ...]:
    """The entries that can be used."""
    return tuple(entry for node in nodes if (entry := read(node)) is not None)


def named(entries: Iterable[_NamedEntry], report: Report) -> tuple[_NamedEntry, ...]:
    """The entries, one of each name; the others are reported."""
    found: dict[str, _NamedEntry] = {}
    for entry in entries:
        first = found.setdefault(entry.name, entry)
        if first is not entry:
            message = f"`{entry.name}` is defined twice, first at {first.where.place()}"
            report.faults.append(entry.where.fault(message, "name"))
    return tuple(found.values())


def read_actions(sections: Sections, team: TeamEntry | None, scope: Scope) -> tuple[ActionEntry, ...]:
    """The actions of the platform, or of a team: those that the team may speak about."""
    if team is None:
        return read_each(sections.lists["actions"], lambda node: read_action(node, scope))

    def read(node: Node) -> ActionEntry | None:
        before = len(scope.report.faults)
        entry = read_action(node, scope)
        faulty = len(scope.report.faults) > before
        return owned(entry, team, scope.report, faulty=faulty) if entry is not None else None

    return read_each(sections.lists["actions"], read)


def captures_of(actions: Iterable[ActionEntry]) -> frozenset[str]:
    """The path captures of actions."""
    return frozenset().union(*map(captures_named_in, actions))


def read_signals(
    sections: Sections, known: Known, matches: StepMatches, scope: Scope, team: str = ""
) -> tuple[SignalEntry, ...]:
    """The signals of the platform or of a team."""
    nodes = sections.mappings["signals"].items()
    return tuple(read_signal(name, node, known, matches, scope, team) for name, node in nodes)


def read_rules(
    sections: Sections, default_mode: str, matches: StepMatches, scope: Scope, team: str = ""
) -> tuple[RuleEntry, ...]:
    """The rules of the platform or of a team."""
    found = read_each(sections.lists["rules"], lambda node: read_rule(node, default_mode, matches, scope, team))
    return named(found, scope.report)


def read_team_part(team: TeamEntry, sections: Sections, lent: Lent) -> Part:
    """What a team's files say, beside what the platform lends."""
    scope = lent.scope
    actions = read_actions(sections, team, scope)
    names = names_for(team, {action.name for action in (*lent.actions, *actions)})
    matches = StepMatches(names, scope, names_of(lent.tasks), lent.callers)
    known = lent.known._replace(captures=frozenset(lent.known.captures) | captures_of(actions))
    signals = read_signals(sections, known, matches, scope, team.name)
    rules = read_rules(sections, lent.default_mode, matches, scope, team.name)
    check_adds(rules, (*lent.signals, *signals), scope)
    exceptions = Exceptions((*lent.rules, *rules), lent.tasks, (), scope)
    lifted = read_each(sections.lists["exceptions"], lambda node: exceptions.read(node, matches, team.name))
    return Part(actions, signals, rules, named(lifted, scope.report))


def names_of(entries: Sequence[Named]) -> frozenset[str]:
    """The names of entries."""
    return frozenset(entry.name for entry in entries)
