"""The rule table: for each (action, principal, destination) the rules that can touch its steps, compiled when first met."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from authz_server.keyhash import KeyedHash
from authz_server.policy.evaluate import Phase
from authz_server.policy.facts import Step
from authz_server.policy.program import Combiner
from authz_server.policy.rule import Key, Rule
from authz_server.policy.signalplan import SignalPlan, stand_in
from authz_server.signals import Hit
from authz_server.verdict import Verdict

MAX_CANDIDATES: Final = 16_384
"""Candidate sets kept compiled (about 2 kB each); when full all are dropped, so that a flood of principals costs no memory."""
_ENFORCE_SCALE: Final = 10_000


class Candidates:
    """What one (action, principal, destination) needs: rules before the readings, rules after them, signals to feed.

    Attributes:
        limits: for each signal the lowest limit that a candidate rule compares it with.
        plain: what the decision point remembers of the step on which no condition holds.
    """

    __slots__ = ("_constant", "_members", "_varying", "early", "later", "limits", "plain")

    def __init__(self, key: Key, early: Phase, later: Phase, plans: Iterable[SignalPlan]) -> None:
        self.early = early
        self.later = later
        self.plain: Verdict | None = None
        self.limits: dict[str, int] = {}
        for rule in later.rules:
            for signal, found in rule.limits.items():
                self.limits[signal] = min(*found, self.limits.get(signal, found[0]))
        constant: list[Hit] = []
        members: list[tuple[Callable[[Step], str], Hit]] = []
        varying: list[SignalPlan] = []
        for plan in plans:
            if not plan.has_fixed_keys:
                varying.append(plan)
            elif plan.member is None:
                plan.feed(stand_in(key), constant)
            else:
                fixed: list[Hit] = []
                plan.feed_as(stand_in(key), "", fixed)
                members += [(plan.read_member, hit) for hit in fixed]
        self._constant = tuple(constant)
        self._members = tuple(members)
        self._varying = tuple(varying)

    def hits(self, step: Step) -> tuple[Hit, ...]:
        """What the step contributes to the signals."""
        if not self._varying and not self._members:
            return self._constant
        hits = list(self._constant)
        for read, hit in self._members:
            hits.append(Hit(hit.signal, hit.entity, hit.rest, read(step)))
        for plan in self._varying:
            if plan.counts(step):
                plan.feed(step, hits)
        return tuple(hits)


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
        return Candidates(key, early, later, [plan for plan in self._plans if plan.applies(key)])

    def _enforced(self, rule: Rule, principal: str) -> bool:
        """Whether the rule is enforced for this principal: a keyed hash, so that nobody can pick the lucky half."""
        if rule.enforce >= _ENFORCE_SCALE:
            return True
        share = int.from_bytes(self._keyed.digest(("enforce", rule.name, principal), 8), "big") % _ENFORCE_SCALE
        return share < rule.enforce
