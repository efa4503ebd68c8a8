"""What a policy says, entry by entry: checked as far as one entry can be, conditions still text.

Every entry carries its place for the messages of later stages; places do not count when entries are compared. After a
fault an entry stays, with the strictest value where its own was unusable, so that one mistake does not cause others.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from authz_server.policy.tree import Where
from authz_server.policy.vars import VarValue
from authz_server.signals import SignalKind
from authz_server.verdict import Effect

StepMatch = Mapping[str, tuple[str, ...]]
"""Patterns by key of a step match: all keys must match, any pattern of each."""


@dataclass(frozen=True, slots=True)
class FactEntry:
    """A named expression; `where` is the expression itself."""

    name: str
    expression: str
    """CEL."""
    where: Where = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class RequestMatch:
    """Patterns over a request; an empty tuple is a key that is not named."""

    host: tuple[str, ...] = ()
    method: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    header: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """(lower-case name, patterns), in the order of the names."""
    source: tuple[str, ...] = ()
    grpc_service: tuple[str, ...] = ()
    grpc_method: tuple[str, ...] = ()
    upgrade: tuple[str, ...] = ()
    """Lower-case tokens, `connect`, or `tcp` for connections that carry no HTTP."""


@dataclass(frozen=True, slots=True)
class ActionCase:
    """A refinement of one action: what is `""` stays as the entry says."""

    match: RequestMatch
    kind: str
    sensitivity: str
    stage: str
    where: Where = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ActionEntry:
    """One entry of the catalogue; several entries may share a name."""

    name: str
    match: RequestMatch
    kind: str
    sensitivity: str
    stage: str
    """`""` for none."""
    service: str
    """The destination's name where the route has no better one; `""` for none."""
    body: str
    """`json` or `""`."""
    cases: tuple[ActionCase, ...]
    where: Where = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class SignalEntry:
    """One measurement."""

    name: str
    kind: SignalKind
    member: str
    """distinct: the word for what is counted; else `""`."""
    stages: tuple[str, ...]
    """sequence: in the order of the intrusion; else empty."""
    per: tuple[str, ...]
    """The words of one composite key; empty when `each` is given."""
    each: tuple[str, ...]
    """The words that each get an instance; empty when `per` is given."""
    window_ms: int
    half_life_ms: int
    """sequence: 0 for none."""
    match: StepMatch
    exclude: StepMatch
    when: str
    """CEL, or `""`."""
    where: Where = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class RuleEntry:
    """One rule."""

    name: str
    match: StepMatch
    exclude: StepMatch
    """Empty when the rule excludes nothing."""
    when: str
    """CEL, or `""`."""
    then: Effect
    reason: str
    """A sentence for the caller, or `""`."""
    remedy: str
    """What the caller can do, or `""`."""
    alert: str
    """`""`, `low`, `medium`, `high` or `critical`."""
    tags: tuple[str, ...]
    contain: tuple[tuple[str, int], ...]
    """quarantine: (scope, seconds), the smallest scope first; else empty."""
    enforce: int
    """For how many of 10 000 principals the rule is enforced; for the others it is in shadow."""
    on_state_error: str
    """`deny`, `local`, `skip` or `by-kind`; the policy's default where the rule names none."""
    where: Where = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds where nothing else is said."""

    on_state_error: str = "by-kind"
    max_policy_age_s: int = 86_400
    """Seconds without a successful check of the policy's source after which its age is reported."""
    unclassified_kind: str = "write"
    unclassified_sensitivity: str = "medium"


@dataclass(frozen=True, slots=True)
class PolicyText:
    """A whole policy, in the order of its files."""

    vars: Mapping[str, VarValue]
    facts: tuple[FactEntry, ...]
    actions: tuple[ActionEntry, ...]
    signals: tuple[SignalEntry, ...]
    rules: tuple[RuleEntry, ...]
    defaults: Defaults
