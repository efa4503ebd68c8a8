"""The terms of the conditions of one policy, compiled one by one, and what each reads."""

from typing import Any, NamedTuple

from authz_server.policy.cel import EVALUATION_ERROR
from authz_server.policy.conditions import Conditions
from authz_server.policy.program import Program
from authz_server.policy.rule import Rule
from authz_server.policy.snapshot import Snapshot
from authz_server.policy.step import Step
from authz_server.policy.terms import split_terms
from authz_server.policy.vocabulary import Vocabulary


class Term(NamedTuple):
    """One term of a condition."""

    text: str
    program: Program

    def value(self, step: Step) -> bool | None:
        """Whether it holds for a step; None when it could not be evaluated."""
        value = self.program.value(step)
        return value if isinstance(value, bool) else None


class Terms:
    """The terms of one policy's conditions, compiled when first asked for."""

    __slots__ = ("_conditions", "_known", "_snapshot", "_teams")

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._conditions = Conditions(snapshot.text, snapshot.catalogue, [])
        self._teams: dict[str, Vocabulary] = {"": self._conditions.vocabulary}
        self._known: dict[str, tuple[Term, ...]] = {}

    def of(self, rule: Rule) -> tuple[Term, ...]:
        """The terms of a rule's condition; the whole condition when it is one, none without a condition."""
        if rule.when is None:
            return ()
        known = self._known.get(rule.name)
        if known is None:
            known = self._known[rule.name] = self._compile(rule, rule.when)
        return known

    def read(self, rule: Rule, term: Term, step: Step) -> dict[str, Any]:
        """What a term reads of a step, by the names of the variables; None for what could not be evaluated."""
        vocabulary = self._vocabulary(rule)
        found: dict[str, Any] = {}
        for name in term.program.expression.variables:
            value = self._program(vocabulary, name).value(step)
            found[name] = None if value is EVALUATION_ERROR else value
        return found

    def _compile(self, rule: Rule, when: Program) -> tuple[Term, ...]:
        vocabulary = self._vocabulary(rule)
        texts = split_terms(vocabulary.environment, when.expression.text)
        if len(texts) == 1:
            return (Term(texts[0], when),)
        return tuple(Term(text, self._program(vocabulary, text)) for text in texts)

    @staticmethod
    def _program(vocabulary: Vocabulary, text: str) -> Program:
        return Program(vocabulary.environment.compile(text), vocabulary.readers, vocabulary.constants)

    def _vocabulary(self, rule: Rule) -> Vocabulary:
        team = rule.entry.team
        known = self._teams.get(team)
        if known is None:
            known = self._teams[team] = self._conditions.for_team(team).vocabulary
        return known
