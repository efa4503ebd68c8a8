"""Joining the files of a policy: lists one after the other, mappings united, and each name defined once."""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Final, NamedTuple

from authz_server.errors import Fault
from authz_server.policy.fields import Fields, Scope
from authz_server.policy.report import Report
from authz_server.policy.text import read_text
from authz_server.policy.tree import Items, Node, Scalar, Table, Where, described
from authz_server.policy.vars import Vars
from authz_server.policy.words import SECTIONS, Place

VERSION: Final = 1
MAX_FILES: Final = 256
"""Files of one policy; a directory of thousands is a mistake in a path."""
MAX_TOTAL_BYTES: Final = 32 << 20
"""All files together; the tree takes about ten times as much while it is read."""
MAX_ENTRIES: Final[Mapping[str, int]] = {
    "vars": 1024,
    "facts": 256,
    "actions": 20_000,
    "signals": 256,
    "rules": 100_000,
    "defaults": 16,
}
"""Entries of each section: signals and facts cost every step that they are about, the others memory."""

_TEAMS: Final = "teams/"
_MAPPINGS: Final = ("vars", "facts", "signals", "defaults")
_LISTS: Final = ("actions", "rules")


class Sections(NamedTuple):
    """A policy's files as one document."""

    mappings: Mapping[str, Mapping[str, Node]]
    lists: Mapping[str, list[Node]]


def read_files(files: Mapping[str, bytes], report: Report) -> list[Table]:
    """Read all files in the order of their names; those that cannot be read are reported and left out."""
    if len(files) > MAX_FILES or sum(map(len, files.values())) > MAX_TOTAL_BYTES:
        message = f"a policy has at most {MAX_FILES} files and {MAX_TOTAL_BYTES >> 20} MiB"
        report.faults.append(Fault(min(files), 0, "", message))
        report.whole = False
        return []
    roots: list[Table] = []
    for name in sorted(files):
        if name.startswith(_TEAMS):
            report.faults.append(Fault(name, 0, "", "files of teams are not supported by this version"))
            continue
        root = read_text(name, files[name], report.faults)
        if root is None:
            report.whole = False
        else:
            roots.append(root)
    return roots


def join(roots: Iterable[Table], report: Report) -> Sections:
    """Join the files."""
    mappings: dict[str, dict[str, Node]] = {section: {} for section in _MAPPINGS}
    lists: dict[str, list[Node]] = {section: [] for section in _LISTS}
    scope = Scope(report, Vars({}, report))
    versioned = False
    for root in roots:
        fields = Fields(root, Place.SECTION, SECTIONS, scope)
        versioned = _check_version(fields) or versioned
        for section, node in root.nodes.items():
            if section in mappings:
                _unite(mappings[section], node, report)
            elif section in lists and isinstance(node, Items):
                lists[section] += node.nodes
            elif section in lists and not _is_empty(node):
                report.faults.append(node.fault(f"a list is expected, not {described(node)}"))
    if not versioned and report.whole:
        place = next(iter(roots), Where(0, "policy"))
        report.faults.append(place.fault(f"`version: {VERSION}` is missing; at least one file says it"))
    for section, most in MAX_ENTRIES.items():
        found = lists[section] if section in lists else list(mappings[section].values())
        if len(found) > most:
            report.faults.append(found[most].fault(f"`{section}` has more than {most} entries"))
            del lists.get(section, [])[most:]
            mappings[section] = dict(islice(mappings.get(section, {}).items(), most))
    return Sections(mappings, lists)


def _check_version(fields: Fields) -> bool:
    """Whether the file names a version; another one than this is reported."""
    if "version" not in fields:
        return False
    value = fields.scalar("version")
    if value is not None and (value != VERSION or isinstance(value, bool)):
        fields.fault(f"this server reads version {VERSION}", "version")
    return True


def _unite(known: dict[str, Node], node: Node, report: Report) -> None:
    if not isinstance(node, Table):
        if not _is_empty(node):
            report.faults.append(node.fault(f"a mapping is expected, not {described(node)}"))
        return
    for name, child in node.nodes.items():
        if name in known:
            report.faults.append(child.fault(f"defined twice, first at {known[name].place()}"))
        else:
            known[name] = child


def _is_empty(node: Node) -> bool:
    """Whether a section is there in name only, as when all its entries are commented out; a reported one counts too."""
    return not isinstance(node, Items | Table) and (not isinstance(node, Scalar) or node.value is None)


def read_environment(environment: tuple[str, bytes] | None, report: Report) -> tuple[Mapping[str, Node], Node | None]:
    """Read the environment file: the constants it replaces, and its `enforce` by names of rules.

    It may hold nothing else: what a policy forbids does not depend on where it runs.
    """
    root = read_text(environment[0], environment[1], report.faults) if environment is not None else None
    if root is None:
        return {}, None
    known = ("vars", "enforce")
    Fields(root, Place.ENVIRONMENT, known, Scope(report, Vars({}, report)))
    replaced: dict[str, Node] = {}
    if "vars" in root.nodes:
        _unite(replaced, root.nodes["vars"], report)
    return replaced, root.nodes.get("enforce")
