"""A bounded memo for verified texts.

Two generations instead of a linked list: a hit costs one or two dictionary look-ups and never moves the entry while it
is young, nothing is locked (single dictionary operations are atomic), and whatever is asked for at least once per
generation survives a flood of texts that are seen only once.
"""

from typing import Final, Generic, TypeVar

V = TypeVar("V")

DEFAULT_ENTRIES: Final = 4096
"""Kept per memo: more than the distinct peers of one proxy, and a few MiB of leaves."""


class Memo(Generic[V]):
    """Text to value, at most about `entries` of them; the values are never None."""

    __slots__ = ("_generation", "_old", "_young")

    def __init__(self, entries: int = DEFAULT_ENTRIES) -> None:
        self._generation = max(1, entries // 2)
        self._young: dict[str, V] = {}
        self._old: dict[str, V] = {}

    def get(self, key: str) -> V | None:
        """The value, or None when it was never put or has been forgotten."""
        value = self._young.get(key)
        if value is None:
            value = self._old.get(key)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: str, value: V) -> None:
        """Remember the value; when the young generation is full, forget the old one."""
        young = self._young
        if len(young) >= self._generation and key not in young:
            self._old = young
            self._young = young = {}
        young[key] = value

    def __len__(self) -> int:
        return len(self._young.keys() | self._old.keys())
