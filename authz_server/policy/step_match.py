"""Reading the `match` and `exclude` of rules and signals: which steps an entry is about."""

import re
from collections.abc import Collection, Mapping
from typing import Final

from authz_server.policy.facts import ANONYMOUS, KINDS, SENSITIVITIES, STAGES, UNCLASSIFIED
from authz_server.policy.fields import Check, Fields, Scope
from authz_server.policy.hours import compile_hours
from authz_server.policy.patterns import compile_globs, compile_networks
from authz_server.policy.tree import Table, shown
from authz_server.policy.words import STEP_KEYS, Place
from authz_server.spiffe import compile_spiffe_pattern

_ACTION: Final = re.compile(r"[A-Za-z0-9_.*-]{1,64}")


class StepMatches:
    """Reads step matches against the catalogue of one policy."""

    __slots__ = ("_actions", "_checks", "_known", "_scope")

    def __init__(self, actions: Collection[str], scope: Scope) -> None:
        """Take the names of all actions."""
        self._actions = actions
        self._scope = scope
        self._known: dict[str, bool] = {}
        self._checks: Mapping[str, Check] = {
            "principal": _principal,
            "source": lambda text: compile_networks([text]),
            "credential": lambda text: compile_globs([text]),
            "action": self._action,
            "action.kind": lambda text: self._word(text, "kind", KINDS),
            "action.stage": lambda text: self._word(text, "stage", STAGES),
            "action.sensitivity": lambda text: self._word(text, "sensitivity", SENSITIVITIES),
            "destination": lambda text: compile_globs([text]),
            "hours": compile_hours,
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
        if _ACTION.fullmatch(text) is None:
            raise ValueError(f"`{shown(text)}` is no pattern of action names: A-Z a-z 0-9 _ . - and `*`")
        known = self._known.get(text)
        if known is None:
            globs = compile_globs([text])
            known = text == UNCLASSIFIED or text in self._actions or any(map(globs.matches, self._actions))
            self._known[text] = known
        if not known and self._scope.report.whole:
            raise ValueError(f"no entry of `actions` fits `{text}`{self._scope.report.meant(text, self._actions)}")


def _principal(text: str) -> None:
    if text != ANONYMOUS:
        compile_spiffe_pattern(text)
