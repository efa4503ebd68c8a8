"""How steps feed the signals of a policy, compiled; and the hidden signals that stand behind them."""

from collections.abc import Iterable, Mapping

from authz_server.errors import Fault
from authz_server.policy.catalogue import Catalogue
from authz_server.policy.conditions import Conditions
from authz_server.policy.entries import Fed, LegacyEntry, SignalEntry, SignalWord
from authz_server.policy.program import Program
from authz_server.policy.rule import Rule
from authz_server.policy.scopes import Scopes
from authz_server.policy.signalplan import SignalPlan, signal_id
from authz_server.policy.step import LEGACY, Reader, Step
from authz_server.policy.vocabulary import rate_signal
from authz_server.signals import Signal, SignalKind


class Plans:
    """Compiles the signals of one policy."""

    __slots__ = ("_catalogue", "_faults", "_scopes", "_signals")

    def __init__(
        self, signals: Mapping[str, Signal], catalogue: Catalogue, scopes: Scopes, faults: list[Fault]
    ) -> None:
        """Take what a store keeps of each signal, and where complaints go."""
        self._signals = signals
        self._catalogue = catalogue
        self._scopes = scopes
        self._faults = faults

    def compile(self, entry: SignalEntry, conditions: Conditions) -> SignalPlan | None:
        """Compile one signal with the conditions of its owner; None after a fault was recorded."""
        selectors = self._scopes.compile(entry)
        when = self._filter(entry, entry.when, "when", conditions)
        mark = self._filter(entry, entry.mark, "mark", conditions)
        per = conditions.key_readers(entry.per, entry.where, "per")
        each = conditions.key_readers(entry.each, entry.where, "each")
        members = conditions.key_readers(entry.members, entry.where, entry.word.value)
        if selectors is None or (not per and not each) or len(members) < len(entry.members):
            return None
        words = (*entry.members, *entry.per, *entry.each)
        signal = self._signals[entry.name]
        return SignalPlan(
            signal=signal,
            word=entry.word,
            fed=entry.fed,
            selector=selectors[0],
            exclude=selectors[1],
            when=when,
            mark=mark,
            per=per,
            each=each,
            members=self._members(entry, signal, conditions) or tuple(read for _, read in members),
            stages={stage: index for index, stage in enumerate(entry.stages)},
            weights=entry.weights,
            reads_credential=any(word.partition(".")[0] == "credential" for word in words),
            learn_ms=entry.learn_ms,
            learn_count=entry.learn_count,
        )

    def _members(self, entry: SignalEntry, signal: Signal, conditions: Conditions) -> tuple[Reader, ...]:
        """What makes the member of a signal that does not say so itself."""
        if entry.word is SignalWord.MARK:
            return (*(read for _, read in conditions.key_readers(("principal",), entry.where, "mark")), _credentials)
        spreads = entry.word is SignalWord.COUNT and signal.kind is SignalKind.DISTINCT
        return (_destination,) if spreads else ()

    def _filter(self, entry: SignalEntry, text: str, key: str, conditions: Conditions) -> Program | None:
        if not text:
            return None
        if entry.fed is Fed.OUTCOMES and key == "when":
            return conditions.outcome(text, entry.where)
        program = conditions.boolean(text, entry.where, key, self._scopes.touched(entry))
        if program is not None and conditions.signals_of(program):
            message = "the filter of a signal cannot read signals: it is evaluated before the readings"
            self._faults.append(entry.where.fault(message, key))
        return program

    def rate(self, entry: LegacyEntry, conditions: Conditions) -> SignalPlan:
        """The hidden signal that counts a legacy caller's steps."""
        steps, window = entry.rate
        name = rate_signal(entry.name)
        signal = Signal(name, signal_id(name, window), SignalKind.COUNT, window, 2 * steps + 2)
        return SignalPlan(
            signal=signal,
            word=SignalWord.COUNT,
            fed=Fed.STEPS,
            selector=self._scopes.selectors.compile({"principal": (f"{LEGACY}{entry.name}",)}),
            exclude=None,
            when=None,
            mark=None,
            per=conditions.key_readers(("principal",), entry.where, "rate"),
            each=(),
            members=(),
            stages={},
            weights={},
        )


def is_read_elsewhere(entry: SignalEntry, rules: Iterable[Rule]) -> bool:
    """Whether a rule reads the signal on steps that it may not be about; what it then reads is what others have fed."""
    if entry.when or entry.exclude:
        return True
    return any(
        rule.entry.match.get(key) != patterns
        for rule in rules
        if entry.name in rule.signals
        for key, patterns in entry.match.items()
    )


def _destination(step: Step) -> str:
    """Who answers, as well as it is known."""
    return step.service or step.request.destination_principal or step.request.host


def _credentials(step: Step) -> str:
    """All that the caller presents, in an order that it does not choose: one in front must not hide the one behind it."""
    return " ".join(sorted(credential.id for credential in step.request.credentials))
