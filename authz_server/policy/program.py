"""Compiled expressions together with the readers of their variables: what a rule's condition and a named fact are at run time."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from authz_server.policy.cel import EVALUATION_ERROR, CelSyntaxError, Environment, Expression
from authz_server.policy.facts import Reader, Step

MAX_COMBINATIONS: Final = 4096
"""Lists of conditions that are kept compiled; each is a few kilobytes, and a policy of hundreds of rules needs dozens."""


class _FactFailedError(Exception):
    """A named fact of this step could not be evaluated; only `Program` sees it."""


class Program:
    """An expression together with the readers of its variables."""

    __slots__ = ("_constants", "_evaluate", "_readers", "expression")

    def __init__(self, expression: Expression, readers: Mapping[str, Reader], constants: Mapping[str, Any]) -> None:
        self.expression = expression
        self._evaluate = expression.evaluate
        self._constants = {name: constants[name] for name in expression.variables if name in constants}
        self._readers = tuple((name, readers[name]) for name in expression.variables if name not in constants)

    def value(self, step: Step) -> Any:
        """Evaluate for one step: a plain value, or `EVALUATION_ERROR`."""
        data = self._constants.copy()
        try:
            for name, read in self._readers:
                data[name] = read(step)
        except _FactFailedError:
            return EVALUATION_ERROR
        return self._evaluate(data)


class FactReader:
    """Reads a named fact, evaluated at most once a step."""

    __slots__ = ("_name", "_program")

    def __init__(self, name: str, program: Program) -> None:
        self._name = name
        self._program = program

    def __call__(self, step: Step) -> Any:
        """Read the fact.

        Raises:
            _FactFailedError: it could not be evaluated; the program that asked errs with it.
        """
        known = step.facts
        if self._name in known:
            value = known[self._name]
        else:
            value = known[self._name] = self._program.value(step)
        if value is EVALUATION_ERROR:
            raise _FactFailedError
        return value

    def text(self, step: Step) -> str:
        """The fact as part of a key; `""` when it could not be evaluated."""
        try:
            return str(self(step))
        except _FactFailedError:
            return ""


class Combiner:
    """Compiles lists of conditions, each list once."""

    __slots__ = ("_constants", "_environment", "_known", "_readers")

    def __init__(self, environment: Environment, readers: Mapping[str, Reader], constants: Mapping[str, Any]) -> None:
        self._environment = environment
        self._readers = readers
        self._constants = constants
        self._known: dict[tuple[str, ...], Program] = {}

    def program(self, conditions: Sequence[Program]) -> Program | None:
        """One program that evaluates all conditions to a list, or None when they do not fit one expression."""
        key = tuple(condition.expression.text for condition in conditions)
        known = self._known.get(key)
        if known is None:
            try:
                combined = self._environment.combine([condition.expression for condition in conditions])
            except CelSyntaxError:
                return None
            if len(self._known) >= MAX_COMBINATIONS:
                self._known.clear()
            known = self._known[key] = Program(combined, self._readers, self._constants)
        return known
