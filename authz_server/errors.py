"""The errors of the package, by whose fault they are. Everything else that is raised is a bug.

`DecodeError` is the caller's data, `PolicyError` and `ConfigError` the operator's text, `StateUnavailable` a dependency.
"""

from collections.abc import Sequence
from typing import NamedTuple


class AuthzError(Exception):
    """Base of all errors that this package raises on purpose."""


class DecodeError(AuthzError):
    """A CheckRequest that cannot be read unambiguously; the step is denied with `decode_error` (400).

    Attributes:
        code: a stable snake_case code for the record, such as `path_encoded_slash`; never the offending bytes.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Fault(NamedTuple):
    """One thing wrong in an operator's file."""

    file: str
    line: int
    """From 1; 0 when the fault is of the whole file or directory."""
    path: str
    """Where in the document, such as `rules[3].when`; `""` for the whole of it."""
    message: str

    def __str__(self) -> str:
        """`file:line: path: message`, without the parts that are unknown."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.path}: {self.message}" if self.path else f"{place}: {self.message}"


class FaultyTextError(AuthzError):
    """Operator's text with at least one fault; all of them are listed at once.

    Attributes:
        faults: in the order of file and line.
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(sorted(faults))
        super().__init__("\n".join(map(str, self.faults)))


class PolicyError(FaultyTextError):
    """A policy directory that cannot be compiled."""


class ConfigError(FaultyTextError):
    """Server configuration that cannot be used."""


class StateUnavailableError(AuthzError):
    """The state store did not answer in time or at all.

    Args:
        code: a stable snake_case code for metrics, such as `timeout`.
        sent: False only where it is certain that nothing was carried out; else it may have been, and to send it again
            may count twice.
    """

    def __init__(self, code: str, sent: bool = True) -> None:  # noqa: FBT001, FBT002 - the word is the argument's name everywhere
        super().__init__(code)
        self.code = code
        self.sent = sent
