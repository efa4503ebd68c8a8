"""Joining the files of a policy: lists one after the other, mappings united, and each name defined once.

The platform's files are one document, the files of each team's folder another. Whether the platform's is faulty never
depends on what stands in a team's, so that a team can break its own folder only.
"""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Final, NamedTuple

from authz_server.errors import Fault
from authz_server.policy.fields import Fields, Scope
from authz_server.policy.report import Report
from authz_server.policy.text import read_text
from authz_server.policy.tree import Items, Node, Scalar, Table, Where, described
from authz_server.policy.vars import Vars
from authz_server.policy.words import SECTIONS, TEAM_SECTIONS, Place

VERSION: Final = 1
MAX_FILES: Final = 256
"""Files of the platform; a directory of thousands is a mistake in a path."""
MAX_TOTAL_BYTES: Final = 32 << 20
"""The platform's files together; the tree takes about ten times as much while it is read."""
MAX_TEAM_FILES: Final = 32
"""Files of one team."""
MAX_TEAM_BYTES: Final = 1 << 20
"""The files of one team together: what a ConfigMap holds."""
MAX_ENTRIES: Final[Mapping[str, int]] = {
    "vars": 1024,
    "teams": 256,
    "legacy": 256,
    "contained": 1024,
    "facts": 256,
    "actions": 20_000,
    "tasks": 256,
    "signals": 256,
    "rules": 100_000,
    "exceptions": 1024,
    "envelopes": 256,
    "inject": 256,
    "defaults": 16,
}
"""Entries of each section of the platform.

Signals and facts cost every step that they are about. Legacy callers are compared with each other, and each request without
an identity with all of them. What is contained is looked up by every step: beyond that many, the callers' grants are what
is wrong. Task templates, exceptions, envelopes and injections are what people have agreed on one by one; teams have folders.
The others cost memory.
"""
MAX_TEAM_ENTRIES: Final[Mapping[str, int]] = {"actions": 1000, "signals": 32, "rules": 2000, "exceptions": 256}
"""Entries of each section of one team: its share must not be what fills the server."""

TEAMS: Final = "teams/"
"""The folder with one folder for each team."""
_MAPPINGS: Final = ("vars", "teams", "facts", "signals", "defaults")
_LISTS: Final = ("legacy", "contained", "actions", "tasks", "rules", "exceptions", "envelopes", "inject")


class Sections(NamedTuple):
    """The files of the platform, or of one team, as one document."""

    mappings: Mapping[str, Mapping[str, Node]]
    lists: Mapping[str, list[Node]]
    whole: bool
    """All of its files could be read; otherwise a name that is not found may stand in a missing one."""


def team_of(file: str) -> str:
    """The team whose folder a file stands in, `billing` for `teams/billing/x.yaml`; `""` for all others, the platform's."""
    if not file.startswith(TEAMS):
        return ""
    team, slash, _ = file.removeprefix(TEAMS).partition("/")
    return team if slash else ""


def by_team(files: Mapping[str, bytes], report: Report) -> dict[str, dict[str, bytes]]:
    """The files of the platform (`""`) and of each team, in the order of their names."""
    folders: dict[str, dict[str, bytes]] = {"": {}}
    for name in sorted(files):
        team = team_of(name)
        if not team and name.startswith(TEAMS):
            report.faults.append(Fault(name, 0, "", f"a file of a team stands in the team's folder, `{TEAMS}<team>/`"))
            continue
        folders.setdefault(team, {})[name] = files[name]
    return folders


def read_sections(team: str, files: Mapping[str, bytes], report: Report) -> Sections:
    """Read and join the files of the platform (`""`) or of one team; what cannot be read is reported and left out.

    Args:
        team: whose files they are.
        files: by name, in the order in which they are joined.
        report: receives the faults; its `whole` becomes that of the result.
    """
    most_files, most_bytes = (MAX_TEAM_FILES, MAX_TEAM_BYTES) if team else (MAX_FILES, MAX_TOTAL_BYTES)
    if len(files) > most_files or sum(map(len, files.values())) > most_bytes:
        what = f"team `{team}`" if team else "a policy"
        message = f"{what} has at most {most_files} files and {most_bytes >> 20} MiB"
        report.faults.append(Fault(min(files), 0, "", message))
        roots, report.whole = [], False
    else:
        read = [read_text(name, data, report.faults) for name, data in files.items()]
        roots = [root for root in read if root is not None]
        report.whole = len(roots) == len(read)
    return _join(team, roots, report)


def _join(team: str, roots: Iterable[Table], report: Report) -> Sections:
    mappings: dict[str, dict[str, Node]] = {section: {} for section in _MAPPINGS}
    lists: dict[str, list[Node]] = {section: [] for section in _LISTS}
    scope = Scope(report, Vars({}, report))
    versioned = bool(team)
    for root in roots:
        fields = Fields(root, Place.SECTION, SECTIONS, scope)
        versioned = _check_version(fields) or versioned
        for section, node in root.nodes.items():
            if team and section in SECTIONS and section not in TEAM_SECTIONS:
                known = ", ".join(TEAM_SECTIONS)
                report.faults.append(node.fault(f"`{section}` is the platform's; the files of a team hold {known}"))
            elif section in mappings:
                unite(mappings[section], node, report)
            elif section in lists and isinstance(node, Items):
                lists[section] += node.nodes
            elif section in lists and not _is_empty(node):
                report.faults.append(node.fault(f"a list is expected, not {described(node)}"))
    if not versioned and report.whole:
        place = next(iter(roots), Where(0, "policy"))
        report.faults.append(place.fault(f"`version: {VERSION}` is missing; at least one file says it"))
    for section, most in (MAX_TEAM_ENTRIES if team else MAX_ENTRIES).items():
        found = lists[section] if section in lists else list(mappings[section].values())
        if len(found) > most:
            report.faults.append(found[most].fault(f"`{section}` has more than {most} entries"))
            del lists.get(section, [])[most:]
            if section in mappings:
                mappings[section] = dict(islice(mappings[section].items(), most))
    return Sections(mappings, lists, report.whole)


def _check_version(fields: Fields) -> bool:
    """Whether the file names a version; another one than this is reported."""
    if "version" not in fields:
        return False
    value = fields.scalar("version")
    if value is not None and (value != VERSION or isinstance(value, bool)):
        fields.fault(f"this server reads version {VERSION}", "version")
    return True


def unite(known: dict[str, Node], node: Node, report: Report) -> None:
    """Add the entries of a mapping; a name that is there already, or that no message could show, is reported."""
    if not isinstance(node, Table):
        if not _is_empty(node):
            report.faults.append(node.fault(f"a mapping is expected, not {described(node)}"))
        return
    for name, child in node.nodes.items():
        if name in known:
            report.faults.append(child.fault(f"defined twice, first at {known[name].place()}"))
        elif not name.isprintable():
            report.faults.append(child.fault("a name with a character that cannot be shown"))
        else:
            known[name] = child


def _is_empty(node: Node) -> bool:
    """Whether a section is there in name only, as when all its entries are commented out; a reported one counts too."""
    return not isinstance(node, Items | Table) and (not isinstance(node, Scalar) or node.value is None)
