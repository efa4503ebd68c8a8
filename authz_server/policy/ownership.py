"""What the files of a team may speak about: reading the entries of `teams`, and holding a team's entries against them."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from authz_server.policy.entries import ActionEntry, PolicyText
from authz_server.policy.fields import Fields, Scope
from authz_server.policy.names import ActionNames
from authz_server.policy.patterns import compile_globs
from authz_server.policy.report import Report
from authz_server.policy.request_keys import read_patterns
from authz_server.policy.section_entries import TeamEntry
from authz_server.policy.step import UNCLASSIFIED
from authz_server.policy.tree import Node, Table, Where, shown
from authz_server.policy.words import Place

ANY_NAME: Final = "{any}"
"""In place of `*`: the part of an action's name that a team has yet to give."""

_FIELDS: Final = ("actions", "hosts")
_TEAM: Final = re.compile(r"(?!\.)[A-Za-z0-9_.-]{1,64}")
_ACTIONS: Final = re.compile(r"[A-Za-z0-9_.*-]{1,192}")
_BRACED: Final = re.compile(r"\{[^{}]*\}")


def read_team(name: str, node: Node, scope: Scope) -> TeamEntry | None:
    """Read one entry of `teams`; None after a fault, so that its files are left out."""
    before = len(scope.report.faults)
    fields = Fields(node, Place.TEAM_FIELD, _FIELDS, scope)
    if _TEAM.fullmatch(name) is None:
        fields.fault(f"`{shown(name)}` is no name: 1 to 64 of A-Z a-z 0-9 _ . -, not beginning with a dot")
    fields.require(*_FIELDS)
    team = TeamEntry(name, fields.texts("actions", _check_actions), _hosts(fields, scope), fields.node)
    return team if len(scope.report.faults) == before else None


def _check_actions(text: str) -> None:
    if _ACTIONS.fullmatch(text) is None:
        raise ValueError(f"`{shown(text)}` is no pattern of action names: A-Z a-z 0-9 _ . - and `*`")
    if text == UNCLASSIFIED:
        raise ValueError(f"what is `{UNCLASSIFIED}` belongs to the platform")


def _hosts(fields: Fields, scope: Scope) -> tuple[str, ...]:
    """The patterns of hosts, read as in the match of an action."""
    node = fields.node_of("hosts")
    if node is None:
        return ()
    part = Table(fields.node.line, fields.node.key, fields.node.parent)
    part.nodes["host"] = node
    return read_patterns(Fields(part, Place.REQUEST_KEY, ("host",), scope), scope).host


def owned(entry: ActionEntry, team: TeamEntry, report: Report, *, faulty: bool) -> ActionEntry | None:
    """The entry as the team's; None when the team may not give that name, which is reported.

    A pattern lies within another when that covers its text: its `*` can only be covered by a `*`.

    Args:
        entry: read from a file of the team.
        team: what it may speak about.
        report: receives the faults.
        faulty: something of the entry is reported already, so its hosts may not be what was written.
    """
    before = len(report.faults)
    if not compile_globs(team.actions).matches(_pattern_of(entry.name)):
        message = f"team `{team.name}` may name its actions {shown(', '.join(team.actions))}"
        report.faults.append(entry.where.fault(message, "name"))
        return None
    if not faulty:
        _check_hosts(entry, team, report)
    match = entry.match
    if faulty or len(report.faults) > before:
        # The name stays, so that rules on it are not faulty too; no request can have this host (RFC 2606, section 2).
        match = replace(match, host=(f"faulty-{len(report.faults)}.invalid",))
    return replace(entry, team=team.name, match=match)


def _check_hosts(entry: ActionEntry, team: TeamEntry, report: Report) -> None:
    if not entry.match.host:
        report.faults.append(entry.where.fault("an action of a team names its `host`", "match"))
    hosts = compile_globs(team.hosts)
    for host in entry.match.host:
        if not hosts.matches(host):
            message = f"`{shown(host)}` is not within the hosts of team `{team.name}`: {shown(', '.join(team.hosts))}"
            report.faults.append(entry.where.fault(message, "match", "host"))


def names_for(team: TeamEntry, names: Iterable[str]) -> frozenset[str]:
    """The names of actions that a team's rules and signals can be about."""
    globs = compile_globs(team.actions)

    def meets(name: str) -> bool:
        return globs.overlaps(compile_globs([_pattern_of(name)])) if "{" in name else globs.matches(name)

    return frozenset(filter(meets, names))


def names_to_come(teams: Iterable[TeamEntry]) -> frozenset[str]:
    """The names that teams may give to actions, with `ANY_NAME` in the place of what is open.

    A rule of the platform may speak about them whether there is such an action today or not: what a team removes, and a
    folder that is left out, must not make the platform's files faulty.
    """
    return frozenset(pattern.replace("*", ANY_NAME) for team in teams for pattern in team.actions)


def _pattern_of(name: str) -> str:
    """The name of an action as a pattern: `files.{tool}` can become anything that `files.*` fits."""
    return _BRACED.sub("*", name)


def warn_of_unmet(text: PolicyText, report: Report) -> None:
    """Warn of patterns of the platform that an action of a team could fit, and none does: a misspelt guardrail is none."""
    if not text.teams:
        return
    names = ActionNames(text.actions)
    known: dict[str, bool] = {UNCLASSIFIED: True}
    for patterns, where, keys in _platform_patterns(text):
        for pattern in patterns:
            if pattern not in known:
                known[pattern] = pattern in names.exact or names.fits(pattern)
            if not known[pattern]:
                report.warnings.append(where.fault(f"no action fits `{pattern}` so far, of any team", *keys))


def _platform_patterns(text: PolicyText) -> Iterator[tuple[Iterable[str], Where, tuple[str, ...]]]:
    """The patterns of action names in the platform's entries, and where they stand."""
    match, exclude = ("match", "action"), ("exclude", "action")
    for rule in text.rules:
        if not rule.team:
            yield rule.match.get("action", ()), rule.where, match
            yield rule.exclude.get("action", ()), rule.where, exclude
    for signal in text.signals:
        if not signal.team:
            yield signal.match.get("action", ()), signal.where, match
            yield signal.exclude.get("action", ()), signal.where, exclude
    for lifted in text.exceptions:
        if not lifted.team:
            yield lifted.match.get("action", ()), lifted.where, match
    for envelope in text.envelopes:
        yield envelope.match.get("action", ()), envelope.where, match
    for injection in text.inject:
        yield injection.match.get("action", ()), injection.where, match
    for caller in text.legacy:
        yield caller.actions, caller.where, ("actions",)
    for task in text.tasks:
        yield task.actions, task.where, ("actions",)
