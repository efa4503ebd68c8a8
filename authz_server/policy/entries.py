"""What a policy says, entry by entry: checked as far as one entry can be, conditions still text.

Every entry carries its place for later messages; places do not count when entries are compared. After a fault an entry
stays, with the strictest value where its own was unusable, so that one mistake does not cause others.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from authz_server.policy.matches import RequestMatch, StepMatch
from authz_server.policy.section_entries import (
    Approval,
    ContainedEntry,
    EnvelopeEntry,
    ExceptionEntry,
    InjectEntry,
    LegacyEntry,
    StepUp,
    TaskEntry,
    TeamEntry,
)
from authz_server.policy.tree import Where
from authz_server.policy.vars import VarValue
from authz_server.verdict import Effect

WALK_CLASSES: Final = ("refused", "absent", "failed", "success", "discovered")
"""Of outcomes: 401, 403, 407 · 404, 405, 410 · 5xx and broken connections · below 400 · the last of a discovery."""


@dataclass(frozen=True, slots=True)
class FactEntry:
    """A named expression; `where` is the expression itself."""

    name: str
    expression: str
    """CEL."""
    where: Where = field(compare=False, repr=False)


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
    team: str = ""
    """Whose file it stands in; `""` for the platform's."""


class SignalWord(StrEnum):
    """What a signal measures, in the words of the language."""

    COUNT = "count"
    DISTINCT = "distinct"
    SEQUENCE = "sequence"
    SCORE = "score"
    FIRST_SEEN = "first_seen"
    WALK = "walk"
    MARK = "mark"
    BUDGET = "budget"


class Fed(StrEnum):
    """What feeds a signal."""

    STEPS = "steps"
    """Every matching step at once, refused ones too."""
    ALLOWED = "allowed"
    """Steps that were allowed, after the answer."""
    DENIED = "denied"
    """Steps that were denied or quarantined, after the answer."""
    OUTCOMES = "outcomes"
    """What the destination answered to steps that were allowed."""


@dataclass(frozen=True, slots=True)
class SignalEntry:
    """One measurement."""

    name: str
    word: SignalWord
    fed: Fed
    """count: as written; distinct, first_seen, mark: `fed_by`; walk: outcomes; score: steps, which never matters."""
    members: tuple[str, ...]
    """distinct, first_seen: the word for the value; walk: the words that make its member together; else empty."""
    stages: tuple[str, ...]
    """sequence: in the order of the intrusion; else empty."""
    weights: Mapping[str, int]
    """walk: thousandths by class of outcome (`WALK_CLASSES`); else empty."""
    mark: str
    """mark: the CEL condition that sets it; else `""`."""
    per: tuple[str, ...]
    """The words of one composite key; empty when `each` is given."""
    each: tuple[str, ...]
    """The words that each get an instance; empty when `per` is given."""
    window_ms: int
    """0 for score and walk; mark: `keep`."""
    half_life_ms: int
    """sequence: 0 for none; score, walk: required."""
    cap: int
    """score, walk: units that it never exceeds; else 0."""
    ring: int
    """walk: members remembered against repeats; else 0."""
    share: int
    """walk: members of the ring that one destination may vouch for; 0 for all."""
    learn_ms: int
    """first_seen, distinct: how long an instance learns before rules on it are enforced."""
    learn_count: int
    """The same in events that taught it."""
    match: StepMatch
    exclude: StepMatch
    when: str
    """CEL, or `""`; over `outcome.*` and `vars.*` only when outcomes feed the signal."""
    where: Where = field(compare=False, repr=False)
    team: str = ""


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
    adds: tuple[tuple[str, int], ...] = ()
    """(score signal, units), in the order of the names."""
    approval: Approval | None = None
    """challenge: how it is lifted."""
    step_up: StepUp | None = None
    """challenge: the authentication that is asked for; the rule's condition reads the proof."""
    team: str = ""


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds where nothing else is said."""

    on_state_error: str = "by-kind"
    max_policy_age_s: int = 86_400
    """Seconds for which files on disk may be refused before the age of what is in force is reported."""
    when_stale: str = "flag"
    """After that: `flag` or `deny`."""
    unclassified_kind: str = "write"
    unclassified_sensitivity: str = "medium"


@dataclass(frozen=True, slots=True)
class PolicyText:
    """A whole policy."""

    vars: Mapping[str, VarValue]
    facts: tuple[FactEntry, ...]
    actions: tuple[ActionEntry, ...]
    signals: tuple[SignalEntry, ...]
    rules: tuple[RuleEntry, ...]
    defaults: Defaults
    teams: tuple[TeamEntry, ...] = ()
    legacy: tuple[LegacyEntry, ...] = ()
    contained: tuple[ContainedEntry, ...] = ()
    tasks: tuple[TaskEntry, ...] = ()
    exceptions: tuple[ExceptionEntry, ...] = ()
    envelopes: tuple[EnvelopeEntry, ...] = ()
    inject: tuple[InjectEntry, ...] = ()
    shadow: bool = False
    """`mode: shadow` of the environment: every answer but a contained caller's is allow."""


__all__ = [
    "WALK_CLASSES",
    "ActionCase",
    "ActionEntry",
    "Approval",
    "ContainedEntry",
    "Defaults",
    "EnvelopeEntry",
    "ExceptionEntry",
    "FactEntry",
    "Fed",
    "InjectEntry",
    "LegacyEntry",
    "PolicyText",
    "RequestMatch",
    "RuleEntry",
    "SignalEntry",
    "SignalWord",
    "StepMatch",
    "StepUp",
    "TaskEntry",
    "TeamEntry",
]
