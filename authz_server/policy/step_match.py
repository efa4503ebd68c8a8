"""Reading the `match` and `exclude` of rules and signals: which steps an entry is about."""

import re
from collections.abc import Collection, Mapping
from typing import Final

from authz_server.policy.facts import KINDS, SENSITIVITIES, STAGES
from authz_server.policy.fields import Check, Fields, Scope
from authz_server.policy.hours import compile_hours
from authz_server.policy.patterns import compile_globs, compile_networks
from authz_server.policy.step import ANONYMOUS, LEGACY, UNCLASSIFIED
from authz_server.policy.tree import Table, shown
from authz_server.policy.words import STEP_KEYS, Place
from authz_server.spiffe import compile_spiffe_pattern

_ACTIONS: Final = re.compile(r"[A-Za-z0-9_.*-]{1,192}")
"""Patterns of actions' names: the longest name of an entry with the longest tool in it has 186 characters."""
_TASKS: Final = re.compile(r"[A-Za-z0-9_.*-]{1,64}")
_CALLER: Final = re.compile(rf"{LEGACY}(?:[A-Za-z0-9_.-]{{1,64}}|\*)")
_BRACED: Final = re.compile(r"\{[^{}]*\}")
"""The part of an action's name that a request fills in, as in `files.{tool}`."""


class StepMatches:
    """Reads step matches against the names of one policy."""

    __slots__ = ("_actions", "_callers", "_checks", "_known", "_scope", "_tasks", "_templates")

    def __init__(
        self,
        actions: Collection[str],
        scope: Scope,
        tasks: Collection[str] = (),
        callers: Collection[str] | None = None,
    ) -> None:
        """Take what the patterns can speak about.

        Args:
            actions: the names of all actions, with their braces where they have some.
            scope: receives the faults.
            tasks: the names of all task templates.
            callers: the names of all legacy callers; None for any.
        """
        self._actions = actions
        self._scope = scope
        self._tasks = tasks
        self._callers = callers
        self._templates = compile_globs(_BRACED.sub("*", name) for name in actions if "{" in name)
        self._known: dict[str, bool] = {}
        self._checks: Mapping[str, Check] = {
            "principal": self._principal,
            "source": lambda text: compile_networks([text]),
            "credential": lambda text: compile_globs([text]),
            "task": self._task,
            "action": self._action,
            "action.kind": lambda text: self._word(text, "kind", KINDS),
            "action.stage": lambda text: self._word(text, "stage", STAGES),
            "action.sensitivity": lambda text: self._word(text, "sensitivity", SENSITIVITIES),
            "destination": lambda text: compile_globs([text]),
            "hours": compile_hours,
            "mcp.tool": lambda text: compile_globs([text]),
        }

    def read(self, fields: Fields, key: str) -> dict[str, tuple[str, ...]]:
        """The patterns of a match by their keys; empty when the field is absent or nothing of it is usable."""
        node = fields.node_of(key)
        if node is None:
            return {}
        keys = Fields(node, Place.STEP_KEY, STEP_KEYS, self._scope)
        if isinstance(node, Table) and not node.nodes:
            keys.fault("an empty match says nothing; leave it out or name something")
        found = {name: keys.texts(name, self._checks[name]) for name in STEP_KEYS if name in keys}
        return {name: patterns for name, patterns in found.items() if patterns}

    def _word(self, text: str, what: str, known: Collection[str]) -> None:
        if text not in known:
            raise ValueError(f"unknown {what} `{shown(text)}`{self._scope.report.meant(text, known)}")

    def _action(self, text: str) -> None:
        if _ACTIONS.fullmatch(text) is None:
            raise ValueError(f"`{shown(text)}` is no pattern of action names: A-Z a-z 0-9 _ . - and `*`")
        known = self._known.get(text)
        if known is None:
            globs = compile_globs([text])
            known = text == UNCLASSIFIED or text in self._actions or any(map(globs.matches, self._actions))
            known = known or self._templates.overlaps(globs)
            self._known[text] = known
        if not known and self._scope.report.whole:
            raise ValueError(f"no entry of `actions` fits `{text}`{self._scope.report.meant(text, self._actions)}")

    def _task(self, text: str) -> None:
        if _TASKS.fullmatch(text) is None:
            raise ValueError(f"`{shown(text)}` is no pattern of task templates: A-Z a-z 0-9 _ . - and `*`")
        if self._scope.report.whole and not any(map(compile_globs([text]).matches, self._tasks)):
            raise ValueError(f"no entry of `tasks` fits `{text}`{self._scope.report.meant(text, self._tasks)}")

    def _principal(self, text: str) -> None:
        if text == ANONYMOUS:
            return
        if not text.startswith(LEGACY):
            compile_spiffe_pattern(text)
            return
        if _CALLER.fullmatch(text) is None:
            raise ValueError(f"`{shown(text)}` is no legacy caller: `{LEGACY}` and its name, or `{LEGACY}*`")
        name, report = text.removeprefix(LEGACY), self._scope.report
        if self._callers is None or not report.whole or name in self._callers:
            return
        if name != "*" or not self._callers:
            raise ValueError(f"no entry of `legacy` fits `{text}`{report.meant(name, self._callers)}")
