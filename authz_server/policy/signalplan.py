"""How the steps feed the signals: whose instance, which member, which stage."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from authz_server.model import Entity, Principal
from authz_server.policy.facts import Reader, Step
from authz_server.policy.program import Program
from authz_server.policy.rule import Key, Selector, key_of
from authz_server.signals import Hit, Signal, SignalKind

_OF_THE_KEY: Final = frozenset(
    {
        "principal",
        "principal.id",
        "lineage",
        "action",
        "action.name",
        "action.kind",
        "action.stage",
        "action.sensitivity",
    }
)
"""Words whose values are the same for all steps of a candidate key."""


class SignalPlan(NamedTuple):
    """How one signal is fed by a step."""

    signal: Signal
    selector: Selector
    exclude: Selector | None
    when: Program | None
    per: tuple[tuple[str, Reader], ...]
    """The words of the composite key and their readers."""
    each: tuple[tuple[str, Reader], ...]
    """The words that each get an instance of their own."""
    member: Reader | None
    stages: Mapping[str, int]
    reads_credential: bool = False
    """Whether its key or its member is the credential, of which a step may present several."""

    @property
    def has_fixed_keys(self) -> bool:
        """Whether all steps of one candidate key count, and under the same keys; only the member may differ."""
        words = {word for word, _ in (*self.per, *self.each)}
        depends = self.when is not None or self.selector.dynamic or (self.exclude is not None and self.exclude.dynamic)
        return words <= _OF_THE_KEY and not depends

    def applies(self, key: Key) -> bool:
        """Whether steps of this candidate key can feed the signal."""
        if not self.selector.holds_statically(key):
            return False
        exclude = self.exclude
        return exclude is None or bool(exclude.dynamic) or not exclude.holds_statically(key)

    def counts(self, step: Step) -> bool:
        """Whether this step feeds the signal; a filter that cannot be evaluated counts."""
        if not self.selector.holds_dynamically(step):
            return False
        exclude = self.exclude
        if (
            exclude is not None
            and exclude.dynamic
            and exclude.holds_dynamically(step)
            and exclude.holds_statically(key_of(step))
        ):
            return False
        return self.when is None or self.when.value(step) is not False

    def feed(self, step: Step, hits: list[Hit]) -> None:
        """Append what the step contributes; nothing when an entity is absent.

        Every presented credential counts: one that is sent in front must not hide the one behind it.
        """
        if not self.reads_credential or len(step.request.credentials) < 2:  # noqa: PLR2004 - several
            self.feed_as(step, self.read_member(step), hits)
            return
        for position in range(len(step.request.credentials)):
            step.chosen = position
            self.feed_as(step, self.read_member(step), hits)
        step.chosen = 0

    def read_member(self, step: Step) -> str:
        """The value that a distinct signal counts."""
        return str(self.member(step)) if self.member is not None else ""

    def feed_as(self, step: Step, member: str, hits: list[Hit]) -> None:
        """Like `feed`, with the member given."""
        stage = self.stages.get(step.action.stage, -1) if self.signal.kind is SignalKind.SEQUENCE else -1
        if self.each:
            for word, read in self.each:
                value = str(read(step))
                if value:
                    hits.append(Hit(self.signal, Entity(word, (value,)), (), member, stage))
            return
        values = [str(read(step)) for _, read in self.per]
        if all(values):
            hits.append(Hit(self.signal, Entity(self.per[0][0], (values[0],)), tuple(values[1:]), member, stage))


class _StandIn:
    """As much of a step as the words of `_OF_THE_KEY` read."""

    __slots__ = ("action", "principal")

    def __init__(self, key: Key) -> None:
        self.action = key.action
        self.principal = Principal(key.principal, "", "", "", "") if key.principal else None


def stand_in(key: Key) -> Step:
    """A step of this candidate key, for the signals that depend on nothing else of it."""
    return _StandIn(key)  # type: ignore[return-value] # the readers that meet it read nothing more
