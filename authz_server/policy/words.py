"""The closed words of the policy language, by the place where they stand."""

from collections.abc import Collection
from enum import StrEnum
from typing import Final

from authz_server.policy.facts import BARE, FACTS
from authz_server.policy.report import Report
from authz_server.policy.tree import shown
from authz_server.verdict import Effect

SECTIONS: Final = (
    "version", "vars", "teams", "legacy", "contained", "facts", "actions", "tasks", "signals", "rules", "exceptions",
    "envelopes", "inject", "defaults",
)  # fmt: skip
TEAM_SECTIONS: Final = ("version", "actions", "signals", "rules", "exceptions")
"""What a team's files may hold."""
ENVIRONMENT_SECTIONS: Final = ("vars", "enforce", "mode")
_RPC: Final = ("mcp.method", "mcp.tool", "a2a.method", "a2a.agent")
REQUEST_KEYS: Final = ("host", "method", "path", "header", "source", "grpc.service", "grpc.method", "upgrade", *_RPC)
STEP_KEYS: Final = (
    "principal",
    "source",
    "credential",
    "task",
    "action",
    "action.kind",
    "action.stage",
    "action.sensitivity",
    "destination",
    "hours",
    "mcp.tool",
)
ACTION_FIELDS: Final = ("name", "match", "kind", "sensitivity", "stage", "service", "body", "cases")
CASE_FIELDS: Final = (
    "method", "header", "source", "grpc.service", "grpc.method", *_RPC, "kind", "sensitivity", "stage",
)  # fmt: skip
SIGNAL_FIELDS: Final = (
    "count", "distinct", "sequence", "score", "first_seen", "walk", "mark", "budget", "of", "fed_by", "per", "each", "window",
    "half_life", "keep", "cap", "ring", "share", "learn", "match", "exclude", "when",
)  # fmt: skip
RULE_FIELDS: Final = (
    "name", "match", "exclude", "when", "then", "reason", "remedy", "alert", "tags", "contain", "enforce", "on_state_error",
    "adds", "approval", "step_up",
)  # fmt: skip
EFFECTS: Final = tuple(effect.value for effect in Effect)
SCOPES: Final = ("pair", "instance", "principal", "task", "lineage")
"""The smallest first."""
STATE_ERROR_MODES: Final = ("deny", "local", "skip", "by-kind")
ENTITY_WORDS: Final = tuple(
    dict.fromkeys([*BARE, *(name for name, (kind, _) in FACTS.items() if kind in {"string", "int"})])
)
"""The words of `per`, `each`, `of`, `distinct` and `first_seen`, besides `path.<capture>` and `facts.<name>`."""


class Place(StrEnum):
    """Where a word stands, in the words of a message."""

    SECTION = "section"
    ENVIRONMENT = "key of an environment file"
    REQUEST_KEY = "key of a request match"
    STEP_KEY = "key of a step match"
    ACTION_FIELD = "field of an action"
    CASE_FIELD = "field of a case"
    SIGNAL_FIELD = "field of a signal"
    COUNTED = "thing to count"
    ENTITY = "word for what a step has"
    RULE_FIELD = "field of a rule"
    EFFECT = "effect"
    SCOPE = "scope of a containment"
    DEFAULT = "default"
    RULE_NAME = "rule"
    CALLER_FIELD = "field of a legacy caller"
    CONTAINED_FIELD = "field of a declared containment"
    TASK_FIELD = "field of a task"
    TASK_BUDGET = "budget of a task"
    EXCEPTION_FIELD = "field of an exception"
    ENVELOPE_FIELD = "field of an envelope"
    INJECT_FIELD = "field of an injection"
    TEAM_FIELD = "field of a team"
    APPROVAL_FIELD = "field of an approval"
    STEP_UP_FIELD = "field of a step-up"
    OUTCOME_CLASS = "class of outcomes"
    LEARN_FIELD = "field of a learning period"
    ADDED = "score"


def full_name(name: str, team: str) -> str:
    """The name of an entry in the whole policy: a team's entries carry the name of the team, `""` is the platform."""
    return f"{team}/{name}" if team else name


def unknown(word: str, place: StrEnum, known: Collection[str], report: Report) -> str:
    """The message about a word that is not among the known ones."""
    return f"unknown {place.value} `{shown(word)}`{report.meant(word, known)}"
