"""One compiled rule: which steps it touches, what it asks, and what it does when it matches."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from authz_server.model import Action
from authz_server.policy.entries import RuleEntry
from authz_server.policy.keytests import PrincipalTest
from authz_server.policy.program import Program
from authz_server.policy.selector import DynamicTest, Key, Selector, key_of
from authz_server.policy.step import LEGACY, UNCLASSIFIED, Step
from authz_server.verdict import Effect

_CAREFUL_KINDS: Final = frozenset({"write", "delete", "exec", "credential", "admin", "bulk-read"})
"""Without a live reading, steps of these kinds are not let through by default."""
_SENSITIVE: Final = frozenset({"high", "critical"})
"""Without a live reading, steps of these sensitivities are never let through by a rule that counts locally."""
_EARLY_STAGES: Final = frozenset({"", "discovery"})
"""The stages of an intrusion that are not late."""


class Lift(NamedTuple):
    """A compiled exception: while it holds for a step, the rules that it names do not match."""

    name: str
    selector: Selector
    expires: float
    """Unix time in seconds; 0 when the task that it names ends it."""
    alert: str

    def holds(self, step: Step) -> bool:
        """Whether the exception lifts its rules for this step."""
        return (not self.expires or step.now < self.expires) and self.selector.holds(step)


class Rule:
    """One rule of a snapshot.

    Attributes:
        name: unique in the policy.
        entry: what was written.
        when: the condition, or None when `match` is all of it.
        is_personal: whether `match` names single callers, so that the rule is among the candidates of few.
        signals: the names of the signals that `when` reads, through facts too.
        limits: for each of them the limits it is compared with.
        computed: those of them that `when` does more with than to compare them.
        lifts: exceptions that name the rule.
        reporters: the hidden signals that tell how many proxies vouch for what `when` reads.
        retry_after: seconds until a throttled caller's window is empty again.
        dynamic: the tests that need the whole step, or None.
        selector: its `match`.
    """

    __slots__ = (
        "_exclude",
        "computed",
        "dynamic",
        "effect",
        "entry",
        "is_personal",
        "lifts",
        "limits",
        "name",
        "names_unclassified",
        "on_state_error",
        "reporters",
        "retry_after",
        "selector",
        "signals",
        "when",
    )

    def __init__(self, entry: RuleEntry, match: Selector, exclude: Selector | None) -> None:
        self.name = entry.name
        self.effect = entry.then
        self.entry = entry
        self.selector = match
        self._exclude = exclude
        self.dynamic: DynamicTest | None = None
        if match.dynamic or (exclude is not None and exclude.dynamic):
            self.dynamic = self._touches_dynamically
        self.is_personal = any(isinstance(test, PrincipalTest) and bool(test.exact) for test in match.static)
        self.when: Program | None = None
        self.signals: frozenset[str] = frozenset()
        self.limits: Mapping[str, tuple[int, ...]] = {}
        self.computed: frozenset[str] = frozenset()
        self.lifts: tuple[Lift, ...] = ()
        self.reporters: tuple[str, ...] = ()
        self.on_state_error = entry.on_state_error or "by-kind"
        self.retry_after = 1
        # What is not in the catalogue has no kind and no stage of its own to be selected by.
        selects = "action.kind" in entry.match or "action.stage" in entry.match
        self.names_unclassified = UNCLASSIFIED in entry.match.get("action", ()) and not selects

    def applies(self, key: Key) -> bool:
        """Whether the rule can touch a step of this action, principal, destination and task."""
        if self.effect is Effect.ALLOW:
            if key.action.name == UNCLASSIFIED and not self.names_unclassified:
                return False
            # What a legacy caller may do stands in its own entry and nowhere else.
            if key.principal.startswith(LEGACY) and self.entry.match.get("principal") != (key.principal,):
                return False
        if not self.selector.holds_statically(key):
            return False
        exclude = self._exclude
        if exclude is None or exclude.dynamic:
            return True
        return not exclude.holds_statically(key)

    def _touches_dynamically(self, step: Step) -> bool:
        if not self.selector.holds_dynamically(step):
            return False
        exclude = self._exclude
        if exclude is None or not exclude.dynamic:
            return True
        return not (exclude.holds_statically(key_of(step)) and exclude.holds_dynamically(step))

    def touches(self, step: Step) -> bool:
        """Whether the dynamic tests of `match` and `exclude` let the rule touch this step."""
        return self.dynamic is None or self.dynamic(step)

    def lifted_by(self, step: Step) -> Lift | None:
        """The exception that lifts the rule for this step: of several the one whose name sorts first."""
        return next((lift for lift in self.lifts if lift.holds(step)), None)

    def state_error_mode(self, action: Action) -> str:
        """What the rule does without a live reading: `deny`, `local` or `skip`.

        Whoever can make the store fail chooses when this is asked. So sensitive steps, and those of a late stage, never go
        by what this replica alone has counted, whatever the rule says; only an explicit `skip`, which the loader admits for
        allow and throttle alone, is left as it is written.
        """
        mode = self.on_state_error
        if mode == "skip":
            return mode
        if action.sensitivity in _SENSITIVE or action.stage not in _EARLY_STAGES:
            return "deny"
        if mode != "by-kind":
            return mode
        return "deny" if action.kind in _CAREFUL_KINDS else "local"
