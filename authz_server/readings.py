"""What the store answered, put where the conditions read it: by signal, the largest of its instances. Pure."""

from collections.abc import Sequence

from authz_server.policy.entries import SignalWord
from authz_server.policy.ruletable import Candidates
from authz_server.policy.signalplan import SignalPlan
from authz_server.policy.step import Step
from authz_server.signals import Hit, Readings, SignalKind, unpack_familiarity

_SCALED = frozenset({SignalKind.COUNT, SignalKind.BUDGET})
"""What each replica sees its share of only."""


def take_readings(step: Step, candidates: Candidates, hits: Sequence[Hit], readings: Readings, replicas: int) -> None:
    """Fill the step's readings.

    Args:
        step: whose `readings` and `unlearned` are filled.
        candidates: of the step.
        hits: what was asked.
        readings: parallel to `hits`.
        replicas: by how many a degraded count is multiplied.
    """
    values = step.readings
    for hit, value in zip(hits, readings.values, strict=True):
        signal = hit.signal
        if signal.kind is SignalKind.FAMILIAR:
            _take_familiar(step, candidates.plans[signal.name], hit, value)
            continue
        scaled = value * replicas if readings.degraded and signal.kind in _SCALED else value
        if scaled > values.get(signal.name, -1):
            values[signal.name] = scaled


def _take_familiar(step: Step, plan: SignalPlan, hit: Hit, value: int) -> None:
    """One instance that has learned enough speaks before all that have not."""
    found = unpack_familiarity(value)
    name = plan.signal.name
    learned = found.age_s * 1000 >= plan.learn_ms and found.events >= plan.learn_count
    known = found.known
    if plan.word is SignalWord.MARK:
        told = {name: int(found.members > 0), f"{name}.by_other": int(found.members > known)}
    elif plan.word is SignalWord.FIRST_SEEN:
        told = {name: int(bool(hit.member) and not known)}
    else:
        told = {name: found.members, f"{name}.has": int(known)}
    told[f"{name}.age"] = found.age_s
    values = step.readings
    before = name in values
    if learned and name in step.unlearned:
        step.unlearned -= {name}
        before = False
    elif not learned:
        if before and name not in step.unlearned:
            return
        step.unlearned |= {name}
    for key, told_value in told.items():
        if not before:
            values[key] = told_value
        elif plan.reads_credential and key.endswith(".has"):
            # One known credential of several does not make the others known.
            values[key] = min(told_value, values[key])
        else:
            values[key] = max(told_value, values[key])
