"""The names of actions: what an entry calls the requests that fit it, known at load or made from the tool that is called.

A name with `{tool}` stands for several: one for each tool that `mcp.tool` lists, one *family* for each pattern there,
whose members are made when they are met, and `other` for every tool that is not listed. A family is written like its
pattern, `files.read_*`: as a name of its own it stands for members that are not told apart.
"""

from collections.abc import Iterable
from typing import Final

from authz_server.policy.entries import ActionEntry
from authz_server.policy.patterns import Globs, compile_globs

TOOL: Final = "{tool}"
OTHER: Final = "other"
"""What the tools are called that an entry does not list."""


def fill(name: str, tool: str) -> str:
    """The name of an action for one tool."""
    return name.replace(TOOL, tool)


def exact_names(entry: ActionEntry) -> tuple[str, ...]:
    """The names that an entry gives and that are known at load."""
    if TOOL not in entry.name:
        return (entry.name,)
    tools = (tool for tool in entry.match.mcp_tool if "*" not in tool)
    return tuple(dict.fromkeys(fill(entry.name, tool) for tool in (*tools, OTHER)))


def families_of(entry: ActionEntry) -> tuple[str, ...]:
    """The families of names that an entry makes."""
    if TOOL not in entry.name:
        return ()
    return tuple(dict.fromkeys(fill(entry.name, tool) for tool in sorted(entry.match.mcp_tool) if "*" in tool))


def may_mean(globs: Globs, name: str) -> bool:
    """Whether patterns may mean an action; `globs.matches(name)` tells whether they surely do.

    The two differ only for a family's own name, which stands for members that are not told apart. What restricts must ask
    whether it may be meant, what grants whether it surely is.
    """
    return globs.matches(name) or ("*" in name and globs.overlaps(compile_globs((name,))))


class ActionNames:
    """All names of a catalogue.

    Attributes:
        exact: known at load.
        families: patterns of those that are made when a tool is called.
    """

    __slots__ = ("_globs", "exact", "families")

    def __init__(self, entries: Iterable[ActionEntry]) -> None:
        known = tuple(entries)
        self.exact = frozenset(name for entry in known for name in exact_names(entry))
        self.families: tuple[str, ...] = tuple(sorted({name for entry in known for name in families_of(entry)}))
        self._globs: Globs = compile_globs(self.families)

    def fits(self, pattern: str) -> bool:
        """Whether a pattern of names fits an action that there is or that can be made; never `unclassified`.

        Raises:
            ValueError: the pattern is malformed.
        """
        globs = compile_globs((pattern,))
        return any(map(globs.matches, self.exact)) or self._globs.overlaps(globs)
