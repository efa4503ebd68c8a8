"""Judges a history against a small model of the count signal and of containment, in the manner of Jepsen.

What is known of a step is when it was sent, when it was answered, and what was decided. So of two steps the one was surely
counted before the other only when it was answered before the other was sent, and was possibly counted before when it was
sent before the other was answered. A step that was decided with the store read a count of at least what was surely counted
and is not in a declared window of loss, and at most of what was possibly counted. A step decided without the store goes by
what its replica alone has seen, before and meanwhile, of which `limit / replicas` is allowed.

    judge(history, contained={"caught": moment}, limit=100, replicas=2, losses=[Loss(0.0, killed)])

raises AssertionError with what is wrong; what containment forbids, the counts, and errors are judged, each of which has its
own function too.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from tests.faults.history import History, Step

SHOWN = 5
"""Of the steps that are wrong, in a message."""


class Loss(NamedTuple):
    """Counts of steps that were answered at or after `begin` and sent at or before `end` may be lost."""

    begin: float
    end: float


LOCAL_S = 29.0
"""So long an identity's reads go by local counts, less a second for what lies between here and the server; then denied."""
REMEMBERED = 128
"""Steps of one identity that a replica surely remembers for the time without the store."""
EVERYTHING = 0.0
"""The beginning of a loss of all counts, as by FLUSHALL."""


def judge(
    history: History,
    *,
    contained: Mapping[str, float],
    limit: int,
    replicas: int = 2,
    losses: Sequence[Loss] = (),
    errors: Collection[str] = (),
    statuses: Collection[int] = (200, 403, 429),
) -> None:
    """Judge everything.

    Args:
        history: whose steps count on the signal `calls` of `harness.policy`.
        contained: identities, and since when every replica knows that they are contained.
        limit: of the policy's rule `too-fast`.
        replicas: how many there are, as they are configured.
        losses: windows in which counts may be lost.
        errors: gRPC statuses (or what Envoy answers without a decision) that this fault may cause.
        statuses: of HTTP that decisions may have, beside those 503 that the failure table asks for.
    """
    check_containment(history, contained)
    check_errors(history, errors, statuses)
    check_changes(history)
    for identity in history.identities:
        if identity not in contained:
            check_counts(history.of(identity), limit, replicas, losses)


def check_containment(history: History, contained: Mapping[str, float]) -> int:
    """Assert that no step was allowed that containment forbids; how many were refused."""
    steps = [each for each in history.steps if each.sent > contained.get(each.identity, float("inf"))]
    wrong = [each for each in steps if each.allowed]
    assert not wrong, f"{len(wrong)} steps of contained identities were allowed: {wrong[:SHOWN]}"
    return len(steps)


def check_errors(history: History, errors: Collection[str], statuses: Collection[int]) -> None:
    """Assert that nothing failed, and that nothing was refused, in another way than is admitted."""
    failed = Counter(each.error for each in history.errors if each.error not in errors)
    assert not failed, f"steps without a decision: {dict(failed)}: {_of(history, failed)}"
    others = [each for each in history.steps if not each.error and each.status not in statuses and not _is_due(each)]
    others += _too_early(history)
    assert not others, f"{len(others)} unexpected answers: {others[:SHOWN]}"


def _is_due(each: Step) -> bool:
    """Whether the step had to be refused with 503: it went without the store, and a rule must not."""
    return each.status == 503 and each.degraded and each.reason == "state_unavailable"


def _too_early(history: History) -> list[Step]:
    """Reads that were denied for want of the store before an identity has gone without it for `LOCAL_S`."""
    since: dict[str, float] = {}
    found = []
    for each in history.steps:
        if each.degraded:
            begun = since.setdefault(each.identity, each.sent)
            if each.status == 503 and each.method == "GET" and each.sent - begun < LOCAL_S:
                found.append(each)
    return found


def check_changes(history: History) -> int:
    """Assert that no change was allowed without the store; how many were refused."""
    steps = [each for each in history.steps if each.method == "PUT" and each.degraded]
    wrong = [each for each in steps if each.allowed]
    assert not wrong, f"{len(wrong)} changes were allowed without the store: {wrong[:SHOWN]}"
    return len(steps)


def _of(history: History, failed: Mapping[str, int]) -> list[Step]:
    return [each for each in history.errors if each.error in failed][:SHOWN]


def check_counts(history: History, limit: int, replicas: int, losses: Sequence[Loss] = ()) -> None:
    """Assert that every decision on one identity's steps lies within the bounds of the model."""
    (identity,) = history.identities
    sure = sorted(each.answered for each in _counted(history, losses))
    sent = [each.sent for each in history.steps]
    blind = [each.sent for each in history.steps if each.degraded or each.error]
    for each in history.steps:
        if each.error or each.degraded or each.reason == "contained":
            continue
        # Of what was answered before it was sent, all but what may be lost is in its reading, and so is the step itself.
        # Beyond the limit a reading need not grow any more.
        counted = bisect_left(sure, each.sent) + 1
        least = min(counted, limit + 1)
        # What a replica counted without the store may be added when it is back, beside the count of a call whose answer was lost.
        most = bisect_right(sent, each.answered) + bisect_right(blind, each.answered)
        if each.reading >= 0:
            assert least <= each.reading <= most, f"{identity} read {each.reading}, not {least} to {most}: {each}"
        if each.allowed:
            assert counted <= limit, f"{identity} has {counted} counted steps of {limit} and was allowed: {each}"
        elif each.status == 429:
            assert most > limit, f"{identity} has at most {most} steps of {limit} and was throttled: {each}"
    check_local_counts(history, limit, replicas)


def _counted(history: History, losses: Sequence[Loss]) -> Iterator[Step]:
    """The steps that the store counted for sure, and cannot have lost.

    A refusal whose reading is no larger than an earlier one may have been made without the store: who goes on against a limit
    is not asked about each time, and what it did is told a little later.
    """
    largest = 0
    for each in sorted(history.steps, key=lambda step: step.answered):
        if not _measured(each) or each.degraded:
            continue
        fresh = each.allowed or each.reading > largest
        largest = max(largest, each.reading)
        if fresh and not any(loss.begin <= each.answered and each.sent <= loss.end for loss in losses):
            yield each


def check_local_counts(history: History, limit: int, replicas: int) -> None:
    """Assert that a replica without the store allows no more than its share of the limit, what it saw before included."""
    for name in sorted({each.asked for each in history.steps}):
        steps = [each for each in history.steps if each.asked == name and _measured(each)]
        seen = sorted(each.answered for each in steps)
        for each in steps:
            if each.degraded and each.allowed:
                own = min(bisect_left(seen, each.sent), REMEMBERED) + 1
                assert own * replicas <= limit, (
                    f"{name} has seen {own} steps of {each.identity}, has {limit // replicas} of {limit} for it without "
                    f"the store, and allowed: {each}"
                )


def _measured(each: Step) -> bool:
    """Whether the step was counted somewhere."""
    return not each.error and each.reason != "contained" and (each.reading >= 0 or each.allowed)
