"""Evaluation of the candidate rules of one step: all conditions in one call, one by one where that call errs or does not pay yet."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from authz_server.policy.cel import EVALUATION_ERROR
from authz_server.policy.program import Combiner
from authz_server.policy.rule import Lift, Rule
from authz_server.policy.step import Step
from authz_server.verdict import Effect

CHUNK: Final = 32
"""Conditions in one combined expression: more make the list slower to build than the saved calls are worth."""

_RESTRICTING: Final = frozenset({Effect.CHALLENGE, Effect.THROTTLE, Effect.DENY, Effect.QUARANTINE})


class Outcome(NamedTuple):
    """A rule that matched, or that counts as matched because its condition could not be evaluated."""

    rule: Rule
    error: str = ""


class Excepted(NamedTuple):
    """A rule that would have matched, and the exception that lifts it for this step."""

    rule: Rule
    lift: Lift


class Findings(NamedTuple):
    """The rules of one phase that matched."""

    enforced: tuple[Outcome, ...]
    shadowed: tuple[Outcome, ...]
    excepted: tuple[Excepted, ...] = ()

    @property
    def challenging(self) -> bool:
        """Whether a challenge is among the enforced ones: whether it holds is for each step to say."""
        return any(outcome.rule.effect is Effect.CHALLENGE for outcome in self.enforced)


class Phase:
    """The candidate rules of one (action, principal, destination), before or after the signals are read.

    Attributes:
        fixed: what `evaluate` returns, this very object, for a step on which no condition holds.
        limits: for each signal the lowest limit that a rule compares it with.
        reads: names of the signals that the rules read, sorted.
        rules: all of them.
    """

    __slots__ = ("_chunks", "_loose", "_shadow", "fixed", "limits", "reads", "rules")

    def __init__(self, rules: Sequence[Rule], shadow: frozenset[str], combiners: Mapping[str, Combiner]) -> None:
        """Lay out the phase; nothing is compiled yet.

        Args:
            rules: static candidates.
            shadow: names of those that are not enforced for this principal.
            combiners: of the snapshot, by team; `""` is the platform's.
        """
        self.rules = tuple(rules)
        self._shadow = shadow
        fixed = [rule for rule in rules if rule.when is None and rule.dynamic is None and not rule.lifts]
        enforced, shadowed = self._sorted([Outcome(rule) for rule in fixed], frozenset())
        self.fixed = Findings(enforced, shadowed)
        self._loose = tuple(rule for rule in rules if rule.when is None and (rule.dynamic is not None or rule.lifts))
        self._chunks = tuple(
            (chunk, combiners[chunk[0].entry.team].joint([rule.when for rule in chunk if rule.when is not None]))
            for chunk in _chunks([rule for rule in rules if rule.when is not None])
        )
        self.reads = tuple(sorted({name for rule in rules for name in (*rule.signals, *rule.reporters)}))
        self.limits: dict[str, int] = {}
        for rule in rules:
            for signal, found in rule.limits.items():
                self.limits[signal] = min(*found, self.limits.get(signal, found[0]))

    def combine(self) -> None:
        """Compile what this phase has in common with others, before the steps do that ask for it often."""
        for chunk, joint in self._chunks:
            if not chunk[0].is_personal:
                joint.combine()

    def _sorted(
        self, outcomes: Sequence[Outcome], unlearned: frozenset[str]
    ) -> tuple[tuple[Outcome, ...], tuple[Outcome, ...]]:
        """The enforced ones, and those in shadow: by their share, or because what they read has not learned enough."""
        if not self._shadow and not unlearned:
            return tuple(outcomes), ()
        shadow = [
            outcome.rule.name in self._shadow or not (outcome.error or unlearned.isdisjoint(outcome.rule.signals))
            for outcome in outcomes
        ]
        return (
            tuple(outcome for outcome, hidden in zip(outcomes, shadow, strict=True) if not hidden),
            tuple(outcome for outcome, hidden in zip(outcomes, shadow, strict=True) if hidden),
        )

    def evaluate(self, step: Step) -> Findings:
        """Evaluate all rules of the phase for one step."""
        found = [Outcome(rule) for rule in self._loose if rule.touches(step)] if self._loose else []
        for rules, joint in self._chunks:
            values: Any = joint.value(step)
            if values is EVALUATION_ERROR:
                for rule in rules:
                    _evaluate_one(rule, step, found)
            elif True in values:
                found += [
                    Outcome(rule)
                    for rule, value in zip(rules, values, strict=True)
                    if value is True and rule.touches(step)
                ]
        return self._with_fixed(found, step)

    def evaluate_degraded(self, step: Step, *, local: bool = True) -> Findings:
        """Evaluate without the store: each rule by its `on_state_error`, over this replica's own readings.

        Args:
            step: with those readings.
            local: whether they may still be gone by; without it `local` denies too.
        """
        found: list[Outcome] = []
        for rule in self.rules:
            if rule.when is None or not rule.touches(step):
                continue
            mode = rule.state_error_mode(step.action)
            if mode == "local" and local:
                _evaluate_one(rule, step, found)
            elif mode != "skip" and rule.effect in _RESTRICTING:
                found.append(Outcome(rule, "state_unavailable"))
        return self._with_fixed(found, step)

    def _with_fixed(self, found: list[Outcome], step: Step) -> Findings:
        if not found:
            return self.fixed
        excepted = tuple(
            Excepted(outcome.rule, lift)
            for outcome in found
            if outcome.rule.lifts and (lift := outcome.rule.lifted_by(step)) is not None
        )
        if excepted:
            lifted = {each.rule.name for each in excepted}
            found = [outcome for outcome in found if outcome.rule.name not in lifted]
        enforced, shadowed = self._sorted(found, step.unlearned)
        return Findings(self.fixed.enforced + enforced, self.fixed.shadowed + shadowed, excepted)


def _evaluate_one(rule: Rule, step: Step, found: list[Outcome]) -> None:
    if rule.when is None:
        return
    value = rule.when.value(step)
    if value is True:
        if rule.touches(step):
            found.append(Outcome(rule))
    elif value is EVALUATION_ERROR and rule.effect in _RESTRICTING and rule.touches(step):
        # In allow and observe an error is "no match": it must never open.
        found.append(Outcome(rule, "evaluation_error"))


def _chunks(conditional: Sequence[Rule]) -> Iterator[tuple[Rule, ...]]:
    """The rules whose conditions are evaluated in one call.

    A team's conditions speak of the team's signals, so they are compiled apart. Rules that name single callers stand apart
    too: what is left is the same for many callers, and is compiled for all of them once.
    """
    alike: dict[tuple[str, bool], list[Rule]] = {}
    for rule in conditional:
        alike.setdefault((rule.entry.team, rule.is_personal), []).append(rule)
    for rules in alike.values():
        for start in range(0, len(rules), CHUNK):
            yield tuple(rules[start : start + CHUNK])
