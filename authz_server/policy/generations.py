"""A bounded memory that keeps what is asked for, for all that is computed from keys which callers may make up."""

from typing import Generic, TypeVar

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Generations(Generic[_Key, _Value]):
    """Values by key in two generations.

    When the young generation is full it becomes the old one, and the old one is forgotten; what is asked for again meanwhile
    is young again. So a flood of new keys, which are each asked for once, never drives out the keys that are in use. Nothing
    but operations of dicts: two threads at the same moment may compute a value twice, and do no other harm.

    Attributes:
        young: the values asked for lately; for a look-up that must be fast, before `get`.
    """

    __slots__ = ("_each", "_old", "young")

    def __init__(self, most: int) -> None:
        """Make room for at most `most` values."""
        self._each = max(1, most // 2)
        self._old: dict[_Key, _Value] = {}
        self.young: dict[_Key, _Value] = {}

    def get(self, key: _Key) -> _Value | None:
        """The value of a key, or None."""
        value = self.young.get(key)
        if value is None:
            value = self._old.get(key)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: _Key, value: _Value) -> None:
        """Keep a value."""
        young = self.young
        if len(young) >= self._each:
            self._old = young
            self.young = young = {}
        young[key] = value

    def keys(self) -> tuple[_Key, ...]:
        """All keys, those asked for lately first."""
        young = self.young
        return (*young, *(key for key in tuple(self._old) if key not in young))
