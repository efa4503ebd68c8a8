"""Policy text to one immutable snapshot: names resolved, conditions type-checked, limits found, rules compiled and warmed.

Everything that can be wrong is found here, all of it at once, and before anything goes live; a step meets only compiled rules.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Final

from authz_server.errors import Fault, PolicyError
from authz_server.keyhash import KeyedHash
from authz_server.policy.catalogue import Catalogue
from authz_server.policy.conditions import Conditions
from authz_server.policy.digest import digest_of
from authz_server.policy.entries import PolicyText, RuleEntry, SignalEntry
from authz_server.policy.facts import UNCLASSIFIED
from authz_server.policy.program import Program
from authz_server.policy.rule import Key, Rule, Selector, compile_selector
from authz_server.policy.ruletable import RuleTable
from authz_server.policy.schema import parse_policy
from authz_server.policy.signalplan import SignalPlan
from authz_server.policy.tree import Where
from authz_server.signals import Signal, SignalKind

DEFAULT_COUNT_CAP: Final = 1_000_000
"""Where a count saturates when no rule compares it with a constant."""
DEFAULT_DISTINCT_CAP: Final = 64
"""Members that are kept when no rule compares the signal with a constant: 12 bytes each."""
MAX_DISTINCT_CAP: Final = 1024
"""A list of more members costs the store more per step than the rest of the decision."""
MAX_COUNT_CAP: Final = 1 << 31
"""What a stored count has room for."""
MAX_COUNT_PRODUCT: Final = 1 << 53
"""Limit times window: where whole numbers stop being exact in the store's arithmetic."""
LARGE_DISTINCT_CAP: Final = 64
"""From here on the cost of a list is worth a warning."""


class Snapshot:
    """One compiled policy. Immutable; the candidate sets inside are a cache.

    Attributes:
        digest: SHA-256 over the canonical form, as 16 hexadecimal digits.
        catalogue: classifies requests.
        rules: the rule table.
        max_policy_age: seconds after which a policy that could not be renewed is flagged.
        warnings: what is suspicious without being wrong.
    """

    __slots__ = ("catalogue", "digest", "max_policy_age", "rules", "warnings")

    def __init__(
        self, digest: str, catalogue: Catalogue, rules: RuleTable, max_policy_age: float, warnings: Sequence[Fault]
    ) -> None:
        self.digest = digest
        self.catalogue = catalogue
        self.rules = rules
        self.max_policy_age = max_policy_age
        self.warnings = tuple(warnings)

    def warm_like(self, other: "Snapshot") -> None:
        """Compile the candidate sets that another snapshot was asked for, so that the first step after a reload is no slower."""
        known = {(action.name, action.service): action for action in self.catalogue.actions.values()}
        keys = (
            key._replace(action=known.get((key.action.name, key.action.service), key.action))
            for key in other.rules.known_keys()
        )
        self.rules.warm(keys)


def compile_policy(files: Mapping[str, bytes], keyed: KeyedHash, shared_sources: Sequence[str] = ()) -> Snapshot:
    """Compile a policy directory.

    Args:
        files: relative path to content.
        keyed: decides which principals a rule with `enforce: N%` takes.
        shared_sources: CIDRs of places that many callers share; they have no source signals.

    Raises:
        PolicyError: with every fault of the directory.
    """
    text, faults, warnings = parse_policy(files)
    catalogue, more = Catalogue.compile(text.actions, text.defaults)
    faults = [*faults, *more]
    conditions = Conditions(text, catalogue, faults, shared_sources)
    rules = [rule for entry in text.rules if (rule := _rule(entry, catalogue, conditions, faults)) is not None]
    signals = _signals(text, rules, faults, warnings)
    read = frozenset(name for rule in rules for name in rule.signals)
    plans = [
        plan for entry in text.signals if (plan := _plan(entry, signals, catalogue, conditions, faults)) is not None
    ]
    warnings += [
        entry.where.fault("no rule reads this signal, so it is not measured")
        for entry in text.signals
        if entry.name not in read
    ]
    if faults:
        raise PolicyError(list(dict.fromkeys(faults)))
    table = RuleTable(rules, [plan for plan in plans if plan.signal.name in read], conditions.combiner, keyed)
    snapshot = Snapshot(digest_of(text), catalogue, table, text.defaults.max_policy_age_s, warnings)
    # A first step never pays for compilation that could have been done here, and a fault in it would show now.
    table.warm(Key(action, "", "") for name in catalogue.actions for action in catalogue.variants_of(name))
    return snapshot


def _rule(entry: RuleEntry, catalogue: Catalogue, conditions: Conditions, faults: list[Fault]) -> Rule | None:
    match = _selector(entry.match, entry.where, "match", catalogue, faults)
    exclude = _selector(entry.exclude, entry.where, "exclude", catalogue, faults) if entry.exclude else None
    program = (
        conditions.boolean(entry.when, entry.where, "when", _touched(entry.match, catalogue)) if entry.when else None
    )
    if match is None:
        return None
    rule = Rule(entry.name, entry.then, match, exclude)
    rule.when = program
    if program is not None:
        rule.signals = conditions.signals_of(program)
        rule.limits = conditions.limits_of(program)
    rule.reason, rule.remedy, rule.alert, rule.tags = entry.reason, entry.remedy, entry.alert, entry.tags
    rule.contain, rule.enforce = entry.contain, entry.enforce
    rule.on_state_error = entry.on_state_error or conditions.text.defaults.on_state_error
    windows = [signal.window_ms for signal in conditions.text.signals if signal.name in rule.signals]
    rule.retry_after = max(1, -(-max(windows, default=1000) // 1000))
    # What is not in the catalogue has no kind and no stage of its own to be selected by.
    selects = "action.kind" in entry.match or "action.stage" in entry.match
    rule.names_unclassified = UNCLASSIFIED in entry.match.get("action", ()) and not selects
    return rule


def _selector(
    match: Mapping[str, Sequence[str]], where: Where, key: str, catalogue: Catalogue, faults: list[Fault]
) -> Selector | None:
    try:
        return compile_selector(match, tuple(catalogue.actions))
    except ValueError as error:
        faults.append(where.fault(str(error), key))
        return None


def _touched(match: Mapping[str, Sequence[str]], catalogue: Catalogue) -> frozenset[str]:
    """The names of the actions that a match can touch, for the check that a path capture can ever be present."""
    try:
        selector = compile_selector(
            {key: value for key, value in match.items() if key.startswith("action")}, tuple(catalogue.actions)
        )
    except ValueError:
        return frozenset(catalogue.actions)
    return frozenset(
        name
        for name in catalogue.actions
        if any(selector.holds_statically(Key(action, "", "")) for action in catalogue.variants_of(name))
    )


def _signals(text: PolicyText, rules: Sequence[Rule], faults: list[Fault], warnings: list[Fault]) -> dict[str, Signal]:
    limits: dict[str, int] = {}
    for rule in rules:
        for name, found in rule.limits.items():
            limits[name] = max(limits.get(name, 0), *found)
    signals: dict[str, Signal] = {}
    for entry in text.signals:
        cap = _cap(entry, limits.get(entry.name))
        if entry.kind is SignalKind.COUNT and (cap >= MAX_COUNT_CAP or cap * entry.window_ms >= MAX_COUNT_PRODUCT):
            faults.append(entry.where.fault("a rule compares it with more than can be counted in its window"))
        if entry.kind is SignalKind.DISTINCT and cap > MAX_DISTINCT_CAP:
            faults.append(
                entry.where.fault(
                    f"a rule compares it with {cap - 1}: at most {MAX_DISTINCT_CAP - 1} members can be told apart"
                )
            )
        elif entry.kind is SignalKind.DISTINCT and cap > LARGE_DISTINCT_CAP:
            warnings.append(entry.where.fault(f"keeps up to {cap} members, about {12 * cap} bytes for each entity"))
        elif entry.kind is SignalKind.DISTINCT and entry.name not in limits:
            # Only a plain comparison shows how many members have to be told apart.
            warnings.append(entry.where.fault(f"no rule compares it with a constant, so it reads at most {cap + 1}"))
        signals[entry.name] = Signal(
            entry.name, _signal_id(entry), entry.kind, entry.window_ms, cap, entry.half_life_ms, len(entry.stages)
        )
    return signals


def _cap(entry: SignalEntry, limit: int | None) -> int:
    if entry.kind is SignalKind.COUNT:
        # Twice the limit: a caller who keeps trying cannot push its own recovery away for ever.
        return 2 * limit + 2 if limit is not None and limit >= 0 else DEFAULT_COUNT_CAP
    if entry.kind is SignalKind.DISTINCT:
        return max(1, limit + 1) if limit is not None else DEFAULT_DISTINCT_CAP
    return 0


def _signal_id(entry: SignalEntry) -> str:
    """Over everything that gives the stored value its meaning; a cap may change without losing what was counted."""
    parts = (
        entry.name,
        entry.kind,
        entry.member,
        entry.stages,
        entry.per,
        entry.each,
        entry.window_ms,
        entry.half_life_ms,
    )
    return sha256(repr(parts).encode()).hexdigest()[:8]


def _plan(
    entry: SignalEntry, signals: Mapping[str, Signal], catalogue: Catalogue, conditions: Conditions, faults: list[Fault]
) -> SignalPlan | None:
    selector = _selector(entry.match, entry.where, "match", catalogue, faults)
    exclude = _selector(entry.exclude, entry.where, "exclude", catalogue, faults) if entry.exclude else None
    when: Program | None = None
    if entry.when:
        when = conditions.boolean(entry.when, entry.where, "when", _touched(entry.match, catalogue))
        if when is not None and conditions.signals_of(when):
            faults.append(
                entry.where.fault(
                    "the filter of a signal cannot read signals: it is evaluated before the readings", "when"
                )
            )
    per = conditions.key_readers(entry.per, entry.where, "per")
    each = conditions.key_readers(entry.each, entry.where, "each")
    member = conditions.key_readers((entry.member,), entry.where, "distinct") if entry.member else ()
    if selector is None or (not per and not each) or (entry.member and not member):
        return None
    stages = {stage: index for index, stage in enumerate(entry.stages)}
    words = (entry.member, *entry.per, *entry.each)
    presented = any(word.partition(".")[0] == "credential" for word in words)
    reader = member[0][1] if member else None
    return SignalPlan(
        signals[entry.name], selector, exclude, when, per, each, reader, stages, reads_credential=presented
    )
