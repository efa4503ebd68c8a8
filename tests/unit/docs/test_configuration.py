"""The manual of the configuration: its examples load, its settings, defaults, flags and variables are the real ones."""

import re
from typing import Annotated, get_args, get_origin

import pytest
import typer
import yaml
from pydantic import BaseModel, TypeAdapter

from authz_server.cli import app
from authz_server.config import Config, load_config
from authz_server.config import load as config_load
from tests.manual.markdown import ROOT, blocks, codes, quoted, read, rows, without_blocks

GROUP = typer.main.get_command(app)
COMMANDS = [*GROUP.commands.values(), *GROUP.commands["policy"].commands.values(), GROUP]


@pytest.mark.parametrize("block", blocks("configuration.md", "yaml"))
def test_every_configuration_example_loads(block):
    """As it is printed."""
    assert load_config("config.yaml", block.encode(), {}) != Config()


def settings(model=Config, prefix=""):
    """Every setting by its path, with its field."""
    for name, field in model.model_fields.items():
        inner = next((kind for kind in _kinds(field.annotation) if issubclass(kind, BaseModel)), None)
        if prefix and name == "listen":  # as the first one, whose members are told there
            inner = None
        listed, named = get_origin(field.annotation) is tuple, get_origin(field.annotation) is dict
        if inner is None or name == "listen":
            yield f"{prefix}{name}", field
        if inner is not None:
            mark = "[]" if listed else ".NAME" if named else ""
            yield from settings(inner, f"{prefix}{name}{mark}.")


def _kinds(annotation):
    if isinstance(annotation, type) and not get_args(annotation):
        yield annotation
    for part in get_args(annotation):
        yield from _kinds(part)


def test_the_table_of_settings_is_complete():
    """Every key of the file, and none that the file has not."""
    assert codes("configuration.md", "Setting") == {path for path, _ in settings()}


@pytest.mark.parametrize("row", rows("configuration.md", "Setting"), ids=lambda row: row.cells["Setting"])
def test_every_printed_default_is_the_real_one(row):
    """In the notation of the file."""
    field = dict(settings())[row.words("Setting")[0]]
    if row.cells["Default"] == "required":
        assert field.is_required()
    elif row.cells["Default"] == "none":
        assert field.get_default() in {None, "", ()}
    else:
        plain = yaml.safe_load(row.words("Default")[0])
        kind = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
        value = TypeAdapter(kind).validate_python(tuple(plain) if isinstance(plain, list) else plain)
        assert value == field.get_default()


def test_every_flag_and_variable_is_documented_and_exists():
    """Those of `serve`, each beside its own variable, and the one in front of it."""
    options = [*GROUP.params, *GROUP.commands["serve"].params]
    expected = {(option.opts[0], option.envvar) for option in options if option.envvar}
    text = read("configuration.md")
    listed = set(re.findall(r"`(--[a-z-]+)`[^`]{1,3}`(AUTHZ_[A-Z_]+)", text))
    assert listed == expected
    names = {name for option in options for name in option.opts}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) <= names


@pytest.mark.parametrize("manual", ["policy.md", "policy-reference.md", "envoy.md", "decisions.md", "tools.md"])
def test_every_flag_of_the_other_manuals_exists(manual):
    """Of any command."""
    options = [option for command in COMMANDS for option in command.params]
    names = {name for option in options for name in (*option.opts, *option.secondary_opts)}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", read(manual))) <= names


@pytest.mark.parametrize("manual", ["docs/policy.md", "docs/tools.md", "docs/configuration.md", "README.md"])
def test_every_command_that_is_named_exists(manual):
    """`authz-server …` and `authz-server policy …`, in the text and in examples."""
    text = (ROOT / manual).read_text()
    shown = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [*quoted(without_blocks(text)), *(line for block in shown for line in block.splitlines())]
    named = {found[1] for line in lines if (found := re.match(r"authz-server ((?:policy )?[a-z]+)", line))}
    assert named <= {*GROUP.commands, *(f"policy {name}" for name in GROUP.commands["policy"].commands)}


def test_the_settings_that_are_not_supported_are_complete():
    """As the loader refuses them by name."""
    text = read("configuration.md").partition("## Not supported")[2]
    assert set(quoted(text)) == set(config_load._LATER)
