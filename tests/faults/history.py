"""What became of each step of a traffic, and what can be asked of it."""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import httpx
from envoy.service.auth.v3.external_auth_pb2 import CheckResponse

from tests.envoy_site import decision_of
from tests.faults import figures
from tests.faults.asking import field
from tests.faults.forms import now
from tests.faults.harness import Ground

RECORDS_S = 5.0
"""How long the records of the last decisions may take to reach the file."""
CANCELLED = "cancelled"


class Step(NamedTuple):
    """One step and its answer."""

    identity: str
    number: int
    """Of all steps of the traffic."""
    asked: str
    """The replica that decided; `""` when nobody knows."""
    method: str
    sent: float
    answered: float
    status: int = 0
    """Of HTTP: 200 when it was allowed; 0 without an answer."""
    decision: str = ""
    reason: str = ""
    rule: str = ""
    detail: str = ""
    degraded: bool = False
    policy: str = ""
    decision_id: str = ""
    error: str = ""
    """A gRPC status, `cancelled`, or what Envoy answered without a decision."""
    reading: int = -1
    """Of the signal `calls`, from the server's record; -1 when it was not read."""

    @property
    def allowed(self) -> bool:
        """Whether the step passed."""
        return self.status == 200

    @property
    def took(self) -> float:
        """Seconds."""
        return self.answered - self.sent


class History:
    """All steps of a traffic, in the order in which they were sent."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = sorted(steps, key=lambda each: each.sent)

    def of(self, identity: str) -> "History":
        """Those of one identity."""
        return History([each for each in self.steps if each.identity == identity])

    def between(self, begin: float, end: float = float("inf")) -> "History":
        """Those sent in a span of time."""
        return History([each for each in self.steps if begin <= each.sent < end])

    @property
    def identities(self) -> list[str]:
        """Who made them."""
        return sorted({each.identity for each in self.steps})

    @property
    def errors(self) -> list[Step]:
        """Those without a decision, but for those that the client gave up."""
        return [each for each in self.steps if each.error and each.error != CANCELLED]

    @property
    def degraded(self) -> list[Step]:
        """Those decided without the store."""
        return [each for each in self.steps if each.degraded]

    def refused_with(self, status: int) -> list[Step]:
        """Those that a decision answered with this status."""
        return [each for each in self.steps if each.status == status and not each.error]

    def p(self, share: float) -> float:
        """Seconds within which this share of the steps was answered."""
        return figures.percentile([each.took for each in self.steps if not each.error], share)

    def figures(self) -> str:
        """How many steps, errors and refusals, as a part of a line of figures."""
        return (
            f"{figures.number(len(self.steps))} steps, {len(self.errors)} gRPC errors, "
            f"{figures.number(len(self.degraded))} degraded, {len(self.refused_with(503))} x 503, "
            f"p50 {figures.ms(self.p(0.5))}, p99 {figures.ms(self.p(0.99))}"
        )

    def first_degraded(self, since: float) -> float | None:
        """How long after a moment the first step was answered without the store."""
        return next((each.answered - since for each in self.steps if each.sent >= since and each.degraded), None)

    def first_sound(self, since: float) -> float | None:
        """How long after a moment the first step was answered with the store again."""
        return next((each.answered - since for each in self.steps if each.sent >= since and each.reading >= 0 and not each.degraded), None)  # fmt: skip

    def breaker_opened(self, since: float, budget_s: float) -> float | None:
        """How long after a moment the store was no longer waited for.

        That is when the last of the first waits ended: the end of the last step of the slow ones before the first run of
        ten degraded answers that all took less than half of the budget.
        """
        later = [each for each in self.steps if each.sent >= since and each.degraded]
        fast = [each.took < budget_s / 2 for each in later]
        start = next((place for place in range(len(fast) - 9) if all(fast[place : place + 10])), None)
        return None if start is None else max(0.0, later[start].answered - since)


def read(made: Step, answer: Any) -> Step:
    """Add to a step what its answer says: the bytes of a CheckResponse, an answer of Envoy, or None."""
    if isinstance(answer, httpx.Response):
        try:
            return made._replace(status=answer.status_code, decision_id=decision_of(answer))
        except (ValueError, KeyError):
            return made._replace(status=answer.status_code, error=f"{answer.status_code} without a decision")
    if answer is None:
        return made
    parsed = CheckResponse.FromString(answer)
    fields = parsed.dynamic_metadata.fields
    return made._replace(
        status=parsed.denied_response.status.code if parsed.status.code else 200,
        decision=field(parsed, "decision"),
        reason=field(parsed, "reason"),
        rule=field(parsed, "rule"),
        detail=field(parsed, "detail"),
        degraded=fields["degraded"].bool_value if "degraded" in fields else False,
        policy=field(parsed, "policy_digest"),
        decision_id=field(parsed, "decision_id"),
    )


def records(site: Ground, wanted: set[str]) -> dict[str, tuple[str, dict[str, Any]]]:
    """Find the servers' records; those of a server that was killed may be missing."""
    limit = now() + RECORDS_S
    while True:
        found = {
            entry["decision_id"]: (replica.name, entry)
            for replica in site.replicas
            for entry in replica.records()
            if entry["decision_id"] in wanted
        }
        if len(found) == len(wanted) or now() > limit:
            return found
        time.sleep(0.1)


def joined(made: Step, found: tuple[str, dict[str, Any]] | None) -> Step:
    """Add to a step what the record of the server says."""
    if found is None:
        return made
    name, record = found
    return made._replace(
        asked=name,
        decision=record["decision"],
        reason=record["reason"],
        rule=record.get("rule", ""),
        detail=record.get("detail", ""),
        degraded=bool(record.get("degraded")),
        policy=record["policy_digest"],
        reading=record["readings"].get("calls", {}).get("value", -1),
    )
