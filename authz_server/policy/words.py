"""The closed words of the policy language, and the one table of those that this version does not know what to do with.

A word of the table is part of the language and refused with a message of its own, so that nobody searches for a spelling
mistake and no rule is ever loaded without the part that made it strict. To support a word, take it out of the table and
into the list it belongs to.
"""

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Final

from authz_server.policy.facts import BARE, FACTS
from authz_server.policy.report import Report
from authz_server.policy.tree import shown
from authz_server.verdict import Effect

SECTIONS: Final = ("version", "vars", "facts", "actions", "signals", "rules", "defaults")
REQUEST_KEYS: Final = ("host", "method", "path", "header", "source", "grpc.service", "grpc.method", "upgrade")
STEP_KEYS: Final = (
    "principal",
    "source",
    "credential",
    "action",
    "action.kind",
    "action.stage",
    "action.sensitivity",
    "destination",
    "hours",
)
ACTION_FIELDS: Final = ("name", "match", "kind", "sensitivity", "stage", "service", "body", "cases")
CASE_FIELDS: Final = ("method", "header", "source", "grpc.service", "grpc.method", "kind", "sensitivity", "stage")
SIGNAL_FIELDS: Final = (
    "count",
    "distinct",
    "sequence",
    "per",
    "each",
    "window",
    "half_life",
    "match",
    "exclude",
    "when",
)
RULE_FIELDS: Final = (
    "name",
    "match",
    "exclude",
    "when",
    "then",
    "reason",
    "remedy",
    "alert",
    "tags",
    "contain",
    "enforce",
    "on_state_error",
)
EFFECTS: Final = tuple(effect.value for effect in Effect if effect is not Effect.CHALLENGE)
SCOPES: Final = ("pair", "instance", "principal")
"""The smallest first."""
STATE_ERROR_MODES: Final = ("deny", "local", "skip", "by-kind")
ENTITY_WORDS: Final = tuple(BARE) + tuple(name for name, (kind, _) in FACTS.items() if kind in {"string", "int"})
"""The words of `per`, `each` and `distinct`, besides `path.<capture>` and `facts.<name>`."""


class Place(StrEnum):
    """Where a word stands, for `NOT_YET`."""

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


_MCP: Final = ("mcp.method", "mcp.tool", "mcp.arguments", "a2a.method", "a2a.agent")

NOT_YET: Final[Mapping[Place, frozenset[str]]] = {
    Place.SECTION: frozenset({"teams", "legacy", "contained", "tasks", "exceptions", "envelopes", "inject"}),
    Place.ENVIRONMENT: frozenset({"mode"}),
    Place.REQUEST_KEY: frozenset(_MCP),
    Place.STEP_KEY: frozenset({"task", *_MCP}),
    Place.CASE_FIELD: frozenset({"upgrade", *_MCP}),
    Place.SIGNAL_FIELD: frozenset({"first_seen", "score", "walk", "mark", "budget", "learn"}),
    Place.COUNTED: frozenset({"allowed", "denied", "outcomes"}),
    Place.ENTITY: frozenset(
        {
            "task",
            "task.template",
            "task.id",
            "task.issuer",
            "task.agent",
            "task.originator",
            "task.depth",
            *_MCP,
        }
    ),
    Place.RULE_FIELD: frozenset({"approval", "step_up", "adds", "learn"}),
    Place.EFFECT: frozenset({Effect.CHALLENGE.value}),
    Place.SCOPE: frozenset({"lineage", "task"}),
}
"""Words of the language that this version refuses."""


def unknown(word: str, place: Place, known: Collection[str], report: Report) -> str:
    """The message about a word that is not among the known ones."""
    if word in NOT_YET.get(place, ()):
        return f"`{word}` is not supported by this version"
    return f"unknown {place.value} `{shown(word)}`{report.meant(word, known)}"
