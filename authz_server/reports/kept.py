"""What the store keeps about an entity, with the names, limits and meanings that the policy gives it."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from authz_server.policy.entries import SignalWord
from authz_server.policy.snapshot import Snapshot
from authz_server.reports.kept_words import moment, span, words_of_state
from authz_server.state.admin import Kept, Stored
from authz_server.state.stored import decode_value, ends, falls_to, reading_at

_OF_THE_STEP: Final = frozenset({SignalWord.FIRST_SEEN, SignalWord.MARK})
"""What rules compare of these is not how many are known, but whether the step's own value is."""


class Limit(NamedTuple):
    """What rules compare a signal with: they match above it."""

    limit: int
    rules: tuple[str, ...]
    falls_ms: int
    """Milliseconds without a step after which the reading is no longer above it; 0 when it is not."""


class Instance(NamedTuple):
    """One stored instance of a signal."""

    signal: str
    """Its name; `""` when this policy has no such signal, or when another version wrote the value."""
    stored: Stored
    word: str = ""
    """What it measures, in the word of the language."""
    reading: int = 0
    limits: tuple[Limit, ...] = ()
    words: str = ""
    ends_ms: int = 0
    """Milliseconds without a step after which the value means nothing."""


def describe_kept(snapshot: Snapshot, kept: Kept) -> tuple[Instance, ...]:
    """Every stored instance of an entity, the known ones first, by name."""
    plans = {plan.signal.id: plan for plan in snapshot.plans.values()}
    entries = {entry.name: entry for entry in snapshot.text.signals}
    limits = _limits(snapshot)
    found = []
    for stored in kept.signals:
        plan = plans.get(stored.id)
        state = decode_value(plan.signal, stored.value) if plan is not None else None
        if plan is None or state is None:
            found.append(Instance("", stored))
            continue
        signal = plan.signal
        compared = limits.get(signal.name, {}) if plan.word not in _OF_THE_STEP else {}
        found.append(
            Instance(
                signal.name,
                stored,
                plan.word.value,
                reading_at(signal, state, kept.now_ms),
                tuple(
                    Limit(limit, rules, falls_to(signal, state, limit, kept.now_ms))
                    for limit, rules in sorted(compared.items())
                ),
                words_of_state(plan, entries.get(signal.name), state, kept.now_ms),
                max(0, ends(signal, state) - kept.now_ms),
            )
        )
    return tuple(sorted(found, key=lambda each: (not each.signal, each.signal, each.stored.key)))


def limit_words(limit: Limit, reading: int) -> str:
    """One limit in words."""
    above = f"ABOVE it, for {span(limit.falls_ms)} more if nothing happens" if reading > limit.limit else "not above it"
    return f"{above}: {limit.limit} ({', '.join(limit.rules)})"


def instance_as_json(each: Instance) -> dict[str, Any]:
    """One instance as plain values; its key holds hashes only."""
    return {
        "signal": each.signal,
        "id": each.stored.id,
        "instance": each.stored.rest,
        "key": each.stored.key.decode("ascii", "backslashreplace"),
        "value": each.stored.value.hex(),
        "expires_ms": each.stored.expires_ms,
        "measures": each.word,
        "reading": each.reading if each.signal else None,
        "limits": [limit._asdict() for limit in each.limits],
        "meaning": each.words,
        "means_nothing_after_ms": each.ends_ms if each.signal else None,
    }


def kept_as_json(kept: Kept, instances: tuple[Instance, ...]) -> dict[str, Any]:
    """All of an entity as plain values."""
    return {
        "entity": {"type": kept.entity.type, "parts": list(kept.entity.parts)},
        "tag": kept.tag,
        "time": moment(kept.now_ms),
        "contained_flag": kept.flag.decode("utf-8", "backslashreplace") if kept.flag is not None else None,
        "signals": [instance_as_json(each) for each in instances],
        "recent_steps": kept.guards,
        "other_keys": [name.decode("ascii", "backslashreplace") for name in kept.others],
    }


def _limits(snapshot: Snapshot) -> Mapping[str, dict[int, tuple[str, ...]]]:
    found: dict[str, dict[int, tuple[str, ...]]] = {}
    for rule in snapshot.rules.rules:
        for name, limits in rule.limits.items():
            for limit in set(limits):
                rules = found.setdefault(name, {})
                rules[limit] = (*rules.get(limit, ()), rule.name)
    return found
