"""The JSON Schema (draft 2020-12) of a policy file, for editors: generated from the words of the language, so that it stays true.

It describes one file as it is written. What only the loader can see, such as names that nothing defines or conditions that never
hold, is not in it.
"""

from typing import Any, Final

from authz_server.policy.sections import VERSION
from authz_server.policy.words import (
    ACTION_FIELDS,
    CASE_FIELDS,
    ENVIRONMENT_SECTIONS,
    RULE_FIELDS,
    SECTIONS,
    SIGNAL_FIELDS,
    STATE_ERROR_MODES,
    TEAM_SECTIONS,
)
from authz_server.reports.schema_parts import (
    ACTION,
    DEFINITIONS,
    IDENTIFIER,
    KEYS,
    RULE,
    SIGNAL,
    Schema,
    closed,
    listed,
    ref,
)

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_CASE: Final = {**KEYS, "kind": ref("kind"), "sensitivity": ref("level"), "stage": ref("stage")}
_PLAIN: Final = {"type": ["string", "integer", "boolean"]}


def policy_schema() -> Schema:
    """The schema of a file of a policy; files of a team hold the sections that its descriptions name for them."""
    known = _sections()
    properties = listed(SECTIONS, known)
    for section in properties.keys() - set(TEAM_SECTIONS):
        text = properties[section].get("description", "")
        properties[section] = properties[section] | {"description": f"{text} Not in files of teams.".strip()}
    return _rooted("A policy of authz-server", properties, dict(DEFINITIONS))


def environment_schema() -> Schema:
    """The schema of an environment file."""
    known = {
        "vars": _by_name(_value(), "Constants that are replaced; each keeps its type."),
        "enforce": {
            "type": "object",
            "description": "Shares by names of rules and patterns of names.",
            "additionalProperties": ref("percent"),
        },
        "mode": {"enum": ["enforce", "shadow"], "description": "shadow: everything but containment is only recorded."},
    }
    wanted = ("reference", "percent")
    return _rooted(
        "An environment of authz-server",
        listed(ENVIRONMENT_SECTIONS, known),
        {name: DEFINITIONS[name] for name in wanted},
    )


def _rooted(title: str, properties: dict[str, Schema], definitions: dict[str, Schema]) -> Schema:
    return {"$schema": DIALECT, "title": title, **closed(properties), "$defs": definitions}


def _value() -> Schema:
    return {"anyOf": [_PLAIN, {"type": "array", "items": _PLAIN, "minItems": 1}]}


def _by_name(item: Schema, description: str) -> Schema:
    return {
        "type": ["object", "null"],
        "description": description,
        "propertyNames": {"pattern": IDENTIFIER},
        "additionalProperties": item,
    }


def _list(item: Schema, description: str) -> Schema:
    return {"type": ["array", "null"], "description": description, "items": item}


def _sections() -> dict[str, Schema]:
    case = closed(listed(CASE_FIELDS, _CASE))
    cases = _list(case, "Refinements, in order; the first that matches.")
    action = closed(listed(ACTION_FIELDS, {**ACTION, "cases": cases}), ["name", "match", "kind"])
    expression = {"type": ["string", "boolean", "integer"], "description": "A CEL expression."}
    return {
        "version": {"const": VERSION},
        "vars": _by_name(_value(), "Typed constants: $(name) in plain values, vars.name in expressions."),
        "facts": _by_name(expression, "Named expressions of a closed type."),
        "actions": _list(action, "What requests are; the most specific entry wins."),
        "signals": _by_name(
            closed(listed(SIGNAL_FIELDS, SIGNAL)), "What is measured; each reading is one whole number."
        ),
        "rules": _list(closed(listed(RULE_FIELDS, RULE), ["name", "then"]), "What is decided; order means nothing."),
        "exceptions": _list(_exception(), "Lift named restricting rules for some steps."),
        "defaults": _defaults(),
        **_agreements(),
    }


def _exception() -> Schema:
    fields = {
        "name": ref("name"),
        "rules": ref("texts", "Names of restricting rules."),
        "match": ref("step_match"),
        "expires": ref("timestamp"),
        "reason": ref("sentence"),
        "alert": ref("level"),
    }
    return closed(fields, ["name", "rules", "match", "reason"])


def _defaults() -> Schema:
    fields = {
        "on_state_error": {"enum": [mode for mode in STATE_ERROR_MODES if mode != "skip"]},
        "max_policy_age": ref("duration"),
        "when_stale": {"enum": ["flag", "deny"]},
        "unclassified": closed(
            {"kind": ref("kind"), "sensitivity": ref("level")}, description="Of what no action describes."
        ),
    }
    return closed(fields, description="What holds where nothing else is said.")


def _agreements() -> dict[str, Schema]:
    """The sections about callers, work and ownership."""
    patterns = ref("texts")
    team = closed({"actions": patterns, "hosts": patterns}, ["actions", "hosts"])
    legacy = {"name": ref("name"), "match": ref("request_match"), "actions": patterns, "rate": ref("rate")}
    contained = listed(("principal", "source", "credential", "task"), KEYS) | {"reason": ref("sentence")}
    envelope = {"name": ref("name"), "match": ref("step_match"), "rate": ref("rate")}
    inject = {
        "match": ref("step_match"),
        "header": {"type": "string"},
        "audience": {"type": "string"},
        "ttl": ref("duration"),
        "strip": patterns,
    }
    return {
        "teams": {
            "type": ["object", "null"],
            "description": "Folder under teams/ to what its files may speak about.",
            "additionalProperties": team,
        },
        "legacy": _list(closed(legacy, ["name", "match", "actions"]), "Callers without an identity of their own."),
        "contained": _list(closed(contained, ["reason"]), "Who is refused before everything else."),
        "tasks": _list(_task(patterns), "Templates of declared work."),
        "envelopes": _list(closed(envelope, ["name", "match", "rate"]), "Pre-approved work of a high volume."),
        "inject": _list(closed(inject, ["match", "header", "audience"]), "Credentials that the destination gets."),
    }


def _task(patterns: Schema) -> Schema:
    budget = closed(
        {"steps": ref("whole"), "actions": {"type": "object", "additionalProperties": ref("whole"), "minProperties": 1}}
    )
    fields: dict[str, Any] = {
        "name": ref("name"),
        "issuers": ref("texts", "SPIFFE patterns and group:<name>."),
        "agents": ref("texts", "SPIFFE patterns."),
        "actions": patterns,
        "destinations": patterns,
        "max_sensitivity": ref("level"),
        "hours": KEYS["hours"],
        "budget": budget | {"minProperties": 1},
        "ttl": ref("duration"),
        "idle": ref("duration"),
        "max_depth": ref("whole", "Delegations behind the issuer."),
    }
    return closed(fields, ["name", "issuers", "agents", "actions", "ttl"])
