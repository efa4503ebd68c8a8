"""The rule table: for each (action, principal, destination) the rules that can touch its steps, compiled when first met."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Final

from authz_server.keyhash import KeyedHash
from authz_server.policy.entries import Fed, SignalWord
from authz_server.policy.envelopes import Envelope
from authz_server.policy.evaluate import Phase
from authz_server.policy.generations import Generations
from authz_server.policy.heritage import is_heritable
from authz_server.policy.program import Combiner
from authz_server.policy.rule import Rule
from authz_server.policy.ruleindex import RuleIndex
from authz_server.policy.selector import Key
from authz_server.policy.signalplan import SignalPlan, stand_in
from authz_server.policy.step import Step
from authz_server.signals import Hit
from authz_server.verdict import Verdict

MAX_CANDIDATES: Final = 16_384
"""Candidate sets that are kept, about 2 kB each, so that a flood of principals costs no memory."""
MAX_WARMED: Final = MAX_CANDIDATES // 2
"""Candidate sets that are made for a new snapshot before it goes live, 20 to 100 us each: those asked for lately."""
_ENFORCE_SCALE: Final = 10_000


class Candidates:
    """What one (action, principal, destination, task) needs: rules before the readings, rules after them, signals to feed.

    Attributes:
        limits: for each signal the lowest limit that a candidate rule compares it with.
        adds: whether a rule adds to a score.
        after: signals that the answer feeds.
        outcomes: signals that the destination's answer feeds.
        heritable: signals read of another lineage, too, whose credential a step presents.
        plans: every signal by name, for what belongs to each.
        envelopes: those that its steps may be within.
        scores: names of the scores that the rules read.
        plain: what the decision point remembers of the step on which no condition holds.
    """

    __slots__ = (
        "_constant",
        "_members",
        "_varying",
        "adds",
        "after",
        "early",
        "envelopes",
        "heritable",
        "later",
        "limits",
        "outcomes",
        "plain",
        "plans",
        "scores",
    )

    def __init__(
        self,
        key: Key,
        phases: tuple[Phase, Phase],
        plans: Mapping[str, SignalPlan],
        fed: Sequence[SignalPlan],
        envelopes: tuple[Envelope, ...] = (),
    ) -> None:
        """Lay out a set.

        Args:
            key: what all its steps have in common.
            phases: the rules before the readings, and those after them.
            plans: every signal by name.
            fed: those that its steps can feed.
            envelopes: those that its steps may be within.
        """
        self.early, self.later = phases
        self.plans = plans
        self.envelopes = envelopes
        self.plain: Verdict | None = None
        read = [plans[name] for name in self.later.reads if name in plans]
        self.heritable = tuple(plan for plan in read if is_heritable(plan))
        self.limits: Mapping[str, int] = self.later.limits
        self.adds = any(rule.entry.adds for phase in phases for rule in phase.rules)
        self.scores = tuple(plan.signal.name for plan in read if plan.word is SignalWord.SCORE)
        self.after = tuple(plan for plan in fed if plan.is_fed_by_answers)
        self.outcomes = tuple(plan for plan in fed if plan.fed is Fed.OUTCOMES)
        self._constant: tuple[Hit, ...] = ()
        self._members: tuple[tuple[Callable[[Step], str], Hit], ...] = ()
        self._varying: tuple[tuple[SignalPlan, bool, bool], ...] = ()
        # What a step counts is read with it: beside a plan that feeds, the one that only reads is for the steps it leaves out.
        pressures = {plan.signal.name: plan for plan in fed if plan.is_pressure}
        readings = {plan.signal.name: plan for plan in read if not plan.is_pressure}
        self._lay_out(
            key,
            [
                *((plan, True, name in readings) for name, plan in pressures.items()),
                *((plan, False, True) for name, plan in readings.items() if name not in pressures),
            ],
        )

    def _lay_out(self, key: Key, plans: Iterable[tuple[SignalPlan, bool, bool]]) -> None:
        """Sort the signals by how much of their hits is the same for all steps of the key.

        Args:
            key: of the steps.
            plans: each with whether it is pressure, and whether it is read of the steps that do not feed it too.
        """
        step = stand_in(key)
        for plan, is_pressure, is_read in plans:
            if not plan.has_fixed_keys(key):
                self._varying += ((plan, is_pressure, is_read),)
                continue
            fixed: list[Hit] = []
            plan.feed_as(step, "", fixed, 1 if is_pressure else 0)
            if plan.members:
                self._members += tuple((plan.read_member, hit) for hit in fixed)
            else:
                self._constant += tuple(fixed)

    def hits(self, step: Step) -> tuple[Hit, ...]:
        """What the step contributes to the signals, and what it asks of them."""
        if not self._varying and not self._members:
            return self._constant
        hits = list(self._constant)
        for read, (signal, entity, rest, _, stage, amount, group) in self._members:
            hits.append(Hit(signal, entity, rest, read(step), stage, amount, group))
        for plan, is_pressure, is_read in self._varying:
            if is_pressure and plan.counts(step):
                plan.feed(step, hits, 1)
            elif is_read:
                plan.feed(step, hits, 0)
        return tuple(hits)


class RuleTable:
    """All rules and signals of a snapshot, and the candidate sets met so far."""

    __slots__ = ("_combiners", "_envelopes", "_fed", "_keyed", "_known", "_phases", "_plans", "_rules")

    def __init__(
        self,
        rules: Sequence[Rule],
        plans: Sequence[SignalPlan],
        combiners: Mapping[str, Combiner],
        keyed: KeyedHash,
        envelopes: Sequence[Envelope] = (),
    ) -> None:
        self._rules = RuleIndex(rules)
        self._fed = RuleIndex(plans)
        self._plans = {plan.signal.name: plan for plan in plans}
        self._combiners = combiners
        self._keyed = keyed
        self._envelopes = tuple(envelopes)
        self._known: Generations[Key, Candidates] = Generations(MAX_CANDIDATES)
        self._phases: Generations[tuple[frozenset[str], tuple[Rule, ...]], Phase] = Generations(MAX_CANDIDATES)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Every rule."""
        return self._rules.entries

    @property
    def plans(self) -> Mapping[str, SignalPlan]:
        """Every signal by name."""
        return self._plans

    def candidates(self, key: Key) -> Candidates:
        """The candidate set of a step."""
        known = self._known.young.get(key)
        if known is None:
            known = self._known.get(key)
            if known is None:
                known = self._compile(key)
                self._known.put(key, known)
        return known

    def warm(self, keys: Iterable[Key]) -> None:
        """Make the candidate sets of the first `MAX_WARMED` keys before the first step needs them."""
        for key in islice(keys, MAX_WARMED):
            known = self.candidates(key)
            known.early.combine()
            known.later.combine()

    def known_keys(self) -> tuple[Key, ...]:
        """The candidate keys met so far, for warming the next snapshot; those asked for lately first."""
        return self._known.keys()

    def _compile(self, key: Key) -> Candidates:
        rules = self._rules.find(key)
        shadow = frozenset(
            [
                rule.name
                for rule in rules
                if rule.entry.enforce < _ENFORCE_SCALE and not self._enforced(rule, key.principal)
            ]
        )
        phases = (
            self._phase(tuple([rule for rule in rules if not rule.signals]), shadow),
            self._phase(tuple([rule for rule in rules if rule.signals]), shadow),
        )
        envelopes = tuple([each for each in self._envelopes if each.selector.holds_statically(key)])
        return Candidates(key, phases, self._plans, self._fed.find(key), envelopes)

    def _phase(self, rules: tuple[Rule, ...], shadow: frozenset[str]) -> Phase:
        """One phase for all keys whose rules, and shadow, are the same."""
        place = (shadow, rules)
        known = self._phases.get(place)
        if known is None:
            known = Phase(rules, shadow, self._combiners)
            self._phases.put(place, known)
        return known

    def _enforced(self, rule: Rule, principal: str) -> bool:
        """Whether the rule is enforced for this principal: a keyed hash, so that nobody can pick the lucky half."""
        share = int.from_bytes(self._keyed.digest(("enforce", rule.name, principal), 8), "big") % _ENFORCE_SCALE
        return share < rule.entry.enforce
