"""One compiled rule: which steps it touches, what it asks, and what it does when it matches."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from authz_server.model import Action
from authz_server.policy.facts import ANONYMOUS, UNCLASSIFIED, Step
from authz_server.policy.hours import compile_hours
from authz_server.policy.patterns import compile_globs, compile_networks
from authz_server.policy.program import Program
from authz_server.spiffe import compile_spiffe_pattern
from authz_server.verdict import Effect


class Key(NamedTuple):
    """What candidate rules are looked up by: all that static tests may depend on."""

    action: Action
    principal: str
    """The SPIFFE ID, or `""` for anonymous."""
    service: str
    """The destination's name."""


StaticTest = Callable[[Key], bool]
DynamicTest = Callable[[Step], bool]

_CAREFUL_KINDS: Final = frozenset({"write", "delete", "exec", "credential", "admin", "bulk-read"})
"""Without a live reading, steps of these kinds are not let through by default."""


def key_of(step: Step) -> Key:
    """The candidate key of a step."""
    return Key(step.action, step.principal.id if step.principal is not None else "", step.service)


class Selector(NamedTuple):
    """A compiled `match` or `exclude`: all tests must hold. Static tests depend on nothing but the candidate key."""

    static: tuple[StaticTest, ...]
    dynamic: tuple[DynamicTest, ...]

    def holds_statically(self, key: Key) -> bool:
        """Whether every static test holds."""
        return all(test(key) for test in self.static)

    def holds_dynamically(self, step: Step) -> bool:
        """Whether every dynamic test holds."""
        return all(test(step) for test in self.dynamic)


def compile_selector(match: Mapping[str, Sequence[str]], action_names: Sequence[str]) -> Selector:
    """Compile a step match.

    Args:
        match: validated keys and patterns.
        action_names: every name of the catalogue, for the action patterns.

    Raises:
        ValueError: a pattern has no meaning; the message says why.
    """
    static: list[StaticTest] = []
    dynamic: list[DynamicTest] = []
    for key, patterns in match.items():
        if key == "source":
            dynamic.append(_source_test(patterns))
        elif key == "credential":
            dynamic.append(_credential_test(patterns))
        elif key == "hours":
            dynamic.append(_hours_test(patterns))
        else:
            static.append(_static_test(key, patterns, action_names))
    return Selector(tuple(static), tuple(dynamic))


def _static_test(word: str, patterns: Sequence[str], action_names: Sequence[str]) -> StaticTest:
    if word == "principal":
        return _principal_test(patterns)
    if word == "destination":
        services = compile_globs(patterns)
        return lambda key: services.matches(key.service)
    words = frozenset(patterns)
    if word == "action.kind":
        return lambda key: key.action.kind in words
    if word == "action.stage":
        return lambda key: key.action.stage in words
    if word == "action.sensitivity":
        return lambda key: key.action.sensitivity in words
    if word == "action":
        names = actions_of(patterns, action_names)
        return lambda key: key.action.name in names
    raise ValueError(f"`{word}` is no key of a step match")


def actions_of(patterns: Sequence[str], action_names: Sequence[str]) -> frozenset[str]:
    """The actions that the patterns mean; `unclassified` only by that very word, never by `*`."""
    globs = compile_globs(patterns)
    named = frozenset(name for name in action_names if globs.matches(name))
    return named | {UNCLASSIFIED} if UNCLASSIFIED in patterns else named


def _principal_test(patterns: Sequence[str]) -> StaticTest:
    anonymous = ANONYMOUS in patterns
    compiled = tuple(compile_spiffe_pattern(pattern) for pattern in patterns if pattern != ANONYMOUS)

    def test(key: Key) -> bool:
        return any(pattern.matches(key.principal) for pattern in compiled) if key.principal else anonymous

    return test


def _source_test(patterns: Sequence[str]) -> DynamicTest:
    networks = compile_networks(patterns)
    return lambda step: networks.matches(step.request.source_address)


def _credential_test(patterns: Sequence[str]) -> DynamicTest:
    globs = compile_globs(patterns)
    return lambda step: any(globs.matches(credential.id) for credential in step.request.credentials)


def _hours_test(patterns: Sequence[str]) -> DynamicTest:
    hours = tuple(compile_hours(pattern) for pattern in patterns)
    return lambda step: any(each.contains(step.now) for each in hours)


class Rule:
    """One rule of a snapshot.

    Attributes:
        name: unique in the policy.
        when: the condition, or None when `match` is all of it.
        signals: the names of the signals that `when` reads, through facts too.
        limits: for each of them the limits it is compared with.
        contain: (scope, seconds) of a quarantine.
        enforce: for how many of 10 000 principals the rule is enforced.
        retry_after: seconds until a throttled caller's window is empty again.
        dynamic: the tests that need the whole step, or None.
    """

    __slots__ = (
        "_exclude",
        "_match",
        "alert",
        "contain",
        "dynamic",
        "effect",
        "enforce",
        "limits",
        "name",
        "names_unclassified",
        "on_state_error",
        "reason",
        "remedy",
        "retry_after",
        "signals",
        "tags",
        "when",
    )

    def __init__(self, name: str, effect: Effect, match: Selector, exclude: Selector | None) -> None:
        self.name = name
        self.effect = effect
        self._match = match
        self._exclude = exclude
        self.dynamic: DynamicTest | None = None
        if match.dynamic or (exclude is not None and exclude.dynamic):
            self.dynamic = self._touches_dynamically
        self.when: Program | None = None
        self.signals: frozenset[str] = frozenset()
        self.limits: Mapping[str, tuple[int, ...]] = {}
        self.reason = ""
        self.remedy = ""
        self.alert = ""
        self.tags: tuple[str, ...] = ()
        self.contain: tuple[tuple[str, int], ...] = ()
        self.enforce = 10_000
        self.on_state_error = "by-kind"
        self.retry_after = 1
        self.names_unclassified = False

    def applies(self, key: Key) -> bool:
        """Whether the rule can touch a step of this action, principal and destination."""
        if self.effect is Effect.ALLOW and key.action.name == UNCLASSIFIED and not self.names_unclassified:
            return False
        if not self._match.holds_statically(key):
            return False
        exclude = self._exclude
        if exclude is None or exclude.dynamic:
            return True
        return not exclude.holds_statically(key)

    def _touches_dynamically(self, step: Step) -> bool:
        if not self._match.holds_dynamically(step):
            return False
        exclude = self._exclude
        if exclude is None or not exclude.dynamic:
            return True
        return not (exclude.holds_statically(key_of(step)) and exclude.holds_dynamically(step))

    def touches(self, step: Step) -> bool:
        """Whether the dynamic tests of `match` and `exclude` let the rule touch this step."""
        return self.dynamic is None or self.dynamic(step)

    def state_error_mode(self, action: Action) -> str:
        """What the rule does without a live reading: `deny`, `local` or `skip`."""
        if self.on_state_error != "by-kind":
            return self.on_state_error
        careful = action.kind in _CAREFUL_KINDS or action.sensitivity in {"high", "critical"}
        return "deny" if careful or action.stage not in {"", "discovery"} else "local"
