"""What a presented credential brings along: the past of the lineage under which it was first accepted.

Who presents another's credential reads the larger of its own past and of that one's, and writes only its own: a thief inherits
the past, and cannot stain the owner. What the owner is familiar with is not inherited, because it would speak for the thief;
nor is what others vouch for, or what a task has used up.
"""

from collections.abc import Iterable
from typing import Final

from authz_server.model import Entity
from authz_server.policy.entries import Fed, SignalWord
from authz_server.policy.facts import lineage_of, reader_of
from authz_server.policy.selector import EVERYTHING
from authz_server.policy.signalplan import SignalPlan, signal_id
from authz_server.policy.step import Step
from authz_server.signals import Hit, Signal, SignalKind, unpack_familiarity

OWNER: Final = "lineage:"
"""Name of the hidden signal by which the outcome of a step says whose its credentials are, and type of what it is about; no signal
that somebody wrote down has a `:` in its name."""
_DAY_MS: Final = 86_400_000
_LINEAGE: Final = "lineage"


def is_heritable(plan: SignalPlan) -> bool:
    """Whether who presents another lineage's credential reads the signal of that lineage, too."""
    if plan.vouches or plan.signal.kind is SignalKind.BUDGET:
        return False
    if plan.signal.kind is SignalKind.FAMILIAR and plan.word is not SignalWord.MARK:
        return False
    return any(word == _LINEAGE for word, _ in (*plan.per, *plan.each))


def owner_plan() -> SignalPlan:
    """How the outcome of an allowed step tells whose the credentials are that it presented: one hit for each of them.

    No store keeps the signal: its hits are claims, see `claims_of`.
    """
    read = reader_of("credential")
    assert read is not None  # noqa: S101 - a word of the language
    return SignalPlan(
        signal=Signal(OWNER, signal_id(OWNER), SignalKind.DISTINCT, _DAY_MS, 1),
        word=SignalWord.FIRST_SEEN,  # only what succeeded counts
        fed=Fed.OUTCOMES,
        selector=EVERYTHING,
        exclude=None,
        when=None,
        mark=None,
        per=((OWNER, read),),
        each=(),
        members=(lineage_of,),
        stages={},
        weights={},
        reads_credential=True,
    )


def claims_of(hits: Iterable[Hit]) -> tuple[tuple[str, str], ...]:
    """Credentials and the lineages that claim them, of hits among which some are those of `owner_plan`; nobody claims none."""
    return tuple([(hit.entity.parts[0], hit.member) for hit in hits if hit.signal.name == OWNER and hit.member])


def inherited_hits(plans: Iterable[SignalPlan], step: Step, lineage: str) -> list[Hit]:
    """What reads of another lineage's past what these signals keep of it, as if the step were that lineage's.

    Args:
        plans: of which `is_heritable` is true.
        step: that presents a credential of that lineage.
        lineage: in the form of `lineage_of`.
    """
    hits: list[Hit] = []
    for plan in plans:
        member = plan.read_member(step) if plan.word is SignalWord.MARK else ""
        entity, rest = _instance(plan, step, lineage)
        if all(rest) and all(entity.parts):
            hits.append(Hit(plan.signal, entity, rest, member, amount=0))
    return hits


def _instance(plan: SignalPlan, step: Step, lineage: str) -> tuple[Entity, tuple[str, ...]]:
    """Where the signal keeps what that lineage did."""
    if plan.each:
        # A caller without a task is its own lineage, and kept once, as the caller.
        kept_as_caller = " " not in lineage and any(word == "principal" for word, _ in plan.each)
        return Entity("principal" if kept_as_caller else _LINEAGE, (lineage,)), ()
    (first, value), *others = [(word, lineage if word == _LINEAGE else str(read(step))) for word, read in plan.per]
    return Entity(first, (value,)), tuple([value for _, value in others])


def exceeding(own: Iterable[tuple[Hit, int]], inherited: Iterable[tuple[Hit, int]]) -> frozenset[str]:
    """The signals of which the inherited reading is larger than the step's own.

    Args:
        own: what the step asked of its own past, and the readings.
        inherited: what it asked of another's.
    """
    known: dict[str, int] = {}
    for hit, value in own:
        known[hit.signal.name] = max(known.get(hit.signal.name, 0), _weight(hit, value))
    return frozenset(
        [hit.signal.name for hit, value in inherited if _weight(hit, value) > known.get(hit.signal.name, 0)]
    )


def _weight(hit: Hit, value: int) -> int:
    return unpack_familiarity(value).members if hit.signal.kind is SignalKind.FAMILIAR else value
