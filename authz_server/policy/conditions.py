"""The conditions of one policy: facts and `when` texts compiled over one typed environment, with every complaint located."""

from collections.abc import Sequence
from copy import copy
from difflib import get_close_matches
from typing import Final

from authz_server.errors import Fault
from authz_server.policy.action_entries import captures_named_in
from authz_server.policy.astcheck import check, thresholds
from authz_server.policy.catalogue import Catalogue
from authz_server.policy.cel import CelSyntaxError, Expression, undeclared_name
from authz_server.policy.computed import computed_in
from authz_server.policy.entries import FactEntry, PolicyText
from authz_server.policy.factgroup import group_facts
from authz_server.policy.facts import BARE, ENUMS, reader_of
from authz_server.policy.patterns import compile_networks
from authz_server.policy.places import source_entity
from authz_server.policy.program import Allowance, Combiner, FactReader, Program
from authz_server.policy.step import Reader, Step
from authz_server.policy.tree import Where
from authz_server.policy.vocabulary import Vocabulary, outcome_environment

_FACT_TYPES: Final = {"BOOL": "bool", "INT": "int", "STRING": "string"}
"""Closed types: a fact of a dynamic type would move type errors from load to run time."""


class Conditions:
    """Compiles the expressions of one owner and remembers what each reads.

    Attributes:
        combiner: joins the conditions of candidate rules.
        text: the policy.
        vocabulary: what the owner's expressions may speak about.
    """

    def __init__(
        self, text: PolicyText, catalogue: Catalogue, faults: list[Fault], shared_sources: Sequence[str] = ()
    ) -> None:
        """Declare everything and compile the named facts; faults are appended to `faults`."""
        self._shared = compile_networks(shared_sources) if shared_sources else None
        self.text = text
        self._catalogue = catalogue
        self._faults = faults
        self._facts: dict[str, FactReader] = {}
        self._reads: dict[str, frozenset[str]] = {}
        """The signals that each fact reads, whoever reads the fact."""
        self._limits: dict[str, dict[str, tuple[int, ...]]] = {}
        self._computed: dict[str, frozenset[str]] = {}
        self._allowance = Allowance(len(text.rules))
        # Facts read everything but other facts: no order, no cycle.
        # The platform's conditions stay whole whatever a team does to its own actions.
        own = (captures_named_in(entry) for entry in text.actions if not entry.team)
        self._captures = frozenset().union(*own)
        self._shaken = bool(text.teams)
        self.vocabulary = Vocabulary(text, self._captures, {})
        self._expressions: dict[str, Expression] = {}
        self._types = {entry.name: kind for entry in text.facts if (kind := self._fact(entry))}
        kept = {word for entry in text.signals for word in (*entry.per, *entry.each, *entry.members)}
        names = [name for name in self._types if f"facts.{name}" in kept and not self._reads[name]]
        group_facts({name: self._facts[name] for name in names}, self._expressions, self.vocabulary)
        self._speak("")

    def for_team(self, team: str) -> "Conditions":
        """The conditions of a team, with the platform's facts and the team's own signals."""
        other = copy(self)
        other._speak(team)  # noqa: SLF001 - of the same class
        return other

    def _speak(self, team: str) -> None:
        facts: dict[str, tuple[str, Reader]] = {name: (kind, self._facts[name]) for name, kind in self._types.items()}
        self._captures = self._catalogue.capture_names if team else self._captures
        self._shaken = self._shaken and not team
        self.vocabulary = Vocabulary(self.text, self._captures, facts, team)
        self._programs: dict[str, Program] = {}
        """The conditions without a fault by their texts."""
        words = self.vocabulary
        self.combiner = Combiner(words.environment, words.readers, words.constants, self._allowance)

    def _fact(self, entry: FactEntry) -> str:
        expression = self._compile(entry.expression, entry.where)
        if expression is None:
            return ""
        kind = _FACT_TYPES.get(expression.result_type, "")
        if not kind:
            message = f"a fact is a string, an int or a bool, this one is {expression.result_type}; wrap it in string(…), int(…) or bool(…)"
            self._faults.append(entry.where.fault(message))
            return ""
        program = Program(expression, self.vocabulary.readers, self.vocabulary.constants)
        self._reads[entry.name] = self._read(program)
        self._limits[entry.name] = self._compared(expression)
        self._computed[entry.name] = self._computed_with(expression)
        self._facts[entry.name] = FactReader(entry.name, program)
        self._expressions[entry.name] = expression
        return kind

    def outcome(self, text: str, where: Where) -> Program | None:
        """Compile the filter of a signal that outcomes feed: over the outcome and constants, nothing of the step."""
        environment, readers = outcome_environment(self.text.vars)
        try:
            expression = environment.compile(text)
        except CelSyntaxError as error:
            name = undeclared_name(error.message)
            why = f"`{name}` is not among what it reads: `outcome.status`, `.bytes`, `.failed` and `vars`"
            self._faults.append(where.fault(why if name else error.message, "when"))
            return None
        if expression.result_type != "BOOL":
            self._faults.append(where.fault(f"a filter is true or false, this one is {expression.result_type}", "when"))
            return None
        self._faults.extend(
            where.fault(complaint, "when") for complaint in check(expression, {}, self.vocabulary.constants)
        )
        return Program(expression, readers, self.vocabulary.constants)

    def boolean(self, text: str, where: Where, key: str, actions: frozenset[str]) -> Program | None:
        """Compile a condition; None after a fault was recorded.

        Args:
            text: CEL.
            where: the entry it stands in.
            key: its field there.
            actions: the actions whose steps can meet it.
        """
        known = self._programs.get(text)
        if known is not None:  # many rules ask the same
            self._check_presence(known.expression, where, key, actions)
            return known
        before = len(self._faults)
        expression = self._compile(text, where, key)
        if expression is None:
            return None
        if expression.result_type != "BOOL":
            hint = "; a fact is always present, so compare it instead of asking `has()`" if "has(" in text else ""
            message = f"a condition is true or false, this one is {expression.result_type}{hint}"
            self._faults.append(where.fault(message, key))
            return None
        program = Program(expression, self.vocabulary.readers, self.vocabulary.constants)
        if len(self._faults) == before:
            self._programs[text] = program
        self._check_presence(expression, where, key, actions)
        return program

    def _compile(self, text: str, where: Where, *keys: str) -> Expression | None:
        try:
            expression = self.vocabulary.environment.compile(text)
        except CelSyntaxError as error:
            self._faults.append(where.fault(self._explain(error), *keys))
            return None
        self._faults.extend(
            where.fault(complaint, *keys) for complaint in check(expression, ENUMS, self.vocabulary.constants)
        )
        return expression

    def _explain(self, error: CelSyntaxError) -> str:
        name = undeclared_name(error.message)
        line = f"line {error.line}, " if error.line > 1 else ""
        column = f" ({line}column {error.column})" if error.column else ""
        if not name:
            return f"{error.message}{column}"
        if name.startswith("outcome."):
            return f"`{name}` is known only after the answer; a signal with `fed_by: outcomes` reads it{column}"
        near = get_close_matches(name, sorted(self.vocabulary.environment.names), n=1, cutoff=0.6)
        return f"there is no `{name}`{column}" + (f"; did you mean `{near[0]}`?" if near else "")

    def _check_presence(self, expression: Expression, where: Where, key: str, actions: frozenset[str]) -> None:
        """A path capture or a body that no touched action has is a condition that never holds.

        Not judged for the platform beside teams: which actions a pattern touches is then not its own affair.
        """
        if self._shaken:
            return
        for name in expression.variables:
            capture = name.removeprefix("path.")
            if name.startswith("path.") and not any(
                capture in self._catalogue.captures_of(action) for action in actions
            ):
                self._faults.append(where.fault(f"no action that this touches has `{{{capture}}}` in its path", key))
            if name == "request.json" and not any(
                variant.body for action in actions for variant in self._catalogue.variants_of(action)
            ):
                self._faults.append(
                    where.fault("no action that this touches has `body: json`, which reading request.json needs", key)
                )

    def signals_of(self, program: Program) -> frozenset[str]:
        """The signals that a condition reads, through facts too, by their full names."""
        return frozenset().union(*(self._reads[name] for name in _facts_in(program.expression)), self._read(program))

    def limits_of(self, program: Program) -> dict[str, tuple[int, ...]]:
        """The limits that a condition compares signals with, through facts too."""
        limits = self._compared(program.expression)
        for fact in _facts_in(program.expression):
            for name, found in self._limits[fact].items():
                limits[name] = (*limits.get(name, ()), *found)
        return limits

    def computed_of(self, program: Program) -> frozenset[str]:
        """The signals whose limit nobody can tell: a condition does more with them than to compare them with constants."""
        found = (self._computed[name] for name in _facts_in(program.expression))
        return self._computed_with(program.expression).union(*found)

    def _computed_with(self, expression: Expression) -> frozenset[str]:
        return frozenset(map(self.vocabulary.signal_of, computed_in(expression, self.vocabulary.constants)))

    def _read(self, program: Program) -> frozenset[str]:
        signals = map(self.vocabulary.signal_of, program.expression.variables)
        return frozenset(name for name in signals if name)

    def _compared(self, expression: Expression) -> dict[str, tuple[int, ...]]:
        limits: dict[str, tuple[int, ...]] = {}
        if not any(name.startswith("signals.") for name in expression.variables):
            return limits
        for found in thresholds(expression, self.vocabulary.constants):
            name = self.vocabulary.signal_of(f"signals.{found.signal}")
            limits[name] = (*limits.get(name, ()), found.limit)
        return limits

    def key_readers(self, words: Sequence[str], where: Where, key: str) -> tuple[tuple[str, Reader], ...]:
        """How the words of `per`, `each` or `distinct` are read; empty after a fault was recorded."""
        readers: list[tuple[str, Reader]] = []
        for word in words:
            reader = self._key_reader(word)
            if reader is None:
                near = get_close_matches(word, [*BARE, *self.vocabulary.readers], n=1)
                hint = f"; did you mean `{near[0]}`?" if near else ""
                self._faults.append(where.fault(f"there is no `{word}` to count by{hint}", key))
                return ()
            readers.append((word, reader))
        return tuple(readers)

    def _key_reader(self, word: str) -> Reader | None:
        if word.startswith("facts."):
            name = word.removeprefix("facts.")
            return self._facts[name].text if name in self._facts and not self._reads[name] else None
        if word.startswith("path.") and word.removeprefix("path.") not in self._captures:
            return None
        return self._source if word in {"source", "source.address"} else reader_of(word)

    def _source(self, step: Step) -> str:
        """The source as an entity: absent where many callers share the address."""
        address = step.request.source_address
        if self._shared is not None and address and self._shared.matches(address):
            return ""
        return source_entity(address)


def _facts_in(expression: Expression) -> list[str]:
    return [name.removeprefix("facts.") for name in expression.variables if name.startswith("facts.")]
