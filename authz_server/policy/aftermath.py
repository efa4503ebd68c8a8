"""What a decided step teaches: hits that follow the answer, and those that wait for what the destination answers.

What a caller is allowed to do makes it familiar, and what it is denied makes it suspicious, only after the fact: a refused
try must not make its own retry known, and an allowed one counts once it has succeeded.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from authz_server.model import Outcome
from authz_server.policy.entries import Fed, SignalWord
from authz_server.policy.reporters import reporter_name
from authz_server.policy.rule import Rule
from authz_server.policy.ruletable import Candidates
from authz_server.policy.signalplan import DISCOVERED, SignalPlan
from authz_server.policy.step import Step
from authz_server.signals import UNIT, Hit, SignalKind
from authz_server.verdict import Decision

_REFUSED: Final = frozenset({401, 403, 407})
_ABSENT: Final = frozenset({404, 405, 410})
_SUCCESS: Final = range(100, 400)
_FAILED: Final = 500
_DENIALS: Final = frozenset({Decision.DENY, Decision.QUARANTINE})


def after_answer(candidates: Candidates, step: Step, decision: Decision, *, reserved: bool) -> tuple[Hit, ...]:
    """What the answer feeds, scores aside.

    Args:
        candidates: of the step.
        step: decided.
        decision: on it.
        reserved: budgets were reserved with the readings already; see `given_back` for a step that is not allowed.
    """
    hits: list[Hit] = []
    for plan in candidates.after:
        amount = _amount(plan, step, decision, reserved=reserved)
        if amount and plan.counts(step):
            plan.feed(step, hits, amount)
    return tuple(hits)


def additions(candidates: Candidates, step: Step, matched: Iterable[Rule]) -> tuple[Hit, ...]:
    """What rules add to scores, and who vouches for it.

    Args:
        candidates: of the step.
        step: decided.
        matched: the enforced rules that matched without an error.
    """
    added: dict[str, int] = {}
    for rule in matched:
        for name, units in rule.entry.adds:
            added[name] = added.get(name, 0) + units
    if not added:
        return ()
    hits: list[Hit] = []
    plans = candidates.plans
    for name, units in added.items():
        plans[name].feed(step, hits, units * UNIT)
        vouching = plans.get(reporter_name(name))
        if vouching is not None and step.reporter:
            vouching.feed(step, hits, 1)
    return tuple(hits)


def _amount(plan: SignalPlan, step: Step, decision: Decision, *, reserved: bool) -> int:
    if plan.word is SignalWord.BUDGET:
        return int(decision is Decision.ALLOW and not reserved)
    if plan.fed is Fed.DENIED:
        return int(decision in _DENIALS)
    return int(decision is Decision.ALLOW and _marks(plan, step))


def _marks(plan: SignalPlan, step: Step) -> bool:
    """Whether the step sets a mark, or feeds what is none; as with a filter, what cannot be evaluated counts."""
    return plan.mark is None or plan.mark.value(step) is not False


def given_back(hits: Sequence[Hit], values: Sequence[int]) -> tuple[Hit, ...]:
    """What returns to the budgets when a step that reserved is not allowed: what was not stored is not given back.

    Args:
        hits: measured.
        values: their readings, parallel.
    """
    return tuple(
        [
            hit._replace(amount=-hit.amount)
            for hit, value in zip(hits, values, strict=True)
            if hit.signal.kind is SignalKind.BUDGET and hit.amount > 0 and value <= hit.signal.cap
        ]
    )


def expected(candidates: Candidates, step: Step) -> tuple[Hit, ...]:
    """What the outcome of an allowed step will feed, as far as the step decides it."""
    hits: list[Hit] = []
    for plan in candidates.outcomes:
        if plan.counts(step) and _marks(plan, step):
            plan.feed(step, hits, 1)
    if "discovery" in {step.action.kind, step.action.stage}:
        return tuple([hit._replace(stage=DISCOVERED) for hit in hits])
    return tuple(hits)


def learned(plans: Mapping[str, SignalPlan], hits: Iterable[Hit], outcome: Outcome) -> tuple[Hit, ...]:
    """What an outcome feeds of what was expected of it.

    Args:
        plans: of the policy in force; what an earlier one expected under another definition is dropped.
        hits: as `expected` gave them.
        outcome: what the destination answered.
    """
    fed: list[Hit] = []
    for hit in hits:
        plan = plans.get(hit.signal.name)
        if plan is None or plan.signal.id != hit.signal.id:
            continue
        # The filter of such a signal reads nothing but the outcome and constants.
        if plan.when is not None and plan.when.value(outcome) is False:  # type: ignore[arg-type]
            continue
        needy = _SUCCESSFUL if plan.when is not None else _USUALLY_SUCCESSFUL
        if plan.word in needy and not _succeeded(outcome):
            continue
        amount = 1
        if plan.word is SignalWord.WALK:
            amount = plan.weights.get(_class_of(outcome, discovery=hit.stage == DISCOVERED), 0)
        if plan.vouches:  # only for what raises the other signal
            amount = int(amount > 0)
        if amount:
            fed.append(hit._replace(stage=-1, amount=amount))
    return tuple(fed)


_SUCCESSFUL: Final = frozenset({SignalWord.FIRST_SEEN})
"""Familiar is what has succeeded, whatever a filter says: a refused try must not make its own retry known ..."""
_USUALLY_SUCCESSFUL: Final = frozenset({SignalWord.FIRST_SEEN, SignalWord.DISTINCT, SignalWord.MARK})
"""... and with these unless the filter says which outcomes count."""


def _succeeded(outcome: Outcome) -> bool:
    return not outcome.failed and outcome.status in _SUCCESS


def _class_of(outcome: Outcome, *, discovery: bool) -> str:
    """The class of `WALK_CLASSES`, or `""` for a status that says nothing, such as 400 or 429."""
    if outcome.failed or outcome.status >= _FAILED:
        return "failed"
    if outcome.status in _REFUSED:
        return "refused"
    if outcome.status in _ABSENT:
        return "absent"
    if outcome.status in _SUCCESS:
        return "discovered" if discovery else "success"
    return ""
