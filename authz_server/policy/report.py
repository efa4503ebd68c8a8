"""Where the readers of a policy put what is wrong with it, and how they name what was probably meant."""

from collections.abc import Collection
from difflib import get_close_matches
from typing import Final

from authz_server.errors import Fault
from authz_server.policy.tree import shown

_MAX_COMPARISONS: Final = 20_000
"""Comparisons with known names in one policy, about 20 µs each: a file of nothing but misspelt keys must not stop a reload."""


class Report:
    """The faults and warnings of one policy.

    Attributes:
        faults: each of them refuses the policy.
        warnings: worth reading, and no obstacle.
        whole: every file could be read; otherwise a name that is not found may stand in the missing one.
    """

    __slots__ = ("_comparisons", "faults", "warnings", "whole")

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.warnings: list[Fault] = []
        self.whole = True
        self._comparisons = 0

    def meant(self, word: str, known: Collection[str]) -> str:
        """The end of a message about an unknown word: `; did you mean …?`, or the whole of a short list, or nothing."""
        self._comparisons += len(known)
        if self._comparisons <= _MAX_COMPARISONS:
            near = get_close_matches(shown(word), known, n=1)
            if near:
                return f"; did you mean `{near[0]}`?"
        if 0 < len(known) <= _SHORT_LIST:
            return f"; known are {', '.join(sorted(known))}"
        return ""


_SHORT_LIST: Final = 12
"""Words that a message can list before it becomes unreadable."""
