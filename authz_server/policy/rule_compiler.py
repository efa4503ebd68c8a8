"""The rules of a policy compiled, with the mistakes that only show between a rule and the rest of the policy."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from authz_server.errors import Fault
from authz_server.policy.catalogue import Catalogue
from authz_server.policy.conditions import Conditions
from authz_server.policy.entries import Fed, LegacyEntry, PolicyText, RuleEntry, SignalEntry
from authz_server.policy.frameworks import unknown_tag
from authz_server.policy.rule import Rule
from authz_server.policy.scopes import Scopes
from authz_server.policy.vocabulary import rate_signal, rate_variable
from authz_server.verdict import Effect

_DENYING: Final = frozenset({Effect.DENY, Effect.QUARANTINE})


class Rules:
    """Compiles the rules of one policy."""

    __slots__ = ("_catalogue", "_faults", "_scopes", "_signals", "_text", "_warnings")

    def __init__(
        self, text: PolicyText, catalogue: Catalogue, scopes: Scopes, faults: list[Fault], warnings: list[Fault]
    ) -> None:
        """Take the policy, and where complaints go."""
        self._text = text
        self._catalogue = catalogue
        self._scopes = scopes
        self._faults = faults
        self._warnings = warnings
        self._signals: Mapping[str, SignalEntry] = {entry.name: entry for entry in text.signals}

    def compile(self, entry: RuleEntry, conditions: Conditions) -> Rule | None:
        """Compile one rule with the conditions of its owner; None after a fault was recorded."""
        selectors = self._scopes.compile(entry)
        if selectors is None:
            return None
        touched = self._scopes.touched(entry)
        program = conditions.boolean(entry.when, entry.where, "when", touched) if entry.when else None
        rule = Rule(entry, *selectors)
        rule.when = program
        if program is not None:
            rule.signals = conditions.signals_of(program)
            rule.limits = conditions.limits_of(program)
            rule.computed = conditions.computed_of(program)
        windows = [self._signals[name].window_ms for name in rule.signals if name in self._signals]
        rule.retry_after = max(1, -(-max(windows, default=1000) // 1000))
        self._check_circles(rule)
        if not touched and not self._scopes.is_about_unclassified(entry) and self._catalogue.actions:
            self._warnings.append(entry.where.fault("no action of the catalogue fits all of its match", "match"))
        if self._asks_for_a_call(rule) and not any(map(self._catalogue.reads_call, touched)):
            message = (
                "no action that it touches names `mcp.*` or `a2a.*` in its match, so the call in the body is not read"
            )
            self._warnings.append(entry.where.fault(message))
        self._warnings += [entry.where.fault(said, "tags") for tag in entry.tags if (said := unknown_tag(tag))]
        return rule

    def compile_legacy(
        self, entries: Sequence[RuleEntry], caller: LegacyEntry, number: int, conditions: Conditions
    ) -> list[Rule]:
        """Compile the grant of a legacy caller, and the limit behind it."""
        steps, window = caller.rate
        if steps:
            limit = replace(
                entries[0],
                name=f"{entries[0].name}:rate",
                then=Effect.THROTTLE,
                when=f"{rate_variable(number)} > {steps}",
                match={"principal": entries[0].match["principal"]},
            )
            entries = (*entries, limit)
        rules = [rule for entry in entries if (rule := self.compile(entry, conditions)) is not None]
        for rule in rules:
            if rule.signals:
                rule.limits = {rate_signal(caller.name): (steps,)}
                rule.retry_after = max(1, -(-window // 1000))
        return rules

    @staticmethod
    def _asks_for_a_call(rule: Rule) -> bool:
        read = rule.when.expression.variables if rule.when is not None else ()
        return "mcp.tool" in rule.entry.match or any(name.startswith(("mcp.", "a2a.")) for name in read)

    def _check_circles(self, rule: Rule) -> None:
        """A rule that feeds what it reads would never let go of a caller again."""
        entry = rule.entry
        for name in sorted(rule.signals):
            signal = self._signals.get(name)
            if signal is not None and signal.fed is Fed.DENIED and rule.effect in _DENYING:
                message = f"it denies by `{name}`, which counts what is denied: a caller could never get out; throttle instead"
                self._faults.append(entry.where.fault(message, "when"))
        for name, _ in entry.adds:
            if name in rule.signals:
                message = f"it reads `{name}`, to which it adds: its own matches would keep it matching"
                self._faults.append(entry.where.fault(message, "adds"))
