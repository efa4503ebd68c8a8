"""A policy directory and the site's own sections of a trace, joined as the site would have configured them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from authz_server.errors import Fault, PolicyError
from authz_server.policy.compiler import Environment, compile_policy
from authz_server.policy.sections import VERSION, team_of
from authz_server.policy.snapshot import Snapshot
from authz_server.policy.text import read_text
from authz_server.policy.tree import Items, Node, Scalar, Table
from authz_server.sources.files import read_directory, read_file
from authz_server.trial.trace_step import SitePolicy
from authz_server.trial.trial import TRIAL_KEY

SITE: Final = "trace.yaml"
"""What the site's sections are called in messages; all of it stands in the trace's first line."""


def compile_site(directory: Path, environment: Path | None, site: SitePolicy | None) -> Snapshot:
    """Compile a policy directory for a trial.

    Args:
        directory: of the policy.
        environment: the file that adapts it to a place, or None.
        site: what a trace adds to it, or None.

    Raises:
        PolicyError: with every fault of all of them.
    """
    files = read_directory(directory)
    place = (str(environment), read_file(environment)) if environment is not None else None
    if site is not None:
        files, place = join(files, place, site)
    return compile_policy(files, TRIAL_KEY, (), place)


def join(
    files: Mapping[str, bytes], place: Environment | None, site: SitePolicy
) -> tuple[dict[str, bytes], Environment | None]:
    """Add the site's sections to the files of a policy.

    Constants that the policy has already are replaced as an environment replaces them, and win over the environment's own;
    all else is a further file of the platform.

    Raises:
        PolicyError: the policy has a file of the name that stands for the trace.
    """
    if SITE in files:
        raise PolicyError(
            [Fault(SITE, 0, "", "the name stands for the first line of the trace; call the file otherwise")]
        )
    known = _constants(files) if site.vars else frozenset()
    own = {name: value for name, value in site.vars.items() if name not in known}
    replacing = {name: value for name, value in site.vars.items() if name in known}
    text = _written({"version": VERSION, "vars": own, "actions": site.actions, "tasks": site.tasks})
    return {**files, SITE: text}, _replaced(place, replacing)


def _constants(files: Mapping[str, bytes]) -> frozenset[str]:
    """The names in `vars` of the platform's files; what is wrong with the files is for the compiler to say."""
    names: set[str] = set()
    for file, data in files.items():
        if b"vars" in data and not team_of(file):
            root = read_text(file, data, [])
            found = root.nodes.get("vars") if root is not None else None
            names.update(found.nodes if isinstance(found, Table) else ())
    return frozenset(names)


def _replaced(place: Environment | None, replacing: dict[str, Any]) -> Environment | None:
    """The environment with further constants; its own text as it is where there are none."""
    if not replacing:
        return place
    if place is None:
        return SITE, _written({"vars": replacing})
    faults: list[Fault] = []
    root = read_text(*place, faults)
    plain = _plain(root) if root is not None else {}
    given = plain.get("vars") or {}
    if faults or root is None or not isinstance(given, dict):
        return place  # the compiler says what is wrong with it
    return place[0], _written({**plain, "vars": {**given, **replacing}})


def _plain(node: Node) -> Any:
    """A node without its place."""
    if isinstance(node, Table):
        return {name: _plain(child) for name, child in node.nodes.items()}
    if isinstance(node, Items):
        return [_plain(child) for child in node.nodes]
    return node.value if isinstance(node, Scalar) else None


def _written(value: Any) -> bytes:
    """JSON, which is YAML too."""
    return json.dumps(value, ensure_ascii=False).encode()
