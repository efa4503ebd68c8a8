"""How the steps feed the signals: whose instance, which member, which stage, and when."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Final, NamedTuple

from authz_server.model import Entity, Principal
from authz_server.policy.entries import Fed, SignalWord
from authz_server.policy.program import Program
from authz_server.policy.selector import Key, Selector, key_of
from authz_server.policy.step import Reader, Step
from authz_server.signals import Hit, Signal, SignalKind

_OF_THE_KEY: Final = frozenset(
    {
        "principal",
        "principal.id",
        "action",
        "action.name",
        "action.kind",
        "action.stage",
        "action.sensitivity",
        "destination",
        "destination.service",
        "task",
        "task.template",
    }
)
"""Words whose values are the same for all steps of a candidate key."""
_SEVERAL: Final = 2
DISCOVERED: Final = 1
"""The `stage` of a walk's hit while it waits for its outcome: the step was a discovery."""


class SignalPlan(NamedTuple):
    """How one signal is fed by a step.

    *Pressure* (steps, and a budget's reservation) is measured with the step, by every step that the selector is about; the
    others read it through a plan that is `only_read`. Everything else is read by every step, and fed after the answer or
    after the outcome by those that the selector is about.
    """

    signal: Signal
    word: SignalWord
    fed: Fed
    selector: Selector
    exclude: Selector | None
    when: Program | None
    mark: Program | None
    """mark: the condition that sets it."""
    per: tuple[tuple[str, Reader], ...]
    """The words of the composite key and their readers."""
    each: tuple[tuple[str, Reader], ...]
    """The words that each get an instance of their own."""
    members: tuple[Reader, ...]
    """What makes the member; several are joined."""
    stages: Mapping[str, int]
    weights: Mapping[str, int]
    reads_credential: bool = False
    """Whether its key or its member is the credential, of which a step may present several."""
    learn_ms: int = 0
    learn_count: int = 0
    vouches: bool = False
    """Counts the proxies that report what another signal counts; a gateway needs no second one."""
    only_read: bool = False
    """Feeds nothing: it stands beside the plan that does, for the rules on steps which that one is not about."""

    @property
    def is_pressure(self) -> bool:
        """Whether it is measured with the step."""
        if self.only_read:
            return False
        return self.word is SignalWord.BUDGET or (
            self.fed is Fed.STEPS and self.word in {SignalWord.COUNT, SignalWord.DISTINCT, SignalWord.SEQUENCE}
        )

    @property
    def _is_told_apart(self) -> bool:
        """Whether a member that is read would be added: a store keeps its list as that of a signal which steps feed."""
        return self.signal.kind is SignalKind.DISTINCT and not self.is_pressure

    @property
    def is_fed_by_answers(self) -> bool:
        """Whether the decision on a step feeds it, or gives back what it reserved."""
        return not self.only_read and (self.word is SignalWord.BUDGET or self.fed in {Fed.ALLOWED, Fed.DENIED})

    def has_fixed_keys(self, key: Key) -> bool:
        """Whether all steps of this candidate key measure the same instances; only the member may differ."""
        words = {word for word, _ in (*self.per, *self.each)}
        if not key.template:
            words.discard("lineage")
        if self.vouches or self._is_told_apart or not words <= _OF_THE_KEY:
            return False
        exclude = self.exclude
        return not self.is_pressure or not (
            self.when is not None or self.selector.dynamic or (exclude is not None and exclude.dynamic)
        )

    def applies(self, key: Key) -> bool:
        """Whether steps of this candidate key can feed the signal."""
        if not self.selector.holds_statically(key):
            return False
        exclude = self.exclude
        return exclude is None or bool(exclude.dynamic) or not exclude.holds_statically(key)

    def counts(self, step: Step) -> bool:
        """Whether this step, whose key applies, feeds the signal; a filter that cannot be evaluated counts."""
        if (self.vouches and not step.reporter) or not self.selector.holds_dynamically(step):
            return False
        exclude = self.exclude
        if (
            exclude is not None
            and exclude.dynamic
            and exclude.holds_dynamically(step)
            and exclude.holds_statically(key_of(step))
        ):
            return False
        return self.when is None or self.fed is Fed.OUTCOMES or self.when.value(step) is not False

    def feed(self, step: Step, hits: list[Hit], amount: int) -> None:
        """Append the step's hits, each of this amount; nothing when an entity is absent.

        Every presented credential counts: one that is sent in front must not hide the one behind it.
        """
        if not self.reads_credential or len(step.request.credentials) < _SEVERAL:
            self.feed_as(step, self.read_member(step), hits, amount)
            return
        for position in range(len(step.request.credentials)):
            step.chosen = position
            self.feed_as(step, self.read_member(step), hits, amount)
        step.chosen = 0

    def read_member(self, step: Step) -> str:
        """The member that this step stands for; `""` when a part of it is absent, which only reads."""
        members = self.members
        if not members:
            return ""
        if len(members) == 1:
            return str(members[0](step))
        known = step.members.get(members) if not step.chosen else None
        if known is None:
            # Of a walk or a mark: a part may be absent, and lengths keep one text from imitating two.
            texts = [str(read(step)) for read in members]
            known = "".join([f"{len(text)}:{text}" for text in texts])
            if not step.chosen:  # several signals often remember the same
                step.members[members] = known
        return known

    def feed_as(self, step: Step, member: str, hits: list[Hit], amount: int) -> None:
        """Like `feed`, with the member given; with amount 0 nothing of it is stored."""
        signal = self.signal
        stage = self.stages.get(step.action.stage, -1) if self.stages and amount else -1
        if not amount and signal.kind is SignalKind.DISTINCT:
            member = ""
        group = step.reporter or step.service if signal.share else ""
        if self.each:
            for word, read in self.each:
                if word == "lineage" and step.task is None and any(other == "principal" for other, _ in self.each):
                    continue  # without a task the caller itself, which is measured beside it
                entity = _entity(step, word, read)
                if entity is not None:
                    hits.append(Hit(signal, entity, (), member, stage, amount, group))
            return
        (word, read), *others = self.per
        entity = _entity(step, word, read)
        if entity is None:
            return
        rest = tuple([str(read(step)) for _, read in others]) if others else ()
        if all(rest):
            hits.append(Hit(signal, entity, rest, member, stage, amount, group))


def _entity(step: Step, word: str, read: Reader) -> Entity | None:
    """Whom a word means in this step, made once; None when it means nobody."""
    known = step.entities
    if word in known and not step.chosen:
        return known[word]
    value = str(read(step))
    entity = Entity(word, (value,)) if value else None
    if not step.chosen:
        known[word] = entity
    return entity


def signal_id(*parts: object) -> str:
    """The id of a signal: 8 hexadecimal digits over everything that gives the stored value its meaning."""
    return sha256(repr(parts).encode()).hexdigest()[:8]


class _StandIn:
    """As much of a step as the words of `_OF_THE_KEY` read."""

    __slots__ = ("action", "chosen", "entities", "principal", "reporter", "service", "task")

    def __init__(self, key: Key) -> None:
        self.chosen = 0
        self.entities: dict[str, Entity | None] = {}
        self.action = key.action
        self.principal = Principal(key.principal, "", "", "", "") if key.principal else None
        self.service = key.service
        self.reporter = ""
        self.task = _Template(key.template) if key.template else None


class _Template(NamedTuple):
    """As much of a task, in the place where `Task` has it."""

    template: str


def stand_in(key: Key) -> Step:
    """A step of this candidate key, for the signals that depend on nothing else of it."""
    return _StandIn(key)  # type: ignore[return-value] # the readers that meet it read nothing more
