"""Policy text to checked entries: everything that one entry, or two names, can have wrong is found here, all at once.

What remains for the compiler is what needs types or a compiled form: the conditions, ties in the catalogue, thresholds.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from authz_server.errors import Fault
from authz_server.policy.caller_entries import read_contained, read_legacy
from authz_server.policy.default_entries import read_defaults
from authz_server.policy.entries import FactEntry, PolicyText, TeamEntry
from authz_server.policy.envelope_entries import read_envelope
from authz_server.policy.environment import Environment, Shares, read_environment
from authz_server.policy.exception_entries import Exceptions
from authz_server.policy.fields import Scope, expression_of
from authz_server.policy.inject_entries import read_injection
from authz_server.policy.ownership import names_to_come, read_team, warn_of_unmet
from authz_server.policy.parts import (
    Lent,
    Part,
    captures_of,
    named,
    names_of,
    read_actions,
    read_each,
    read_rules,
    read_signals,
    read_team_part,
)
from authz_server.policy.report import Report
from authz_server.policy.rule_entries import check_adds
from authz_server.policy.sections import Sections, by_team, read_sections, team_of
from authz_server.policy.signal_entries import Known
from authz_server.policy.step_match import StepMatches
from authz_server.policy.task_entries import read_task
from authz_server.policy.tree import Node, shown
from authz_server.policy.vars import Vars, VarValue, identifier_fault

MAX_FAULTS: Final = 1000
"""Faults and warnings that are listed of the platform and of each team; whoever has more repairs these first."""


class Parsed(NamedTuple):
    """What a policy says, and what is wrong with it."""

    text: PolicyText
    faults: list[Fault]
    """By file and line, the platform's first. With one in a file of the platform the policy must not go live, with one in
    a file of a team (`sections.team_of`) that team's folder."""
    warnings: list[Fault]


def parse_policy(files: Mapping[str, bytes], environment: tuple[str, bytes] | None = None) -> Parsed:
    """Read a policy.

    Args:
        files: content by name; the names are those of the messages, and say which files are a team's.
        environment: name and content of the file that adapts the policy to where it runs.

    Returns:
        Everything that could be read, with all faults. Those of the platform's files do not depend on what the files of
        teams say, so a policy without the folders that are faulty has none but the platform's.
    """
    report = Report()
    folders = by_team(files, report)
    platform = read_sections("", folders.pop(""), report)
    place = read_environment(environment, report)
    scope = Scope(report, Vars(platform.mappings["vars"], report, place.replaced))
    values = _constants(platform, place, scope)
    text, lent, matches = _platform(platform, values, scope)
    parts = _teams(folders, platform, lent, text.teams)
    report.whole = platform.whole
    rules = [*text.rules, *(rule for part in parts for rule in part.rules)]
    reader = Exceptions(rules, text.tasks, names_of(text.teams), scope)
    lifted = read_each(platform.lists["exceptions"], lambda node: reader.read(node, matches))
    text = replace(
        text,
        actions=(*text.actions, *(action for part in parts for action in part.actions)),
        signals=(*text.signals, *(signal for part in parts for signal in part.signals)),
        rules=Shares(place.enforce, names_of(text.teams), scope).apply(rules),
        exceptions=(*named(lifted, report), *(entry for part in parts for entry in part.exceptions)),
        shadow=place.shadow,
    )
    warn_of_unmet(text, report)
    return Parsed(text, _listed(report.faults), _listed(report.warnings))


class _Platform(NamedTuple):
    """What the platform's files say, and what they lend to others."""

    text: PolicyText
    lent: Lent
    matches: StepMatches


def _platform(sections: Sections, values: Mapping[str, VarValue], scope: Scope) -> _Platform:
    """Read the platform's sections but the exceptions, which speak about the rules of all."""
    report, lists = scope.report, sections.lists
    found = (read_team(name, node, scope) for name, node in sections.mappings["teams"].items())
    teams = tuple(team for team in found if team is not None)
    facts, defaults = _facts(sections, report), read_defaults(sections.mappings["defaults"], scope)
    actions = read_actions(sections, None, scope)
    names = names_of(actions) | names_to_come(teams)
    matches = StepMatches(names, scope)
    legacy = named(read_each(lists["legacy"], lambda node: read_legacy(node, matches, scope)), report)
    tasks = named(read_each(lists["tasks"], lambda node: read_task(node, matches, scope)), report)
    matches = StepMatches(names, scope, names_of(tasks), names_of(legacy))
    expressions = dict.fromkeys(sections.mappings["facts"], "") | {fact.name: fact.expression for fact in facts}
    known = Known(expressions, captures_of(actions))
    signals = read_signals(sections, known, matches, scope)
    rules = read_rules(sections, defaults.on_state_error, matches, scope)
    check_adds(rules, signals, scope)
    text = PolicyText(
        values,
        facts,
        actions,
        signals,
        rules,
        defaults,
        teams=teams,
        legacy=legacy,
        contained=read_each(lists["contained"], lambda node: read_contained(node, matches, scope)),
        tasks=tasks,
        envelopes=named(read_each(lists["envelopes"], lambda node: read_envelope(node, matches, scope)), report),
        inject=read_each(lists["inject"], lambda node: read_injection(node, matches, scope)),
    )
    lent = Lent(scope, defaults.on_state_error, known, actions, tasks, names_of(legacy), signals, rules)
    return _Platform(text, lent, matches)


def _teams(
    folders: Mapping[str, Mapping[str, bytes]], platform: Sections, lent: Lent, teams: Sequence[TeamEntry]
) -> list[Part]:
    """Read the folders of the declared teams; those of others are reported and left out."""
    report = lent.scope.report
    declared = {team.name: team for team in teams}
    parts: list[Part] = []
    for name, files in folders.items():
        team = declared.get(name)
        if team is not None:
            sections = read_sections(name, files, report)
            report.whole = platform.whole and sections.whole
            own = lent._replace(scope=Scope(report, lent.scope.vars.for_team()))
            parts.append(read_team_part(team, sections, own))
        elif platform.whole and name not in platform.mappings["teams"]:
            message = f"no team `{shown(name)}` is declared in `teams`{report.meant(name, declared)}"
            report.faults.extend(Fault(file, 0, "", message) for file in files)
    return parts


def _listed(faults: Iterable[Fault]) -> list[Fault]:
    """Each once, by file and line, the platform's first, and of each owner no more than can be read."""
    owned: dict[str, list[Fault]] = {"": []}
    for fault in sorted(set(faults)):
        owned.setdefault(team_of(fault.file), []).append(fault)
    for found in owned.values():
        if len(found) > MAX_FAULTS:
            rest = len(found) - MAX_FAULTS
            found[MAX_FAULTS:] = [Fault(found[MAX_FAULTS].file, 0, "", f"and {rest} more from here on")]
    return [fault for found in owned.values() for fault in found]


def _constants(sections: Sections, place: Environment, scope: Scope) -> dict[str, VarValue]:
    """The constants as the environment leaves them."""
    constants, report = sections.mappings["vars"], scope.report
    _check_names(constants, "vars", report)
    values = scope.vars.values()
    for name in place.replaced.keys() - constants.keys():
        if report.whole:
            message = f"the policy has no constant `{shown(name)}`{report.meant(name, constants)}"
            report.faults.append(place.replaced[name].fault(message))
    return values


def _check_names(nodes: Mapping[str, Node], section: str, report: Report) -> None:
    for name, node in nodes.items():
        fault = identifier_fault(name)
        if fault:
            report.faults.append(node.fault(f"in `{section}`: {fault}"))


def _facts(sections: Sections, report: Report) -> tuple[FactEntry, ...]:
    nodes = sections.mappings["facts"]
    _check_names(nodes, "facts", report)
    found = ((name, expression_of(node, report), node) for name, node in nodes.items())
    return tuple(FactEntry(name, expression, node) for name, expression, node in found if expression)


__all__ = ["Parsed", "PolicyText", "parse_policy"]
