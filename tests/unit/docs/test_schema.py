"""What the manual prints is what the schema for editors takes."""

import json

import pytest
from jsonschema import Draft202012Validator

from authz_server.config.load import _plain
from authz_server.policy.text import read_text
from authz_server.reports.schema import environment_schema, policy_schema
from tests.manual.fragments import entry_with, example_of, field_of, field_rows, policy_files
from tests.manual.markdown import blocks

POLICY, ENVIRONMENT = (Draft202012Validator(schema()) for schema in (policy_schema, environment_schema))


def complaints(validator, text):
    """What the schema says about a file, read as the server reads it."""
    faults = []
    plain = json.loads(json.dumps(_plain(read_text("example.yaml", text, faults))))
    assert faults == []
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(plain)]


@pytest.mark.parametrize("block", blocks("policy.md", "yaml"))
def test_every_example_fits(block):
    """As a file of a policy, or of an environment."""
    assert complaints(ENVIRONMENT if block.startswith("# env/") else POLICY, block.encode()) == []


@pytest.mark.parametrize(
    ("table", "row"), [pytest.param(*found, id=f"{found[0]}:{field_of(found[1])}") for found in field_rows()]
)
def test_every_example_of_a_field_fits(table, row):
    """In an entry of its section."""
    entry = entry_with(table, example_of(row))
    if table == "environment":
        assert complaints(ENVIRONMENT, json.dumps(entry).encode()) == []
    else:
        assert complaints(POLICY, policy_files(table, entry)["extra.yaml"]) == []


def test_what_is_no_policy_does_not_fit():
    """The schema is not one that takes everything."""
    assert complaints(POLICY, b"rules: [{name: x, then: permit}]")
    assert complaints(ENVIRONMENT, b"mode: off")
