"""Reading the entries of `exceptions`: which restricting rules they lift, for which steps, and until when."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from authz_server.policy.entries import RuleEntry
from authz_server.policy.facts import SENSITIVITIES
from authz_server.policy.fields import Fields, Scope
from authz_server.policy.matches import StepMatch
from authz_server.policy.patterns import compile_globs
from authz_server.policy.section_entries import ExceptionEntry, TaskEntry
from authz_server.policy.step_match import StepMatches
from authz_server.policy.tree import Node, Table, shown
from authz_server.policy.words import Place, full_name
from authz_server.verdict import Effect

MAX_TASK_TTL_S: Final = 3600
"""Seconds: an exception that only a task ends is over within the hour in which somebody opened that task."""

_FIELDS: Final = ("name", "rules", "match", "expires", "reason", "alert")
_RESTRICTING: Final = frozenset({Effect.CHALLENGE, Effect.THROTTLE, Effect.DENY, Effect.QUARANTINE})
_TIMESTAMP: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?(?:Z|[+-][0-9]{2}:[0-9]{2})"
)
_BOTH_WAYS: Final = (
    "an exception ends: with `expires: 2030-01-31T18:00:00Z`, or with tasks of at most 1h that `match.task` names"
)


class Exceptions:
    """Reads the exceptions of one policy against its rules and task templates."""

    __slots__ = ("_rules", "_scope", "_tasks", "_teams")

    def __init__(
        self, rules: Iterable[RuleEntry], tasks: Iterable[TaskEntry], teams: Iterable[str], scope: Scope
    ) -> None:
        """Take what exceptions can speak about.

        Args:
            rules: all of the policy, under their full names.
            tasks: all templates.
            teams: the names of the declared teams: a rule of theirs that the platform names may come and go.
            scope: receives the faults.
        """
        self._rules: Mapping[str, Effect] = {rule.name: rule.then for rule in rules}
        self._tasks = tuple(tasks)
        self._teams = frozenset(teams)
        self._scope = scope

    def read(self, node: Node, matches: StepMatches, team: str = "") -> ExceptionEntry | None:
        """Read one entry; None when it has no usable name, names no rule or has no end, so that it lifts nothing.

        Args:
            node: the entry.
            matches: reads `match`.
            team: whose file it stands in, `""` for the platform's; a team's exceptions lift its own rules.
        """
        fields = Fields(node, Place.EXCEPTION_FIELD, _FIELDS, self._scope)
        name = fields.name()
        fields.require("rules", "match", "reason")
        rules = fields.texts("rules", lambda text: self._check_rule(text, team, fields))
        match = matches.read(fields, "match")
        expires = _expires(fields)
        ends = expires > 0 or ("expires" not in fields and self._ends_with_a_task(fields, match))
        entry = ExceptionEntry(
            name=full_name(name, team),
            rules=tuple(sorted({full_name(rule, team) for rule in rules})),
            match=match,
            expires=expires,
            reason=fields.text("reason"),
            alert=fields.choice("alert", "level of an alert", SENSITIVITIES),
            where=fields.node,
            team=team,
        )
        return entry if name and rules and match and ends else None

    def _check_rule(self, text: str, team: str, fields: Fields) -> None:
        own = full_name("", team)
        effect = self._rules.get(own + text)
        if effect in _RESTRICTING:
            return
        owner = text.partition("/")[0] if "/" in text and not team else ""
        report = self._scope.report
        if effect is not None:
            message = f"`{shown(text)}` is no restricting rule: its effect is {effect}"
        elif team and text in self._rules and not text.startswith(own):
            raise ValueError(f"`{shown(text)}` is not a rule of team `{team}`: a team lifts its own rules only")
        else:
            known = [
                name.removeprefix(own)
                for name, then in self._rules.items()
                if then in _RESTRICTING and name.startswith(own)
            ]
            message = f"there is no restricting rule `{shown(text)}`{report.meant(text, known)}"
        if owner in self._teams:
            # What a team writes must not make the platform's files faulty.
            report.warnings.append(fields.node.fault(message, "rules"))
        elif effect is not None or report.whole:
            raise ValueError(message)

    def _ends_with_a_task(self, fields: Fields, match: StepMatch) -> bool:
        """Whether the templates that the match names end soon enough; otherwise it is reported."""
        patterns = match.get("task")
        if not patterns:
            node = fields.node_of("match")
            tried = isinstance(node, Table) and "task" in node.nodes
            if isinstance(fields.node, Table) and not tried:
                fields.fault(_BOTH_WAYS)
            return False
        globs = compile_globs(patterns)
        for task in self._tasks:
            if globs.matches(task.name) and task.ttl_s > MAX_TASK_TTL_S:
                fields.fault(f"{_BOTH_WAYS}; `{task.name}` may last longer", "match", "task")
                return False
        return True


def _expires(fields: Fields) -> float:
    """Unix time in seconds; 0 when absent or after a fault."""
    text = fields.text("expires")
    if not text:
        return 0
    if _TIMESTAMP.fullmatch(text) is not None:
        try:
            moment = datetime.fromisoformat(text).timestamp()
        except (ValueError, OverflowError):
            moment = 0
        if moment > 0:
            return moment
    fields.fault(
        f"`{shown(text)}` is no moment: write one with its zone (RFC 3339), such as 2030-01-31T18:00:00Z", "expires"
    )
    return 0
