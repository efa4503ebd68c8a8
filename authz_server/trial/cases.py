"""Files of cases: what somebody asks for at which time, and what is expected of the policy.

They stand beside the policy that they try, in `*.cases.yaml`, and are read like it: unknown keys and values of another type
are faults with their place, all of them at once.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from authz_server.errors import Fault, FaultyTextError, PolicyError
from authz_server.policy.fields import Fields, Scope
from authz_server.policy.patterns import Globs, compile_globs
from authz_server.policy.report import Report
from authz_server.policy.text import read_text
from authz_server.policy.tree import Items, Node, Table, Where, described
from authz_server.sources.files import CASES, read_file
from authz_server.trial.case_drafts import Draft, read_draft
from authz_server.trial.case_steps import MAX_NOTE, CaseStep, StepReader
from authz_server.trial.case_times import START, read_start
from authz_server.trial.case_words import (
    CASE_FIELDS,
    DEFAULT_FIELDS,
    FILE_FIELDS,
    CasePlace,
    case_scope,
)
from authz_server.trial.retold import retell

MAX_FILES: Final = 1024
"""Files of cases; a directory with more was named by mistake."""
MAX_CASES: Final = 2000
"""Cases of one file."""
MAX_STEPS: Final = 10_000
"""Steps of one case, repetitions aside."""
_ADDED: Final = ("actions", "tasks")
"""Sections that a case adds to its policy: a pack of rules names no site's hosts."""


class CaseError(FaultyTextError):
    """A file of cases that cannot be used."""


class AskedError(FaultyTextError):
    """What the command line asks for is not there."""


def compile_names(patterns: Sequence[str], what: str) -> Globs:
    """Patterns of names that the command line gives.

    Raises:
        AskedError: one is empty or too long.
    """
    try:
        return compile_globs(patterns)
    except ValueError as error:
        raise AskedError([Fault(what, 0, "", str(error))]) from None


class Case(NamedTuple):
    """One case."""

    file: str
    name: str
    environment: bytes
    """The environment file of the policy that is tried; `b""` for none of its own."""
    added: bytes
    """A policy file that the case adds; `b""` for none."""
    steps: tuple[CaseStep, ...]
    where: Where


class _Lent(NamedTuple):
    """What a file says for all of its cases."""

    file: str
    start: float
    parts: Mapping[str, Node]
    """`env`, `actions` and `tasks` as they stand."""
    draft: Draft


def find_files(directory: Path, paths: Sequence[Path] = ()) -> list[Path]:
    """The files of cases: those that are named, and those below the folders that are named, or else below the policy.

    Names that begin with a dot are left out below a folder, and links to folders are not followed.

    Raises:
        AskedError: there are none, or too many.
    """
    found: dict[Path, None] = {}
    for place in paths or (directory,):
        if not place.is_dir():
            found[place] = None
            continue
        for folder, folders, names in os.walk(place):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            found.update((Path(folder, name), None) for name in sorted(names) if name.endswith(CASES))
            if len(found) > MAX_FILES:
                raise AskedError([Fault(str(place), 0, "", f"more than {MAX_FILES} files of cases")])
    if not found:
        places = ", ".join(map(str, paths or (directory,)))
        raise AskedError([Fault(places, 0, "", "there is no file of cases (`*.cases.yaml`)")])
    return list(found)


def read_cases(files: Iterable[Path]) -> list[Case]:
    """Read files of cases.

    Raises:
        CaseError: with every fault of all files; also of those that are missing, special or too large.
    """
    report = Report()
    cases: list[Case] = []
    for path in files:
        try:
            cases += parse_cases(str(path), read_file(path), report)
        except PolicyError as error:
            report.faults += error.faults
    if report.faults:
        raise CaseError(report.faults)
    return cases


def parse_cases(file: str, data: bytes, report: Report) -> list[Case]:
    """Read one file of cases.

    Args:
        file: its name, for the messages.
        data: its content.
        report: receives the faults.
    """
    root = read_text(file, data, report.faults)
    if root is None:
        return []
    scope = case_scope(report)
    fields = Fields(root, CasePlace.FILE, FILE_FIELDS, scope)
    fields.require("cases")
    lent = _Lent(file, read_start(fields, START), _parts(fields), _defaults(fields, scope))
    known: dict[str, Where] = {}
    cases = [_case(node, lent, scope) for node in _listed(fields, "cases", MAX_CASES)]
    for case in cases:
        first = known.setdefault(case.name, case.where)
        if first is not case.where and case.name:
            report.faults.append(case.where.fault(f"`{case.name}` is defined twice, first at {first.place()}", "name"))
    return cases


def _parts(fields: Fields) -> dict[str, Node]:
    return {key: node for key in ("env", *_ADDED) if (node := fields.node_of(key)) is not None}


def _defaults(fields: Fields, scope: Scope) -> Draft:
    node = fields.node_of("defaults")
    return Draft() if node is None else read_draft(Fields(node, CasePlace.DEFAULTS, DEFAULT_FIELDS, scope), scope)


def _listed(fields: Fields, key: str, most: int) -> list[Node]:
    node = fields.node_of(key)
    if isinstance(node, Items):
        if len(node.nodes) > most:
            fields.fault(f"more than {most}", key)
        if not node.nodes:
            fields.fault("an empty list tries nothing", key)
        return node.nodes[:most]
    if node is not None:
        fields.fault(f"a list is expected, not {described(node)}", key)
    return []


def _case(node: Node, lent: _Lent, scope: Scope) -> Case:
    fields = Fields(node, CasePlace.CASE, CASE_FIELDS, scope)
    fields.require("name", "steps")
    start = read_start(fields, lent.start)
    parts = {**lent.parts, **_parts(fields)}
    draft = _defaults(fields, scope).over(lent.draft)
    fields.text("note", most=MAX_NOTE)
    environment = parts.pop("env", None)
    reader = StepReader(draft, start, scope)
    return Case(
        file=lent.file,
        name=fields.text("name"),
        environment=retell(environment.nodes) if isinstance(environment, Table) else _none(environment, scope),
        added=retell(parts),
        steps=tuple(map(reader.read, _listed(fields, "steps", MAX_STEPS))),
        where=fields.node,
    )


def _none(node: Node | None, scope: Scope) -> bytes:
    if node is not None:
        scope.report.faults.append(node.fault(f"a mapping is expected, not {described(node)}"))
    return b""
