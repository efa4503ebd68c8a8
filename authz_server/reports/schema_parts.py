"""The parts of the JSON Schema of a policy: what a value looks like, and the table of fields with their descriptions."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from authz_server.policy.entries import WALK_CLASSES, Fed
from authz_server.policy.facts import KINDS, SENSITIVITIES, STAGES
from authz_server.policy.words import EFFECTS, ENTITY_WORDS, REQUEST_KEYS, SCOPES, STATE_ERROR_MODES, STEP_KEYS

Schema = dict[str, Any]

_NAME: Final = "^[A-Za-z0-9_.-]{1,64}$"
IDENTIFIER: Final = "^[A-Za-z_][A-Za-z0-9_]{0,63}$"
"""Names that expressions use: of constants, facts and signals."""
_REFERENCE: Final = r"^\$\([A-Za-z_][A-Za-z0-9_]{0,63}\)$"


def ref(name: str, description: str = "") -> Schema:
    """A reference to a definition."""
    found: Schema = {"$ref": f"#/$defs/{name}"}
    return found | ({"description": description} if description else {})


def closed(fields: Mapping[str, Schema], required: Iterable[str] = (), description: str = "") -> Schema:
    """A mapping with these fields and no other."""
    found: Schema = {"type": "object", "properties": dict(fields), "additionalProperties": False}
    wanted = list(required)
    return found | ({"required": wanted} if wanted else {}) | ({"description": description} if description else {})


def listed(keys: Iterable[str], known: Mapping[str, Schema]) -> dict[str, Schema]:
    """The schema of each key; a key that has none yet takes any value."""
    return {key: known.get(key, {}) for key in keys}


def _words(words: Iterable[str]) -> Schema:
    return {"anyOf": [{"enum": sorted(words)}, ref("reference")]}


def _text(pattern: str) -> Schema:
    return {"anyOf": [{"type": "string", "pattern": pattern}, ref("reference")]}


def _many(item: Schema) -> Schema:
    return {"anyOf": [item, {"type": "array", "items": item, "minItems": 1}]}


_PATTERNS: Final = ref("texts")
_EITHER: Final = {
    "host": "Host without port, lower-case; `*` crosses everything.",
    "method": "HTTP method, upper-case; HEAD matches GET.",
    "path": "Path; `*` is one segment, `**` the rest, `{name}` one segment that becomes the fact path.name.",
    "source": "CIDRs of the direct peer.",
    "grpc.service": "gRPC service, such as billing.v1.Invoices.",
    "grpc.method": "gRPC method.",
    "upgrade": "Upgrade token, `connect` or `tcp`.",
    "mcp.method": "Method of the Model Context Protocol, such as tools/call.",
    "mcp.tool": "Tool of the Model Context Protocol.",
    "a2a.method": "Method of the Agent2Agent protocol.",
    "a2a.agent": "Agent of the Agent2Agent protocol.",
    "principal": "SPIFFE IDs, `anonymous` or `legacy:<name>`; `*` is one segment, `**` the rest.",
    "credential": "Ids of credentials.",
    "task": "Names of task templates.",
    "action": "Names of actions; `*` crosses everything, `unclassified` only by that word.",
    "destination": "Names of destinations.",
    "hours": 'Such as "Mon-Fri 08:00-18:00 Europe/Berlin"; the end is excluded.',
}
_VALUES: Final = {
    "action.kind": _many(ref("kind")),
    "action.stage": _many(ref("stage")),
    "action.sensitivity": _many(ref("level")),
    "header": {
        "type": "object",
        "description": "Patterns by lower-case header name.",
        "additionalProperties": _PATTERNS,
        "minProperties": 1,
    },
}
KEYS: Final[Mapping[str, Schema]] = {
    **{key: _PATTERNS | {"description": text} for key, text in _EITHER.items()},
    **_VALUES,
}
"""Of a match, by key."""

DEFINITIONS: Final[Mapping[str, Schema]] = {
    "reference": {"type": "string", "pattern": _REFERENCE, "description": "A constant of `vars`."},
    "name": {"type": "string", "pattern": _NAME},
    "sentence": {"type": "string", "minLength": 1, "maxLength": 256},
    "texts": _many({"type": "string", "minLength": 1}),
    "condition": {
        "type": ["string", "boolean"],
        "description": "A CEL expression that is true or false; constants are vars.<name> in it.",
    },
    "duration": _text("^[0-9]{1,9}(s|m|h|d)$"),
    "rate": _text("^[0-9]{1,7}/([0-9]{1,5})?(s|m|h)$"),
    "percent": _text(r"^[0-9]{1,3}(\.[0-9]{1,2})?%$"),
    "timestamp": _text(
        r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})$"
    ),
    "whole": {"anyOf": [{"type": "integer", "minimum": 0}, ref("reference")]},
    "decimal": {
        "anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^-?[0-9]{1,3}(\.[0-9]{1,3})?$"}, ref("reference")]
    },
    "kind": _words(KINDS),
    "stage": _words(STAGES),
    "level": _words(SENSITIVITIES),
    "effect": _words(EFFECTS),
    "entity": {
        "anyOf": [
            {"enum": sorted(ENTITY_WORDS)},
            {"type": "string", "pattern": r"^(path|facts)\.[A-Za-z_][A-Za-z0-9_]{0,63}$"},
            ref("reference"),
        ]
    },
    "step_match": closed(listed(STEP_KEYS, KEYS), description="All keys must match, any value of each.")
    | {"minProperties": 1},
    "request_match": closed(listed(REQUEST_KEYS, KEYS), description="All keys must match, any value of each.")
    | {"minProperties": 1},
}

_ENTITIES: Final = _many(ref("entity"))
_CLASSES: Final = closed({name: ref("decimal") for name in WALK_CLASSES})
_FEEDS: Final = _words(feed.value for feed in Fed)
_SPANS: Final = closed({scope: ref("duration") for scope in SCOPES}) | {"minProperties": 1}

ACTION: Final[Mapping[str, Schema]] = {
    "name": {
        "type": "string",
        "pattern": r"^[A-Za-z0-9_.{}-]{1,64}$",
        "description": "`{tool}` is the tool that is called.",
    },
    "match": ref("request_match", "What a request must look like; the most specific entry wins."),
    "kind": ref("kind"),
    "sensitivity": ref("level", "medium when not said."),
    "stage": ref("stage", "The stage of an intrusion that such a request belongs to."),
    "service": {"type": "string", "description": "The destination's name where the route has no better one."},
    "body": {"const": "json", "description": "Needed to read request.json."},
}
SIGNAL: Final[Mapping[str, Schema]] = {
    "count": _FEEDS | {"description": "How many of these."},
    "distinct": ref("entity", "How many different values of this."),
    "first_seen": ref("entity", "1 while this value is new."),
    "sequence": _many(ref("stage")) | {"description": "How far along these stages, in their order."},
    "score": {"const": True, "description": "What rules add up with `adds`."},
    "walk": _CLASSES | {"description": "Evidence over outcomes: units by class."},
    "mark": ref("condition", "Remembered for `keep` when this holds."),
    "budget": _FEEDS | {"description": "A reserve of these."},
    "of": _ENTITIES | {"description": "walk: what makes an outcome another one."},
    "fed_by": _FEEDS | {"description": "What feeds a distinct, a first_seen or a mark."},
    "per": _ENTITIES | {"description": "One key of all these words."},
    "each": _ENTITIES | {"description": "One instance for each word; the reading is the largest."},
    "window": ref("duration"),
    "half_life": ref("duration"),
    "keep": ref("duration"),
    "cap": ref("whole"),
    "ring": ref("whole"),
    "share": ref("whole"),
    "learn": {
        "anyOf": [ref("duration"), closed({"time": ref("duration"), "count": ref("whole")}) | {"minProperties": 1}]
    },
    "match": ref("step_match"),
    "exclude": ref("step_match"),
    "when": ref("condition"),
}
RULE: Final[Mapping[str, Schema]] = {
    "name": ref("name"),
    "match": ref("step_match", "The steps that the rule is about; all when absent."),
    "exclude": ref("step_match", "Steps that it leaves alone."),
    "when": ref("condition", "When it matches; always when absent."),
    "then": ref("effect"),
    "reason": ref("sentence", "For the caller: why."),
    "remedy": ref("sentence", "For the caller: what to do."),
    "alert": ref("level"),
    "tags": _PATTERNS
    | {"description": "Such as owasp:ASI03, attack:T1550, atlas:AML.T0053, csf:PR.AA-05, maestro:L6."},
    "contain": _SPANS | {"description": "quarantine: whom and for how long."},
    "enforce": ref("percent", "The share of principals that it is enforced for; 0% is shadow."),
    "on_state_error": _words(STATE_ERROR_MODES),
    "adds": {
        "type": "object",
        "description": "Units by score.",
        "additionalProperties": ref("whole"),
        "minProperties": 1,
    },
    "approval": closed(
        {"by": _PATTERNS, "binds": _words(["arguments", "action"]), "uses": ref("whole"), "expires": ref("duration")},
        ["by"],
        "challenge: who lifts it.",
    ),
    "step_up": closed({"acr": {"type": "string"}, "max_age": ref("duration")}, description="challenge: RFC 9470.")
    | {"minProperties": 1},
}
