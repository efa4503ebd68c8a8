"""The conditions of one policy: facts and `when` texts compiled over one typed environment, with every complaint located."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, Final

from authz_server.errors import Fault
from authz_server.policy.astcheck import check, thresholds
from authz_server.policy.catalogue import Catalogue
from authz_server.policy.cel import CelSyntaxError, Environment, Expression, undeclared_name
from authz_server.policy.entries import FactEntry, PolicyText
from authz_server.policy.facts import (
    BARE,
    ENUMS,
    FACTS,
    LATER,
    Capture,
    Reader,
    SignalReading,
    Step,
    declared_types,
    reader_of,
)
from authz_server.policy.patterns import compile_networks
from authz_server.policy.places import source_entity, under
from authz_server.policy.program import Combiner, FactReader, Program
from authz_server.policy.tree import Where

_FACT_TYPES: Final = {"BOOL": "bool", "INT": "int", "STRING": "string"}
"""Closed types: a fact of a dynamic type would move type errors from load to run time."""


class Conditions:
    """Compiles the policy's expressions and remembers what each reads.

    Attributes:
        combiner: joins the conditions of candidate rules.
        text: the policy.
    """

    def __init__(
        self, text: PolicyText, catalogue: Catalogue, faults: list[Fault], shared_sources: Sequence[str] = ()
    ) -> None:
        """Declare everything and compile the named facts; faults are appended to `faults`."""
        self._shared = compile_networks(shared_sources) if shared_sources else None
        self.text = text
        self._catalogue = catalogue
        self._faults = faults
        self._constants: dict[str, Any] = {f"vars.{name}": value for name, value in text.vars.items()}
        captures = catalogue.capture_names
        signals = tuple(entry.name for entry in text.signals)
        self._readers: dict[str, Reader] = {name: reader for name, (_, reader) in FACTS.items()}
        self._readers.update((f"path.{name}", Capture(name)) for name in captures)
        self._readers.update((f"signals.{name}", SignalReading(name)) for name in signals)
        self._facts: dict[str, FactReader] = {}
        self._fact_programs: dict[str, Program] = {}
        # Facts read everything but other facts: no order, no cycle.
        self._environment = Environment(declared_types(captures, signals, text.vars, {}), {"under": under})
        types = {entry.name: kind for entry in text.facts if (kind := self._fact(entry))}
        self._environment = Environment(declared_types(captures, signals, text.vars, types), {"under": under})
        self._readers.update((f"facts.{name}", reader) for name, reader in self._facts.items())
        self.combiner = Combiner(self._environment, self._readers, self._constants)

    def _fact(self, entry: FactEntry) -> str:
        expression = self._compile(entry.expression, entry.where)
        if expression is None:
            return ""
        kind = _FACT_TYPES.get(expression.result_type, "")
        if not kind:
            message = f"a fact is a string, an int or a bool, this one is {expression.result_type}; wrap it in string(…), int(…) or bool(…)"
            self._faults.append(entry.where.fault(message))
            return ""
        program = Program(expression, self._readers, self._constants)
        self._fact_programs[entry.name] = program
        self._facts[entry.name] = FactReader(entry.name, program)
        return kind

    def boolean(self, text: str, where: Where, key: str, actions: frozenset[str]) -> Program | None:
        """Compile a condition; None after a fault was recorded.

        Args:
            text: CEL.
            where: the entry it stands in.
            key: its field there.
            actions: the actions whose steps can meet it.
        """
        expression = self._compile(text, where, key)
        if expression is None:
            return None
        if expression.result_type != "BOOL":
            hint = "; a fact is always present, so compare it instead of asking `has()`" if "has(" in text else ""
            message = f"a condition is true or false, this one is {expression.result_type}{hint}"
            self._faults.append(where.fault(message, key))
            return None
        self._check_presence(expression, where, key, actions)
        return Program(expression, self._readers, self._constants)

    def _compile(self, text: str, where: Where, *keys: str) -> Expression | None:
        try:
            expression = self._environment.compile(text)
        except CelSyntaxError as error:
            self._faults.append(where.fault(self._explain(error), *keys))
            return None
        self._faults.extend(where.fault(complaint, *keys) for complaint in check(expression, ENUMS))
        return expression

    def _explain(self, error: CelSyntaxError) -> str:
        name = undeclared_name(error.message)
        column = f" (column {error.column})" if error.column else ""
        if not name:
            return f"{error.message}{column}"
        if name.split(".")[0] in LATER:
            return f"`{name}` is not supported by this version{column}"
        near = get_close_matches(name, sorted(self._environment.names), n=1, cutoff=0.6)
        return f"there is no `{name}`{column}" + (f"; did you mean `{near[0]}`?" if near else "")

    def _check_presence(self, expression: Expression, where: Where, key: str, actions: frozenset[str]) -> None:
        """A path capture or a body that no touched action has is a condition that never holds."""
        for name in expression.variables:
            capture = name.removeprefix("path.")
            if name.startswith("path.") and not any(
                capture in self._catalogue.captures_of(action) for action in actions
            ):
                self._faults.append(where.fault(f"no action that this touches has `{{{capture}}}` in its path", key))
            if name == "request.json" and not any(self._catalogue.actions[action].body for action in actions):
                self._faults.append(
                    where.fault("no action that this touches has `body: json`, which reading request.json needs", key)
                )

    def signals_of(self, program: Program) -> frozenset[str]:
        """The signals that a condition reads, through facts too."""
        names: set[str] = set()
        for variable in program.expression.variables:
            if variable.startswith("signals."):
                names.add(variable.removeprefix("signals."))
            elif variable.startswith("facts."):
                names |= self.signals_of(self._fact_programs[variable.removeprefix("facts.")])
        return frozenset(names)

    def limits_of(self, program: Program) -> dict[str, tuple[int, ...]]:
        """The limits that a condition compares signals with, through facts too."""
        facts = [name.removeprefix("facts.") for name in program.expression.variables if name.startswith("facts.")]
        expressions = [program.expression, *(self._fact_programs[name].expression for name in facts)]
        limits: dict[str, tuple[int, ...]] = {}
        for expression in expressions:
            for found in thresholds(expression, self._constants):
                limits[found.signal] = (*limits.get(found.signal, ()), found.limit)
        return limits

    def key_readers(self, words: Sequence[str], where: Where, key: str) -> tuple[tuple[str, Reader], ...]:
        """How the words of `per`, `each` or `distinct` are read; empty after a fault was recorded."""
        readers: list[tuple[str, Reader]] = []
        for word in words:
            reader = self._key_reader(word)
            if reader is None:
                near = get_close_matches(word, [*BARE, *self._readers], n=1)
                hint = f"; did you mean `{near[0]}`?" if near else ""
                self._faults.append(where.fault(f"there is no `{word}` to count by{hint}", key))
                return ()
            readers.append((word, reader))
        return tuple(readers)

    def _key_reader(self, word: str) -> Reader | None:
        if word.startswith("facts."):
            fact = self._facts.get(word.removeprefix("facts."))
            if fact is None or self.signals_of(self._fact_programs[word.removeprefix("facts.")]):
                return None
            return fact.text
        if word.startswith("path.") and word.removeprefix("path.") not in self._catalogue.capture_names:
            return None
        return self._source if word in {"source", "source.address"} else reader_of(word)

    def _source(self, step: Step) -> str:
        """The source as an entity: absent where many callers share the address."""
        address = step.request.source_address
        if self._shared is not None and address and self._shared.matches(address):
            return ""
        return source_entity(address)
