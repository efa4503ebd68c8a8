"""Reads the configuration file and lays flags and environment over it."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from authz_server.config.model import Config
from authz_server.errors import ConfigError, Fault
from authz_server.policy.text import read_text
from authz_server.policy.tree import Items, Node, Scalar, Table

_LATER: Final = {
    "workload_api": "the SPIFFE Workload API",
    "bundle_endpoint": "bundle endpoints",
    "mode": "server-wide shadow mode",
}
"""Settings of the design that this version refuses by name instead of calling them unknown."""


def load_config(file: str, data: bytes, overrides: Mapping[str, Any]) -> Config:
    """Read the configuration.

    Args:
        file: its name, for messages; `""` when there is no file.
        data: its content.
        overrides: settings of flags and environment, which win over the file.

    Raises:
        ConfigError: with every fault.
    """
    faults: list[Fault] = []
    table = read_text(file, data, faults)
    if faults or table is None:
        raise ConfigError(faults)
    plain = _plain(table)
    try:
        return Config.model_validate(_overlaid(plain, overrides))
    except ValidationError as error:
        raise ConfigError([_fault(table, problem) for problem in _apart(error.errors())]) from None


def _apart(problems: Sequence[Any]) -> list[Any]:
    """Without "too few items" of a list whose items are what is wrong."""
    places = [problem["loc"] for problem in problems]
    return [
        problem
        for problem in problems
        if problem["type"] != "too_short"
        or not any(place[: len(problem["loc"])] == problem["loc"] != place for place in places)
    ]


def _overlaid(plain: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The file's settings with the given ones over them; of a section only what is given."""
    settings = dict(plain)
    for name, value in overrides.items():
        known = settings.get(name)
        if isinstance(value, Mapping) and isinstance(known, Mapping):
            settings[name] = {**known, **value}
        elif value is not None:
            settings[name] = value
    return settings


def _plain(node: Node) -> Any:
    if isinstance(node, Table):
        return {name: _plain(item) for name, item in node.nodes.items()}
    if isinstance(node, Items):
        return tuple(_plain(item) for item in node.nodes)
    return node.value if isinstance(node, Scalar) else None


def _fault(table: Table, problem: Any) -> Fault:
    keys = [key for key in problem["loc"] if not (isinstance(key, str) and key.startswith(("function-", "tuple")))]
    message = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        message = _unknown(str(keys[-1]), keys[:-1])
    return table.fault(message, *keys)


def _unknown(name: str, path: list[Any]) -> str:
    if name in _LATER:
        return f"{_LATER[name]} are not supported by this version"
    known: Any = Config
    for key in path:
        if (
            isinstance(key, str)
            and isinstance(known, type)
            and issubclass(known, BaseModel)
            and key in known.model_fields
        ):
            known = known.model_fields[key].annotation
    names = sorted(known.model_fields) if isinstance(known, type) and issubclass(known, BaseModel) else []
    near = get_close_matches(name, names, n=1)
    return "unknown setting" + (f"; did you mean `{near[0]}`?" if near else "")
