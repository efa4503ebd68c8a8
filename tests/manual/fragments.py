"""The examples of single fields, each set into a whole entry beside the manual's first policy."""

import copy
import json
import re

import yaml

from authz_server.keyhash import KeyedHash
from authz_server.policy.compiler import compile_policy
from tests.manual.markdown import blocks, quoted, read, rows
from tests.manual.tables import FIELDS

KEYED = KeyedHash(bytes(16))
REFERENCE = "policy-reference.md"

_AGENT = "spiffe://corp.example/ns/agents/sa/a1"
_RULE = {"name": "extra", "then": "deny"}
_SIGNAL = {"count": "steps", "per": ["principal"], "window": "10s"}
ENTRIES = {
    "team": {"actions": "extra.*", "hosts": "extra.example"},
    "legacy": {"name": "extra", "match": {"source": "10.0.0.0/8"}, "actions": "customer.read"},
    "contained": {"principal": _AGENT, "reason": "why"},
    "action": {"name": "extra", "match": {"path": "/extra/**"}, "kind": "write"},
    "task": {"name": "extra", "issuers": _AGENT, "agents": _AGENT, "actions": "customer.*", "ttl": "1d"},
    "signal": _SIGNAL,
    "rule": _RULE,
    "approval": {**_RULE, "then": "challenge"},
    "step up": {**_RULE, "then": "challenge"},
    "exception": {
        "name": "extra",
        "rules": "too-fast",
        "match": {"principal": _AGENT},
        "expires": "2030-01-31T18:00:00Z",
        "reason": "why",
    },
    "envelope": {"name": "extra", "match": {"principal": _AGENT, "action": "customer.read"}, "rate": "1/s"},
    "inject": {"match": {"action": "customer.*"}, "header": "authorization", "audience": "https://crm.corp.example"},
    "default": {},
    "environment": {},
}
"""By table: an entry without the field that is looked at."""
_LISTS = {
    "legacy": "legacy", "contained": "contained", "action": "actions", "task": "tasks", "rule": "rules", "approval": "rules",
    "step up": "rules", "exception": "exceptions", "envelope": "envelopes", "inject": "inject",
}  # fmt: skip
_SIGNALS = {
    "half_life": {"sequence": ["discovery", "collection"]},
    "keep": {"mark": "true", "window": None},
    "cap": {"score": True, "window": None, "half_life": "1h"},
    "learn": {"first_seen": "destination"},
    "fed_by": {"first_seen": "destination"},
    "walk": {"half_life": "1h", "window": None},
    "score": {"half_life": "1h", "window": None},
    "mark": {"keep": "1h", "window": None},
}
_WALK = {"walk": {"refused": 1}, "half_life": "1h", "window": None, "ring": 32}
KINDS = {"count", "distinct", "sequence", "score", "first_seen", "walk", "mark", "budget"}


def field_rows():
    """The rows of all tables of fields: the table's name and the row."""
    text = read(REFERENCE)
    for name in FIELDS:
        heading = re.findall(r"^#+ (.*)$", text.partition(f"<!-- generated: {name} fields -->")[0], re.MULTILINE)[-1]
        for row in rows(REFERENCE, "Field", heading):
            yield name, row


def field_of(row):
    return quoted(row.cells["Field"])[0]


def example_of(row):
    return yaml.safe_load(quoted(row.cells["Example"])[0])


def entry_with(table, example):
    """An entry of the table with the fields of an example."""
    entry = copy.deepcopy(ENTRIES[table])
    if table == "signal":
        entry |= _about(example)
    if "contain" in example:
        entry["then"] = "quarantine"
    if {"approval", "step_up"} & set(example):
        entry["then"] = "challenge"
    entry |= example
    return {key: value for key, value in entry.items() if value is not None}


def _about(example):
    """What a signal is for the fields of an example to belong to it."""
    more = {}
    for field in example:
        more |= _WALK if field in {"of", "ring", "share"} else _SIGNALS.get(field, {})
    named = KINDS & {*more, *example}
    more |= {"count": None} if named - {"count"} else {}
    return more | ({"per": None} if "each" in example else {})


def policy_files(table, entry):
    """A policy with the entry: the manual's first one, and a file with it."""
    name = _LISTS.get(table)
    sections = {name: [entry]} if name else {f"{table}s": entry if table == "default" else {"extra": entry}}
    more = {"signals": {"risk": {"score": True, "per": ["principal"], "half_life": "1h"}}} if "adds" in entry else {}
    extra = f"tasks: [{json.dumps(ENTRIES['task'] | {'name': 'weekly-report'})}]"
    return {
        "complete.yaml": blocks("policy.md", "yaml")[0].encode(),
        "extra.yaml": json.dumps(sections | more, default=lambda moment: f"{moment:%FT%TZ}").encode(),
        "tasks.yaml": extra.encode() if table != "task" else b"",
    }


def compiled(table, entry):
    """The policy with an entry of the table.

    Raises:
        PolicyError: something in it is wrong.
    """
    if table == "environment":
        complete = {"complete.yaml": blocks("policy.md", "yaml")[0].encode()}
        return compile_policy(complete, KEYED, environment=("env.yaml", json.dumps(entry).encode()))
    return compile_policy(policy_files(table, entry), KEYED)
