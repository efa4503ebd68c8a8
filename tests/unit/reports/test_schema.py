"""The JSON Schema of a policy."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from authz_server.policy import (
    caller_entries,
    envelope_entries,
    exception_entries,
    inject_entries,
    ownership,
    task_entries,
    words,
)
from authz_server.policy.schema import parse_policy
from authz_server.reports.schema import environment_schema, policy_schema

ROOT = Path(__file__).resolve().parents[3]
POLICIES = [
    *sorted((ROOT / "authz_server/demo/files/policies").rglob("*.yaml")),
    *sorted(path for path in (ROOT / "k8s").rglob("*.yaml") if path.parent.name == "policies"),
    ROOT / "tests/e2e/policy.yaml",
]
SCHEMA = policy_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


class Loader(yaml.SafeLoader):
    """Reads what the policy's own loader reads: of YAML's scalars only true, false, null and decimal integers are not text."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag.endswith((":bool", ":null", ":int"))]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def errors(document):
    return [error.message for error in VALIDATOR.iter_errors(yaml.load(document, Loader))]


def properties(*path):
    found = SCHEMA["properties"]
    for key in path:
        found = found[key]
    return found["properties"].keys()


@pytest.mark.parametrize("schema", [SCHEMA, environment_schema()])
def test_it_is_a_schema(schema):
    """Of the dialect that it names, without references into nowhere."""
    jsonschema.Draft202012Validator.check_schema(schema)
    text = json.dumps(schema)
    for name in schema["$defs"]:
        assert f'"#/$defs/{name}"' in text or name == "name"
    for part in text.split('"$ref": "#/$defs/')[1:]:
        assert part.partition('"')[0] in schema["$defs"]


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_policies_of_this_repository_are_valid(path):
    """Whoever copies from them starts without a mark in the editor."""
    assert errors(path.read_text()) == []


def test_there_are_policies_to_validate():
    """The search finds the demo's and those of the manifests."""
    assert len(POLICIES) >= 3


def test_every_word_of_the_language_stands_in_it():
    """The lists of the loader are the lists of the editor."""
    assert SCHEMA["properties"].keys() == set(words.SECTIONS)
    assert properties("actions", "items") == set(words.ACTION_FIELDS)
    assert properties("actions", "items", "properties", "cases", "items") == set(words.CASE_FIELDS)
    assert properties("signals", "additionalProperties") == set(words.SIGNAL_FIELDS)
    assert properties("rules", "items") == set(words.RULE_FIELDS)
    assert SCHEMA["$defs"]["step_match"]["properties"].keys() == set(words.STEP_KEYS)
    assert SCHEMA["$defs"]["request_match"]["properties"].keys() == set(words.REQUEST_KEYS)
    assert environment_schema()["properties"].keys() == set(words.ENVIRONMENT_SECTIONS)
    text = json.dumps(SCHEMA)
    for word in (*words.EFFECTS, *words.SCOPES, *words.STATE_ERROR_MODES, *words.ENTITY_WORDS):
        assert f'"{word}"' in text


@pytest.mark.parametrize(
    ("section", "known"),
    [
        ("tasks", task_entries._FIELDS),
        ("legacy", caller_entries._LEGACY_FIELDS),
        ("contained", (*caller_entries._CONTAINED_KEYS, "reason")),
        ("exceptions", exception_entries._FIELDS),
        ("envelopes", envelope_entries._FIELDS),
        ("inject", inject_entries._FIELDS),
    ],
)
def test_the_other_sections_have_the_fields_of_their_readers(section, known):
    """Their readers keep their lists to themselves."""
    assert properties(section, "items") == set(known)


def test_a_team_has_the_fields_of_its_reader():
    """Teams are a mapping by name."""
    assert properties("teams", "additionalProperties") == set(ownership._FIELDS)


def test_every_word_is_described_or_refers_to_what_is():
    """A word that has no schema yet takes any value; now there is none."""
    for section in ("actions", "rules"):
        assert all(SCHEMA["properties"][section]["items"]["properties"].values())
    assert all(SCHEMA["properties"]["signals"]["additionalProperties"]["properties"].values())
    assert all(SCHEMA["$defs"]["step_match"]["properties"].values())
    assert all(SCHEMA["$defs"]["request_match"]["properties"].values())


HEAD = "version: 1\nactions: [{name: a, match: {host: a.example, path: /v1}, kind: read}]\n"
SIGNALS = HEAD + "signals: {calls: {count: steps, per: [principal], window: 10s}}\n"


@pytest.mark.parametrize(
    "document",
    [
        HEAD,
        SIGNALS + "rules: [{name: r, when: signals.calls > 3, then: throttle, enforce: 0.25%, alert: low}]\n",
        SIGNALS + "rules: [{name: r, when: signals.calls > 3, then: quarantine, contain: {pair: 1h}}]\n",
        HEAD + 'vars: {who: ["spiffe://a.example/**"]}\nrules: [{name: r, match: {principal: $(who)}, then: allow}]\n',
        HEAD
        + "signals: {s: {score: true, each: [principal], half_life: 15m}}\nrules: [{name: r, then: deny, adds: {s: 5}}]\n",
        HEAD + "signals: {w: {walk: {refused: 2, absent: 1.5}, each: [principal, source], half_life: 6h, cap: 24}}\n",
        HEAD + "signals: {f: {first_seen: destination, per: [principal], window: 7d, learn: {time: 24h, count: 20}}}\n",
        HEAD + "rules: [{name: r, then: challenge, approval: {by: group:soc, binds: action, uses: 2, expires: 30m}}]\n",
        HEAD + 'contained: [{source: 10.0.0.0/8, reason: "INC-1"}]\n',
        HEAD + "defaults: {on_state_error: deny, max_policy_age: 24h, unclassified: {kind: read, sensitivity: high}}\n",
        HEAD + "envelopes: [{name: e, match: {principal: spiffe://a.example/b, action: a}, rate: 500/10s}]\n",
    ],
)
def test_what_the_loader_takes_is_valid(document):
    """No mark in the editor where the server has no fault."""
    assert parse_policy({"a.yaml": document.encode()}).faults == []
    assert errors(document) == []


@pytest.mark.parametrize(
    "document",
    [
        "version: 2\n",
        HEAD + "rule: []\n",
        HEAD + "rules: {}\n",
        HEAD + "rules: [{name: r, then: refuse}]\n",
        HEAD + "rules: [{name: r}]\n",
        HEAD + "rules: [{name: a b, then: deny}]\n",
        HEAD + "rules: [{name: r, then: deny, enforce: 5}]\n",
        HEAD + "rules: [{name: r, then: deny, match: {action.kind: reed}}]\n",
        HEAD + "rules: [{name: r, then: deny, match: {}}]\n",
        HEAD + "rules: [{name: r, then: deny, match: {host: a}}]\n",
        HEAD + "rules: [{name: r, then: quarantine, contain: {everything: 1h}}]\n",
        HEAD + "rules: [{name: r, then: quarantine, contain: {pair: 1}}]\n",
        HEAD + "signals: {calls: {count: calls, per: [principal], window: 10s}}\n",
        HEAD + "signals: {calls: {count: steps, per: [somebody], window: 10s}}\n",
        HEAD + "signals: {calls: {count: steps, per: [principal], window: 10 seconds}}\n",
        HEAD + "signals: {s: {score: often, each: [principal], half_life: 15m}}\n",
        "version: 1\nactions: [{name: a, match: {host: a}, kind: read, body: xml}]\n",
        "version: 1\nactions: [{name: a, kind: read}]\n",
        "version: 1\nactions: [{name: a, match: {host: a}, kind: read, stage: start}]\n",
        HEAD + "envelopes: [{name: e, match: {action: a}, rate: fast}]\n",
        HEAD + "defaults: {on_state_error: skip}\n",
        HEAD + "facts: {bad-name: 1 + 1}\n",
        HEAD + "exceptions: [{name: e, rules: r, match: {task: t}, reason: x, expires: tomorrow}]\n",
    ],
)
def test_what_is_marked_is_a_fault(document):
    """The editor marks nothing that the loader takes."""
    assert errors(document) != []
    assert parse_policy({"a.yaml": document.encode()}).faults != []


def test_an_environment():
    """Constants, shares and the mode, nothing else."""
    check = jsonschema.Draft202012Validator(environment_schema()).is_valid
    assert check(yaml.load("vars: {a: 1, b: [x]}\nenforce: {r: 5%, 'b/*': 0%}\nmode: shadow\n", Loader))
    assert not check(yaml.load("rules: []\n", Loader))
    assert not check(yaml.load("mode: off\n", Loader))
    assert not check(yaml.load("enforce: {r: 5}\n", Loader))
