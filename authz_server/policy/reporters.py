"""Who vouches for a measurement: the proxies that reported the steps which a signal counts.

A proxy that speaks for one workload can make steps up, with any caller it likes. What it says alone is enough to keep that
caller away from its own workload, and for nothing beyond it; two of them, or a gateway, are believed.
"""

from typing import Final

from authz_server.policy.entries import Fed, SignalWord
from authz_server.policy.signalplan import SignalPlan, signal_id
from authz_server.policy.step import Step
from authz_server.signals import Signal, SignalKind

TWO_REPORTERS: Final = 2
"""So many proxies have to vouch before a rule contains a caller beyond the one destination."""
REPORTERS: Final = "reporters:"
"""Before the name of the signal that they vouch for; no signal that somebody wrote down has a `:` in its name."""


def reporter_name(signal: str) -> str:
    """The name of the hidden signal that tells how many proxies vouch for another."""
    return f"{REPORTERS}{signal}"


def can_be_vouched_for(plan: SignalPlan) -> bool:
    """Whether others can have reported what the signal tells: what is new to a caller is only ever said by who asks now."""
    return plan.signal.kind is not SignalKind.FAMILIAR or plan.word is SignalWord.MARK


def accuses(plan: SignalPlan) -> bool:
    """Whether the signal's reading speaks against a caller: the number of what it knows does not."""
    return plan.signal.kind is not SignalKind.FAMILIAR or plan.word is not SignalWord.DISTINCT


def reporter_plan(plan: SignalPlan) -> SignalPlan:
    """The distinct proxies that reported what raises a signal, under the same keys and fed by the same."""
    name = reporter_name(plan.signal.name)
    window = plan.signal.window_ms or plan.signal.half_life_ms
    vouching = plan._replace(
        signal=Signal(name, signal_id(name, plan.signal.id), SignalKind.DISTINCT, window, TWO_REPORTERS),
        members=(_Reporter(plan),),
        stages={},
        vouches=True,
    )
    # A budget too is told by what reserves in it, and nothing of this is ever given back.
    return vouching._replace(word=SignalWord.DISTINCT, fed=Fed.STEPS) if plan.is_pressure else vouching


class _Reporter:
    """Reads the proxy that reports a step, if the step raises the signal: one without a stage is no part of a chain."""

    __slots__ = ("_plan",)

    def __init__(self, plan: SignalPlan) -> None:
        self._plan = plan

    def __call__(self, step: Step) -> str:
        """Read the reporter; `""` for a step that the signal only reads."""
        plan = self._plan
        if plan.stages and step.action.stage not in plan.stages:
            return ""
        if plan.word is SignalWord.DISTINCT and not plan.read_member(step):
            return ""
        return step.reporter
