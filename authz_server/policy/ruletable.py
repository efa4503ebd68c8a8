"""The rule table: for each (action, principal, destination) the rules that can touch its steps, compiled when first met."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from authz_server.keyhash import KeyedHash
from authz_server.model import Entity
from authz_server.policy.evaluate import Phase
from authz_server.policy.facts import Reader, Step
from authz_server.policy.program import Combiner, Program
from authz_server.policy.rule import Key, Rule, Selector, key_of
from authz_server.signals import Hit, Signal, SignalKind

MAX_CANDIDATES: Final = 16_384
"""Candidate sets kept compiled (about 2 kB each); when full all are dropped, so that a flood of principals costs no memory."""
_ENFORCE_SCALE: Final = 10_000


class SignalPlan(NamedTuple):
    """How one signal is fed by a step."""

    signal: Signal
    selector: Selector
    exclude: Selector | None
    when: Program | None
    per: tuple[tuple[str, Reader], ...]
    """The words of the composite key and their readers."""
    each: tuple[tuple[str, Reader], ...]
    """The words that each get an instance of their own."""
    member: Reader | None
    stages: Mapping[str, int]

    def applies(self, key: Key) -> bool:
        """Whether steps of this candidate key can feed the signal."""
        if not self.selector.holds_statically(key):
            return False
        exclude = self.exclude
        return exclude is None or bool(exclude.dynamic) or not exclude.holds_statically(key)

    def counts(self, step: Step) -> bool:
        """Whether this step feeds the signal; a filter that cannot be evaluated counts."""
        if not self.selector.holds_dynamically(step):
            return False
        exclude = self.exclude
        if (
            exclude is not None
            and exclude.dynamic
            and exclude.holds_dynamically(step)
            and exclude.holds_statically(key_of(step))
        ):
            return False
        return self.when is None or self.when.value(step) is not False

    def feed(self, step: Step, hits: list[Hit]) -> None:
        """Append what the step contributes; nothing when an entity is absent."""
        member = str(self.member(step)) if self.member is not None else ""
        stage = self.stages.get(step.action.stage, -1) if self.signal.kind is SignalKind.SEQUENCE else -1
        if self.each:
            for word, read in self.each:
                value = str(read(step))
                if value:
                    hits.append(Hit(self.signal, Entity(word, (value,)), (), member, stage))
            return
        values = [str(read(step)) for _, read in self.per]
        if all(values):
            hits.append(Hit(self.signal, Entity(self.per[0][0], (values[0],)), tuple(values[1:]), member, stage))


class Candidates:
    """What one (action, principal, destination) needs: rules before the readings, rules after them, signals to feed."""

    __slots__ = ("_limits", "early", "later", "plans")

    def __init__(self, early: Phase, later: Phase, plans: tuple[SignalPlan, ...]) -> None:
        self.early = early
        self.later = later
        self.plans = plans
        limits: dict[str, int] = {}
        for rule in later.rules:
            for signal, found in rule.limits.items():
                for limit in found:
                    limits[signal] = min(limit, limits.get(signal, limit))
        self._limits = limits

    def hits(self, step: Step) -> tuple[Hit, ...]:
        """What the step contributes to the signals."""
        hits: list[Hit] = []
        for plan in self.plans:
            if plan.counts(step):
                plan.feed(step, hits)
        return tuple(hits)

    def limit_of(self, signal: str) -> int | None:
        """The lowest limit that a candidate rule compares the signal with."""
        return self._limits.get(signal)


class RuleTable:
    """All rules and signals of a snapshot, and the candidate sets met so far."""

    __slots__ = ("_combiner", "_keyed", "_known", "_plans", "rules")

    def __init__(
        self, rules: Sequence[Rule], plans: Sequence[SignalPlan], combiner: Combiner, keyed: KeyedHash
    ) -> None:
        self.rules = tuple(rules)
        self._plans = tuple(plans)
        self._combiner = combiner
        self._keyed = keyed
        self._known: dict[Key, Candidates] = {}

    def candidates(self, key: Key) -> Candidates:
        """The candidate set of a step."""
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= MAX_CANDIDATES:
                self._known = {}
            known = self._known[key] = self._compile(key)
        return known

    def warm(self, keys: Iterable[Key]) -> None:
        """Compile candidate sets before the first step needs them."""
        for key in keys:
            self.candidates(key)

    def known_keys(self) -> tuple[Key, ...]:
        """The candidate keys met so far, for warming the next snapshot."""
        return tuple(self._known)

    def _compile(self, key: Key) -> Candidates:
        rules = [rule for rule in self.rules if rule.applies(key)]
        shadow = frozenset(rule.name for rule in rules if not self._enforced(rule, key.principal))
        early = Phase([rule for rule in rules if not rule.signals], shadow, self._combiner)
        later = Phase([rule for rule in rules if rule.signals], shadow, self._combiner)
        plans = tuple(plan for plan in self._plans if plan.applies(key))
        return Candidates(early, later, plans)

    def _enforced(self, rule: Rule, principal: str) -> bool:
        """Whether the rule is enforced for this principal: a keyed hash, so that nobody can pick the lucky half."""
        if rule.enforce >= _ENFORCE_SCALE:
            return True
        share = int.from_bytes(self._keyed.digest(("enforce", rule.name, principal), 8), "big") % _ENFORCE_SCALE
        return share < rule.enforce
