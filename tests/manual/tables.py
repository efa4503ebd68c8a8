"""What the code says about each marked table of the manual."""

from authz_server.policy import (
    caller_entries,
    default_entries,
    envelope_entries,
    exception_entries,
    inject_entries,
    ownership,
    sections,
    task_entries,
    words,
)
from authz_server.policy.entries import WALK_CLASSES, Fed, SignalWord
from authz_server.policy.facts import FACTS, KINDS, OUTCOME_FACTS, SENSITIVITIES, STAGES
from authz_server.policy.frameworks import FRAMEWORKS
from authz_server.policy.signal_entries import _BELONGS, _FEEDS, _LEVELS
from authz_server.policy.vocabulary import parts_of
from authz_server.reports.schema import policy_schema
from tests.manual.limits import LIMITS
from tests.manual.render import Table
from tests.manual.server_tables import SERVER_TABLES

SCHEMA = policy_schema()


def _nested(*path):
    """The fields of a mapping inside of an entry, as the schema knows them."""
    place = SCHEMA["properties"]
    for name in path:
        found = place[name]
        for key in ("items", "anyOf"):
            found = found.get(key, found)
        if isinstance(found, list):
            found = next(each for each in found if "properties" in each)
        place = found.get("properties", {})
    return tuple(place)


FIELDS = {
    "team": ownership._FIELDS,
    "legacy": caller_entries._LEGACY_FIELDS,
    "contained": (*caller_entries._CONTAINED_KEYS, "reason"),
    "action": words.ACTION_FIELDS,
    "task": tuple(
        name
        for field in task_entries._FIELDS
        for name in (("budget.steps", "budget.actions") if field == "budget" else (field,))
    ),
    "signal": words.SIGNAL_FIELDS,
    "rule": words.RULE_FIELDS,
    "approval": tuple(f"approval.{name}" for name in _nested("rules", "approval")),
    "step up": tuple(f"step_up.{name}" for name in _nested("rules", "step_up")),
    "exception": exception_entries._FIELDS,
    "envelope": envelope_entries._FIELDS,
    "inject": inject_entries._FIELDS,
    "default": default_entries._FIELDS,
    "environment": words.ENVIRONMENT_SECTIONS,
}
"""By table: the fields of one entry, in the order of the code."""


def code(*texts):
    return " ".join(f"`{text}`" for text in texts) or "-"


def number(value):
    return f"{value:,}".replace(",", " ")


def _fields(names):
    return Table(("Field", "Type", "Default", "Meaning", "Example"), tuple({"Field": code(name)} for name in names))


def _listed(column, names, *others):
    return Table((column, *others), tuple({column: code(name)} for name in names))


def _sections():
    rows = []
    for name in words.SECTIONS:
        form = "mapping" if name in sections._MAPPINGS else "list" if name in sections._LISTS else "number"
        most, team = sections.MAX_ENTRIES.get(name), sections.MAX_TEAM_ENTRIES.get(name)
        allowed = "yes" if name in words.TEAM_SECTIONS else "-"
        counts = {"Entries": number(most) if most else "-", "In files of a team": number(team) if team else allowed}
        rows.append({"Section": code(name), "Form": form, **counts})
    return Table(("Section", "Form", "Holds", "Entries", "In files of a team"), tuple(rows))


def _request_keys():
    rows = [
        {
            "Request key": code(key),
            "In `cases`": "yes" if key in words.CASE_FIELDS else "-",
            "In `legacy`": "yes" if key in caller_entries.CALLER_KEYS else "-",
        }
        for key in words.REQUEST_KEYS
    ]
    return Table(("Request key", "In `cases`", "In `legacy`", "Pattern", "Example"), tuple(rows))


class _Entry:
    """As much of a signal as says what it gives beside its reading."""

    def __init__(self, word, fed):
        self.word = word
        self.fed = fed


def _kinds():
    rows = []
    for word in SignalWord:
        feeds = _FEEDS.get(word, (Fed.STEPS,))
        needed = {"half_life"} if word in _LEVELS else {"keep"} if word is SignalWord.MARK else {"window"}
        more = [field for field, (kinds, _) in _BELONGS.items() if word in kinds and field not in needed]
        parts = parts_of(_Entry(word, feeds[-1]))
        rows.append(
            {
                "Kind": code(word.value),
                "Fed by": "rules" if word is SignalWord.SCORE else code(*(feed.value for feed in feeds)),
                "Needs": code(*sorted(needed)),
                "May have": code(*more),
                "Gives beside its reading": code(*(f".{part}" for part in parts)),
            }
        )
    columns = ("Kind", "Fed by", "Needs", "May have", "Gives beside its reading", "Reading", "Stored for each key")
    return Table(columns, tuple(rows))


def _facts(facts):
    rows = tuple({"Fact": code(name), "Type": kind} for name, (kind, _) in facts.items())
    return Table(("Fact", "Type", "Meaning"), rows)


def _vocabulary():
    named = {
        "kinds": sorted(KINDS),
        "sensitivities": SENSITIVITIES,
        "stages": STAGES,
        "effects": words.EFFECTS,
        "scopes of a containment": words.SCOPES,
        "words of `per`, `each`, `of`, `distinct`, `first_seen`": words.ENTITY_WORDS,
    }
    return Table(("Words", "Are"), tuple({"Words": name, "Are": code(*found)} for name, found in named.items()))


TABLES = {
    **{f"{name} fields": _fields(found) for name, found in FIELDS.items()},
    "sections": _sections(),
    "request keys": _request_keys(),
    "step keys": _listed("Step key", words.STEP_KEYS, "Compared with", "Example"),
    "signal kinds": _kinds(),
    "outcome classes": _listed("Class", WALK_CLASSES, "Outcome"),
    "effects": _listed("Effect", words.EFFECTS, "When it decides"),
    "scopes": _listed("Scope", words.SCOPES, "Contains", "When the step has none"),
    "state errors": _listed("`on_state_error`", words.STATE_ERROR_MODES, "Restricting rule", "Allow and observe"),
    "facts": _facts(FACTS),
    "outcome facts": _facts(OUTCOME_FACTS),
    "vocabulary": _vocabulary(),
    "frameworks": Table(
        ("Prefix", "Framework", "Example"),
        tuple({"Prefix": code(prefix), "Framework": each.title} for prefix, each in FRAMEWORKS.items()),
    ),
    "limits": Table(
        ("Limit", "Value"), tuple({"Limit": name, "Value": number(value)} for name, value in LIMITS.items())
    ),
    **SERVER_TABLES,
}
"""By the name in the mark."""
