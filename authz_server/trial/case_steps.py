"""The steps of a case, one after the other on its clock."""

from typing import Final, NamedTuple

from authz_server.model import Outcome
from authz_server.policy.fields import Fields, Scope
from authz_server.policy.tree import Node, Where
from authz_server.trial.case_drafts import Draft, read_draft
from authz_server.trial.case_times import read_at, read_span
from authz_server.trial.case_words import OUTCOME_FIELDS, STEP_FIELDS, CasePlace
from authz_server.trial.described import Described
from authz_server.trial.expect import MAX_STATUS, Expected, read_expectation

MAX_DECISIONS: Final = 100_000
"""Of one case, repetitions included: ten seconds."""
MAX_NOTE: Final = 4096
_MAX_BYTES: Final = 2**53
_OK: Final = 200


class CaseStep(NamedTuple):
    """One step of a case."""

    number: int
    """From 1."""
    at: float
    """Of its first repetition, in Unix seconds."""
    described: Described
    repeat: int
    every: float
    """Seconds between two repetitions."""
    expect: Expected
    """Of the last repetition."""
    expect_each: Expected
    note: str
    where: Where


class StepReader:
    """Reads the steps of one case in their order."""

    __slots__ = ("_count", "_decisions", "_defaults", "_now", "_scope", "_start")

    def __init__(self, defaults: Draft, start: float, scope: Scope) -> None:
        """Take what the steps share.

        Args:
            defaults: what a step does not say.
            start: of the case, in Unix seconds.
            scope: receives the faults.
        """
        self._defaults = defaults
        self._start = start
        self._scope = scope
        self._now = start
        self._count = 0
        self._decisions = 0

    def read(self, node: Node) -> CaseStep:
        """Read the next step."""
        fields = Fields(node, CasePlace.STEP, STEP_FIELDS, self._scope)
        at = read_at(fields, self._start, self._now)
        described = read_draft(fields, self._scope).over(self._defaults).describe(self._start, at)
        outcome, after = self._outcome(fields)
        repeat, every = fields.whole("repeat", 1, MAX_DECISIONS, 1), read_span(fields, "every")
        if "every" in fields and repeat == 1:
            fields.fault("`every` says how far repetitions are apart, and there are none: `repeat` is missing", "every")
        self._now = at + (repeat - 1) * every
        self._count += 1
        before, self._decisions = self._decisions, self._decisions + repeat
        if before <= MAX_DECISIONS < self._decisions:
            fields.fault(f"a case makes at most {MAX_DECISIONS} decisions, all repetitions together", "repeat")
        return CaseStep(
            number=self._count,
            at=at,
            described=described._replace(outcome=outcome, after_s=after),
            repeat=repeat,
            every=every,
            expect=read_expectation(fields.node_of("expect"), self._scope),
            expect_each=read_expectation(fields.node_of("expect_each"), self._scope),
            note=fields.text("note", most=MAX_NOTE),
            where=fields.node,
        )

    def _outcome(self, fields: Fields) -> tuple[Outcome | None, float]:
        """What the destination answers, and how many seconds later."""
        node = fields.node_of("outcome")
        if node is None:
            return None, 0.0
        found = Fields(node, CasePlace.OUTCOME, OUTCOME_FIELDS, self._scope)
        failed = found.scalar("failed") if "failed" in found else False
        if not isinstance(failed, bool):
            found.fault("true or false is expected", "failed")
        status = found.whole("status", 0, MAX_STATUS, 0 if failed else _OK)
        return Outcome(status, found.whole("bytes", 0, _MAX_BYTES), failed=failed is True), read_span(found, "after")
