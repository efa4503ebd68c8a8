"""What can be wrong between the entries of a catalogue: ties, too many on one path, names that callers could make."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations, groupby
from typing import Final

from authz_server.errors import Fault
from authz_server.policy.entries import ActionEntry
from authz_server.policy.names import OTHER, TOOL, exact_names, families_of, fill
from authz_server.policy.patterns import Glob, compile_globs
from authz_server.policy.route_index import PathTree
from authz_server.policy.routes import Route

MAX_ROUTES_PER_PATH: Final = 256
"""Entries that share host and path are tried one after the other, 0.2 µs each."""
MAX_FAMILIES: Final = 1024
"""Families of names in one catalogue: each is compared with every other and with every pattern of the rules."""
_LAST: Final = "~"
"""Behind every character of a name."""


def find_faults(entries: Sequence[ActionEntry], trees: Iterable[PathTree]) -> list[Fault]:
    """Find the entries that fit the same requests equally well, paths with too many entries, and names in doubt.

    Args:
        entries: all of the catalogue.
        trees: of its routes, sorted.
    """
    found: dict[tuple[int, int], Fault] = {}
    for tree in trees:
        for group in tree.groups():
            if len(group) > MAX_ROUTES_PER_PATH:
                message = f"more than {MAX_ROUTES_PER_PATH} entries share this host and path"
                found.setdefault((id(group[0]), 0), group[0].entry.where.fault(message))
                continue
            found.update(_ties(group))
    return [*found.values(), *_names_in_doubt(entries)]


def _ties(group: Sequence[Route]) -> Iterator[tuple[tuple[int, int], Fault]]:
    """The faults of routes that share a path and are sorted by rank, by the entries they are about."""
    for _, equals in groupby(group, key=lambda route: route.rank):
        for one, two in combinations(equals, 2):
            first, second = sorted((one.entry, two.entry), key=_platform_first)
            if first is second:
                if one.captures != two.captures:
                    message = f"`{first.name}` has the same path twice with different names in `{{…}}`"
                    yield (id(first), id(second)), first.where.fault(message, "match", "path")
            elif one.overlaps(two):
                message = (
                    f"`{second.name}` and `{first.name}` ({first.where.place()}) fit the same requests equally well; "
                    "make one of them more specific"
                )
                yield (id(first), id(second)), second.where.fault(message, "match")


def _platform_first(entry: ActionEntry) -> tuple[bool, str, int]:
    """The order in which two entries are blamed, the second: a team's stands in the way of the platform's, never the reverse."""
    return bool(entry.team), entry.where.file, entry.where.line


def _names_in_doubt(entries: Sequence[ActionEntry]) -> Iterator[Fault]:
    """The faults of names that a caller could make and that another entry gives: rules on such a name mean one of them.

    Entries of one written name share what is made of it, like all entries that share a name.
    """
    firsts = {entry.name: entry for entry in reversed(entries)}
    templates = [entry for name, entry in firsts.items() if TOOL in name]
    families = sorted({(family, entry.name) for entry in entries for family in families_of(entry)})
    if len(families) > MAX_FAMILIES:
        yield templates[0].where.fault(f"more than {MAX_FAMILIES} patterns of tools in names with `{TOOL}`", "name")
        return
    given = sorted({(name, entry.name) for entry in entries for name in exact_names(entry)}) if templates else []
    for entry in templates:
        yield from _doubts(entry, fill(entry.name, OTHER), given, firsts)
    for family, written in families:
        yield from _doubts(firsts[written], family, given, firsts)
    for (one, first), (two, second) in combinations(families, 2):
        if first != second and Glob(one).overlaps(Glob(two)):
            yield _doubt(firsts[second], two, firsts[first])


def _doubts(
    entry: ActionEntry, made: str, given: Sequence[tuple[str, str]], firsts: Mapping[str, ActionEntry]
) -> Iterator[Fault]:
    """The fault, if any, of one name or family that an entry makes, against the (name, written name) of all entries."""
    prefix = made.partition("*")[0]
    near = given[bisect_left(given, (prefix,)) : bisect_left(given, (prefix + _LAST,))]
    globs = compile_globs((made,))
    for name, written in near:
        if written != entry.name and globs.matches(name):
            yield _doubt(entry, name, firsts[written])
            return


def _doubt(entry: ActionEntry, name: str, other: ActionEntry) -> Fault:
    if other.team and not entry.team:
        message = (
            f"by choosing a tool a caller can make this name for `{entry.name}` ({entry.where.place()}) too; rename it"
        )
        return other.where.fault(message, "name")
    message = (
        f"a caller can make the name `{name}` by choosing a tool, and `{other.name}` ({other.where.place()}) gives it too; "
        "rename one of them"
    )
    return entry.where.fault(message, "name")
