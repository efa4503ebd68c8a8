"""A trace under a policy, or under two of them in lockstep, on a virtual clock: what becomes of each chain, and at what speed."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from authz_server.errors import AuthzError
from authz_server.trial.against import Differences
from authz_server.trial.lane import Lane
from authz_server.trial.scores import Scores
from authz_server.trial.trace import Trace

_BEAT: Final = 128
"""Steps between two words to whoever watches: some 30 ms."""


class Replayed(NamedTuple):
    """What came of a trace."""

    digest: str
    """Of the policy."""
    scores: Scores
    seconds: float
    """That it took."""
    differences: Differences | None
    """From the policy that was compared with, if there was one."""

    @property
    def steps(self) -> int:
        """Of the trace."""
        return self.scores.decisions.total()

    @property
    def speed(self) -> float:
        """Steps in a second."""
        return round(self.steps / self.seconds, 1) if self.seconds > 0 else 0.0

    def as_json(self) -> dict[str, Any]:
        """The one object that is printed."""
        found: dict[str, Any] = {
            "policy_digest": self.digest,
            "chains": self.scores.as_json(),
            "totals": {**self.scores.totals(), "steps_per_second": self.speed},
        }
        if self.differences is not None:
            found["against"] = self.differences.as_json()
        return found


def replay(
    trace: Trace,
    lane: Lane,
    against: Lane | None,
    monotonic: Callable[[], float],
    watch: Callable[[int], None] = lambda _: None,
) -> Replayed:
    """Decide all steps of a trace.

    Args:
        trace: read from its beginning.
        lane: the policy.
        against: the policy that it is compared with; it sees the same steps, and lets through and learns on its own.
        monotonic: a clock in seconds.
        watch: is told now and then how many steps were decided so far.

    Raises:
        TraceError: the trace is faulty; nothing is scored then.
    """
    scores = Scores()
    differences = Differences(against.digest) if against is not None else None
    begun = monotonic()
    for count, step in enumerate(trace, 1):
        try:
            event = lane.decide(step)
            chain = scores.add(step, event)
            if against is not None and differences is not None:
                differences.add(step, chain.steps, against.decide(step), event)
        except AuthzError as error:  # the trace asks for more than a replay holds, or contradicts itself
            raise trace.fault(step, str(error)) from None
        if not count % _BEAT:
            watch(count)
    return Replayed(lane.digest, scores, monotonic() - begun, differences)
