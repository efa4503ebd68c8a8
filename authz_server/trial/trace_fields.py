"""The fields of a trace's line: known, of their type and within their bounds, or a fault that says what was expected."""

import math
from collections.abc import Collection
from difflib import get_close_matches
from typing import Any, Final

from authz_server.policy.tree import shown

_KINDS: Final[dict[type, str]] = {
    str: "text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "a mapping",
    type(None): "null",
}


class FieldError(Exception):
    """A field that cannot be read.

    Attributes:
        path: where in the line, such as `request.headers`; `""` for the whole of it.
        message: what was found and what is expected.
    """

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path
        self.message = message


class Fields:
    """A mapping of which every field is known."""

    __slots__ = ("_found", "_path")

    def __init__(self, value: Any, path: str, known: frozenset[str]) -> None:
        """Take a value of JSON.

        Args:
            value: as it was parsed.
            path: where it stands.
            known: the fields that it may have.

        Raises:
            FieldError: it is no mapping, or has another field.
        """
        if type(value) is not dict:
            raise FieldError(path, f"a mapping is expected, not {kind(value)}")
        self._found: dict[str, Any] = value
        self._path = path
        if not value.keys() <= known:
            name = min(value.keys() - known)
            raise FieldError(self.place(name), unknown("field", name, known))

    def __contains__(self, name: str) -> bool:
        return name in self._found

    def place(self, name: str) -> str:
        """Where a field stands."""
        return f"{self._path}.{shown(name)}" if self._path else shown(name)

    def value(self, name: str, default: Any) -> Any:
        """A field as it is."""
        return self._found.get(name, default)

    def required(self, name: str) -> Any:
        """A field as it is.

        Raises:
            FieldError: it is missing.
        """
        if name not in self._found:
            raise FieldError(self.place(name), "is missing")
        return self._found[name]

    def text(self, name: str) -> str:
        """A text; `""` where it is missing.

        Raises:
            FieldError: it is something else.
        """
        value = self._found.get(name, "")
        if type(value) is not str:
            raise FieldError(self.place(name), f"text is expected, not {kind(value)}")
        return value

    def name(self, name: str, most: int) -> str:
        """A text that is required.

        Raises:
            FieldError: it is missing, empty, something else or longer than `most` characters.
        """
        self.required(name)
        value = self.text(name)
        if not value:
            raise FieldError(self.place(name), "is empty")
        if len(value) > most:
            raise FieldError(self.place(name), f"at most {most} characters are expected, not {len(value)}")
        return value

    def flag(self, name: str) -> bool:
        """True or false; false where it is missing.

        Raises:
            FieldError: it is something else.
        """
        value = self._found.get(name, False)
        if type(value) is not bool:
            raise FieldError(self.place(name), f"true or false is expected, not {kind(value)}")
        return value

    def number(self, name: str, most: int) -> float:
        """A number from 0 to `most`; 0 where it is missing.

        Raises:
            FieldError: it is something else.
        """
        value = self._found.get(name, 0)
        if type(value) not in {int, float} or not 0 <= value <= most:
            raise FieldError(self.place(name), f"a number from 0 to {most} is expected, not {_amount(value)}")
        return value  # type: ignore[no-any-return]

    def whole(self, name: str, most: int) -> int:
        """A whole number from 0 to `most`; 0 where it is missing.

        Raises:
            FieldError: it is something else.
        """
        value = self._found.get(name, 0)
        if type(value) is not int or not 0 <= value <= most:
            raise FieldError(self.place(name), f"a whole number from 0 to {most} is expected, not {_amount(value)}")
        return value


def kind(value: Any) -> str:
    """What a value of JSON is, in the words of a message."""
    return _KINDS[type(value)]


def unknown(what: str, word: str, known: Collection[str]) -> str:
    """What is to be said of a word that there is not, with the one that was probably meant, or all of them."""
    near = get_close_matches(shown(word), sorted(known), n=1)
    meant = f"did you mean `{near[0]}`?" if near else f"known are {', '.join(sorted(known))}"
    return f"there is no {what} `{shown(word)}`; {meant}"


def _amount(value: Any) -> str:
    """A number as it stands, anything else by its kind."""
    if type(value) not in {int, float}:
        return kind(value)
    return str(value) if math.isfinite(value) else "infinity"
