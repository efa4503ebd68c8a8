"""The environment file: what adapts one policy to the place where it runs.

It replaces constants, gives rules other shares and can put the whole server into shadow; it can hold nothing else, because
what a policy forbids does not depend on where it runs.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Final, NamedTuple

from authz_server.policy.entries import RuleEntry
from authz_server.policy.fields import Fields, Scope
from authz_server.policy.patterns import Glob
from authz_server.policy.report import Report
from authz_server.policy.rule_entries import read_share
from authz_server.policy.sections import unite
from authz_server.policy.text import read_text
from authz_server.policy.tree import Node, Table, shown
from authz_server.policy.vars import Vars
from authz_server.policy.words import ENVIRONMENT_SECTIONS, Place, unknown

SHADOW: Final = "shadow"
MODES: Final = (SHADOW, "enforce")
MAX_PATTERNS: Final = 16
"""Patterns in `enforce`: each is tried on every rule, and each two are compared."""
MAX_PATTERN: Final = 129
"""Characters of one: a team's name, a slash and a rule's."""


class Environment(NamedTuple):
    """What the file says."""

    replaced: Mapping[str, Node]
    """Constants by name."""
    enforce: Node | None
    """Shares by names of rules and patterns of names."""
    shadow: bool


def read_environment(environment: tuple[str, bytes] | None, report: Report) -> Environment:
    """Read the file.

    Args:
        environment: its name and content; None when there is none.
        report: receives the faults.
    """
    root = read_text(environment[0], environment[1], report.faults) if environment is not None else None
    if root is None:
        return Environment({}, None, shadow=False)
    # Without constants: what replaces them cannot choose by them.
    fields = Fields(root, Place.ENVIRONMENT, ENVIRONMENT_SECTIONS, Scope(report, Vars({}, report)))
    replaced: dict[str, Node] = {}
    if "vars" in root.nodes:
        unite(replaced, root.nodes["vars"], report)
    mode = fields.choice("mode", "mode", MODES, MODES[-1])
    return Environment(replaced, root.nodes.get("enforce"), shadow=mode == SHADOW)


class Shares:
    """Gives rules the shares that the environment says."""

    __slots__ = ("_fields", "_globs", "_scope", "_shares", "_teams", "_told")

    def __init__(self, enforce: Node | None, teams: Collection[str], scope: Scope) -> None:
        """Read `enforce`.

        Args:
            enforce: the mapping; None for none.
            teams: the names of the declared teams, whose rules come and go.
            scope: receives the faults.
        """
        self._teams = frozenset(teams)
        self._scope = scope
        self._shares: dict[str, int] = {}
        self._fields: Fields | None = None
        self._globs: Sequence[Glob] = ()
        self._told: set[tuple[str, str]] = set()
        if enforce is None:
            return
        names = tuple(enforce.nodes) if isinstance(enforce, Table) else ()
        self._fields = fields = Fields(enforce, Place.RULE_NAME, names, scope)
        self._shares = {name: read_share(fields, name) for name in names}
        patterns = [name for name in names if "*" in name]
        if len(patterns) > MAX_PATTERNS or any(len(pattern) > MAX_PATTERN for pattern in patterns):
            fields.fault(f"at most {MAX_PATTERNS} patterns of at most {MAX_PATTERN} characters")
            return
        self._globs = tuple(map(Glob, patterns))
        self._check_teams(fields)

    def apply(self, rules: Sequence[RuleEntry]) -> tuple[RuleEntry, ...]:
        """The rules with their shares: that of the exact name, else of the one pattern that fits."""
        if self._fields is None:
            return tuple(rules)
        self._check_names(self._fields, [rule.name for rule in rules])
        return tuple(self._shared(rule, self._fields) for rule in rules)

    def _shared(self, rule: RuleEntry, fields: Fields) -> RuleEntry:
        if rule.name in self._shares:
            return replace(rule, enforce=self._shares[rule.name])
        fitting = [glob.text for glob in self._globs if glob.matches(rule.name)]
        if not fitting:
            return rule
        if len(fitting) > 1 and not rule.team and (fitting[0], fitting[1]) not in self._told:
            self._told.add((fitting[0], fitting[1]))
            message = f"`{fitting[0]}` fits `{rule.name}` too; name the rule itself, as order means nothing"
            fields.fault(message, fitting[1])
        return replace(rule, enforce=self._shares[fitting[0]])

    def _check_names(self, fields: Fields, rules: Sequence[str]) -> None:
        """Report what fits no rule; where a team may yet have such a rule it is a warning."""
        known = frozenset(rules)
        report = self._scope.report
        globs = {glob.text: glob for glob in self._globs}
        for name in self._shares:
            glob = globs.get(name)
            if name in known or (glob is not None and any(map(glob.matches, rules))):
                continue
            if self._teams_of(name):
                report.warnings.append(fields.node.fault(f"no rule fits `{shown(name)}` so far", name))
            elif report.whole:
                fields.fault(unknown(name, Place.RULE_NAME, rules, report), name)

    def _teams_of(self, name: str) -> frozenset[str]:
        """The teams that may have a rule which a name or pattern fits."""
        if "*" not in name:
            return self._teams & {name.partition("/")[0]} if "/" in name else frozenset()
        glob = Glob(name)
        return frozenset(team for team in self._teams if glob.overlaps(Glob(f"{team}/*")))

    def _check_teams(self, fields: Fields) -> None:
        """Report two patterns that can fit the same rule of a team, whether it has such a rule today or not."""
        teams = {glob.text: self._teams_of(glob.text) for glob in self._globs}
        for one, two in combinations(self._globs, 2):
            common = teams[one.text] & teams[two.text]
            if common and one.overlaps(two):
                message = f"`{one.text}` can fit the same rules of team `{min(common)}`, and order means nothing"
                fields.fault(message, two.text)
