"""The signals of a policy compiled: what a store keeps of each, and how much."""

from collections.abc import Sequence
from typing import Final

from authz_server.errors import Fault
from authz_server.policy.entries import Fed, SignalEntry, SignalWord
from authz_server.policy.rule import Rule
from authz_server.policy.signalplan import signal_id
from authz_server.signals import Signal, SignalKind

DEFAULT_COUNT_CAP: Final = 1_000_000
"""Where a count saturates when no rule compares it with a constant."""
DEFAULT_DISTINCT_CAP: Final = 64
"""Members that are kept when no rule compares the signal with a constant: 14 bytes each."""
FAMILIAR_CAP: Final = 256
"""What one entity can be familiar with at least, 3.5 KiB: more than a workload's destinations, fewer than a crawler's pages."""
MARK_CAP: Final = 4
"""Setters of a mark that are remembered: one more than the last would hide behind a second that sets it again."""
MAX_DISTINCT_CAP: Final = 1024
"""A list of more members costs the store more per step than the rest of the decision."""
MAX_COUNT_CAP: Final = 1 << 31
"""What a stored count has room for."""
MAX_COUNT_PRODUCT: Final = 1 << 53
"""Limit times window: where whole numbers stop being exact in the store's arithmetic."""
LARGE_DISTINCT_CAP: Final = 64
"""From here on the cost of a list is worth a warning."""
_DESTINATIONS: Final = frozenset({"destination", "destination.service", "destination.principal"})
_LISTS: Final = frozenset({SignalKind.DISTINCT, SignalKind.FAMILIAR})


def kind_of(entry: SignalEntry) -> SignalKind:
    """What a store keeps for a signal of the language."""
    if entry.word is SignalWord.COUNT:
        # One destination's answers say something about that destination only: across them, how many said so counts.
        spreads = entry.fed is Fed.OUTCOMES and _DESTINATIONS.isdisjoint((*entry.per, *entry.each))
        return SignalKind.DISTINCT if spreads else SignalKind.COUNT
    if entry.word is SignalWord.DISTINCT:
        return SignalKind.DISTINCT if entry.fed is Fed.STEPS else SignalKind.FAMILIAR
    return _KINDS[entry.word]


_KINDS: Final = {
    SignalWord.SEQUENCE: SignalKind.SEQUENCE,
    SignalWord.FIRST_SEEN: SignalKind.FAMILIAR,
    SignalWord.MARK: SignalKind.FAMILIAR,
    SignalWord.SCORE: SignalKind.LEVEL,
    SignalWord.WALK: SignalKind.LEVEL,
    SignalWord.BUDGET: SignalKind.BUDGET,
}


def compile_signals(
    entries: Sequence[SignalEntry], rules: Sequence[Rule], faults: list[Fault], warnings: list[Fault]
) -> dict[str, Signal]:
    """What a store keeps of each signal, by name; how much of it follows from the limits that rules compare it with."""
    limits: dict[str, int] = {}
    for rule in rules:
        for name, found in rule.limits.items():
            limits[name] = max(limits.get(name, 0), *found)
    computed = frozenset(name for rule in rules for name in rule.computed)
    signals = {}
    for entry in entries:
        signal = _signal(entry, limits.get(entry.name), computed=entry.name in computed)
        compared = entry.name in limits and entry.name not in computed
        _check_size(entry, signal, compared=compared, faults=faults, warnings=warnings)
        signals[entry.name] = signal
    return signals


def _signal(entry: SignalEntry, limit: int | None, *, computed: bool) -> Signal:
    kind = kind_of(entry)
    # A cap may change without losing what was counted, and so may what feeds it.
    what = (entry.name, kind, entry.members, entry.stages, entry.per, entry.each, entry.window_ms, entry.half_life_ms)
    return Signal(
        entry.name,
        signal_id(*what),
        kind,
        entry.window_ms,
        max(_cap(entry, kind, limit), _cap(entry, kind, None)) if computed else _cap(entry, kind, limit),
        entry.half_life_ms,
        len(entry.stages),
        entry.ring,
        entry.share,
    )


def _cap(entry: SignalEntry, kind: SignalKind, limit: int | None) -> int:
    if entry.word is SignalWord.MARK:
        return MARK_CAP
    if kind is SignalKind.COUNT:
        # Twice the limit: a caller who keeps trying cannot push its own recovery away for ever.
        return 2 * limit + 2 if limit is not None and limit >= 0 else DEFAULT_COUNT_CAP
    if kind is SignalKind.DISTINCT:
        return max(1, limit + 1) if limit is not None else DEFAULT_DISTINCT_CAP
    if kind is SignalKind.FAMILIAR:
        return max(FAMILIAR_CAP, (limit or 0) + 1)
    if kind is SignalKind.BUDGET:
        return max(1, limit) if limit is not None else DEFAULT_COUNT_CAP
    return entry.cap


def _check_size(
    entry: SignalEntry, signal: Signal, *, compared: bool, faults: list[Fault], warnings: list[Fault]
) -> None:
    cap = signal.cap
    if signal.kind in {SignalKind.COUNT, SignalKind.BUDGET} and (
        cap >= MAX_COUNT_CAP or cap * entry.window_ms >= MAX_COUNT_PRODUCT
    ):
        faults.append(entry.where.fault("a rule compares it with more than can be counted in its window"))
    if signal.kind not in _LISTS:
        return
    if cap > MAX_DISTINCT_CAP:
        message = f"a rule compares it with {cap - 1}: at most {MAX_DISTINCT_CAP - 1} members can be told apart"
        faults.append(entry.where.fault(message))
    elif signal.kind is SignalKind.DISTINCT and cap > LARGE_DISTINCT_CAP:
        warnings.append(entry.where.fault(f"keeps up to {cap} members, about {14 * cap} bytes for each entity"))
    elif signal.kind is SignalKind.DISTINCT and not compared:
        # Only a plain comparison shows how many members have to be told apart.
        warnings.append(entry.where.fault(f"no rule compares it with a constant, so it reads at most {cap + 1}"))
