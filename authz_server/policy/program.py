"""Compiled expressions together with the readers of their variables: what a rule's condition and a named fact are at run time."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from authz_server.policy.cel import EVALUATION_ERROR, CelSyntaxError, Environment, Expression
from authz_server.policy.generations import Generations
from authz_server.policy.step import Reader, Step

COMBINE_AFTER: Final = 16
"""Steps that ask the conditions of a list one by one before it is compiled. Compiling takes as long as 15 to 20 steps save by it
(32 conditions: 1.4 ms, and 105 us one by one against 10 in one call), so a list that is asked for less often costs more than it
gives: that of a caller who comes once."""
APART: Final = 32
"""Lists that become due for compiling one step after the other, so that no step compiles all that it needs at once."""
MAX_LISTS: Final = 8192
"""Lists that are remembered, under half a kilobyte each while they are not compiled."""
COMBINED: Final = 8192
"""Conditions that a policy may have in compiled lists, or as many as it has rules where that is more: at 6 to 7 kB each about
50 MB, or as much again as its rules take. Those beyond are asked one by one."""


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


class FactGroup:
    """Facts that every step needs, evaluated in one call; one by one only when that call errs."""

    __slots__ = ("_names", "_program")

    def __init__(self, names: Sequence[str], program: Program) -> None:
        self._names = tuple(names)
        self._program = program

    def fill(self, step: Step) -> None:
        """Evaluate all of them, unless that was tried for this step."""
        known = step.facts
        if _TRIED in known:
            return
        known[_TRIED] = True
        values = self._program.value(step)
        if values is not EVALUATION_ERROR:
            known.update(zip(self._names, values, strict=True))


_TRIED: Final = ""
"""No name of a fact: that the group was tried."""


class FactReader:
    """Reads a named fact, evaluated at most once a step.

    Attributes:
        group: those that it is evaluated with, or None.
    """

    __slots__ = ("_name", "_program", "group")

    def __init__(self, name: str, program: Program) -> None:
        self._name = name
        self._program = program
        self.group: FactGroup | None = None

    def __call__(self, step: Step) -> Any:
        """Read the fact.

        Raises:
            _FactFailedError: it could not be evaluated; the program that asked errs with it.
        """
        known = step.facts
        if self.group is not None and self._name not in known:
            self.group.fill(step)
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


class Allowance:
    """What the lists of one policy may still take.

    Attributes:
        conditions: that may still be compiled in lists.
    """

    __slots__ = ("conditions",)

    def __init__(self, rules: int = 0) -> None:
        """Take how many rules the policy has."""
        self.conditions = max(COMBINED, rules)


class Joint:
    """Conditions that a step asks all of: one by one at first, in one call once they are asked often.

    Nothing here knows whoever keeps it, so that the policy before this one is freed as soon as nobody uses it.
    """

    __slots__ = ("_conditions", "_left", "_press", "_ready")

    def __init__(self, press: "Press", conditions: tuple[Program, ...], after: int) -> None:
        """Take the conditions of a list, and after how many steps it is compiled."""
        self._press = press
        self._conditions = conditions
        self._left = after
        self._ready: Callable[[Step], Any] | None = None if len(conditions) > 1 else _Only(conditions[0])

    def value(self, step: Step) -> Any:
        """Evaluate for one step: a list of values, or `EVALUATION_ERROR`.

        That is when one of them errs or they are not compiled together, so that they have to be asked one by one.
        """
        ready = self._ready
        if ready is not None:
            return ready(step)
        self._left -= 1
        if self._left > 0:
            return EVALUATION_ERROR
        self.combine()
        return EVALUATION_ERROR if self._ready is None else self._ready(step)

    def combine(self) -> None:
        """Compile the list now, if it is one and the policy's allowance is not used up."""
        if self._ready is None:
            program = self._press.program(self._conditions)
            self._ready = program.value if program is not None else _apart


class _Only:
    """A list of one condition."""

    __slots__ = ("_condition",)

    def __init__(self, condition: Program) -> None:
        self._condition = condition

    def __call__(self, step: Step) -> Any:
        value = self._condition.value(step)
        return value if value is EVALUATION_ERROR else (value,)


def _apart(_: Step) -> Any:
    return EVALUATION_ERROR


class Press(NamedTuple):
    """What the lists of one owner are compiled with."""

    environment: Environment
    readers: Mapping[str, Reader]
    constants: Mapping[str, Any]
    allowance: Allowance

    def program(self, conditions: Sequence[Program]) -> Program | None:
        """One program that evaluates all conditions to a list; None when they do not fit one expression or the allowance."""
        allowance = self.allowance
        if len(conditions) > allowance.conditions:
            return None
        try:
            combined = self.environment.combine([condition.expression for condition in conditions])
        except CelSyntaxError:
            return None
        allowance.conditions -= len(conditions)
        return Program(combined, self.readers, self.constants)


class Combiner:
    """Joins the conditions of one owner; equal lists are one."""

    __slots__ = ("_known", "_press")

    def __init__(
        self,
        environment: Environment,
        readers: Mapping[str, Reader],
        constants: Mapping[str, Any],
        allowance: Allowance | None = None,
    ) -> None:
        """Take what the conditions were compiled over.

        Args:
            environment: the declared variables.
            readers: how each is read.
            constants: `vars.*` by their whole names.
            allowance: shared by all owners of one policy; None for one of its own.
        """
        self._press = Press(environment, readers, constants, allowance or Allowance())
        self._known: Generations[tuple[str, ...], Joint] = Generations(MAX_LISTS)

    def joint(self, conditions: Iterable[Program]) -> Joint:
        """The conditions as a list; one that is remembered by its texts, whoever asks."""
        programs = tuple(conditions)
        key = tuple(program.expression.text for program in programs)
        known = self._known.get(key)
        if known is None:
            known = Joint(self._press, programs, COMBINE_AFTER + len(self._known.young) % APART)
            self._known.put(key, known)
        return known
