"""The entries of the sections about callers, work and ownership, and of challenges; places do not count when entries are compared."""

from dataclasses import dataclass, field

from authz_server.policy.matches import RequestMatch, StepMatch
from authz_server.policy.tree import Where


@dataclass(frozen=True, slots=True)
class Approval:
    """Who can lift a challenge, and for what."""

    by: tuple[str, ...]
    """Groups of approvers, such as `group:soc`."""
    binds: str
    """`arguments`: this very request; `action`: any request of the action."""
    uses: int
    expires_s: int


@dataclass(frozen=True, slots=True)
class StepUp:
    """What a fresh authentication must have (RFC 9470)."""

    acr: str
    """The authentication context class; `""` for any."""
    max_age_s: int
    """Since the authentication; 0 for any age."""


@dataclass(frozen=True, slots=True)
class LegacyEntry:
    """A caller without an SVID: an identity, all that it may ever do, and a limit."""

    name: str
    match: RequestMatch
    """Of `source` at least; over `host`, `method`, `path` as well."""
    actions: tuple[str, ...]
    """Patterns of action names."""
    rate: tuple[int, int]
    """(steps, milliseconds); (0, 0) for none."""
    where: Where = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ContainedEntry:
    """A declared containment."""

    match: StepMatch
    """One or more of `principal`, `source`, `credential`, `task`: all must fit."""
    reason: str
    where: Where = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class TaskEntry:
    """A template of declared work."""

    name: str
    issuers: tuple[str, ...]
    """SPIFFE patterns and `group:<name>`."""
    agents: tuple[str, ...]
    """SPIFFE patterns."""
    actions: tuple[str, ...]
    """Patterns of action names; `*` is all of the catalogue, never `unclassified`."""
    destinations: tuple[str, ...]
    """Patterns of services; empty for all."""
    max_sensitivity: str
    """The highest that is covered; `critical` when not said."""
    hours: tuple[str, ...]
    """Empty for always."""
    steps: int
    """Steps that one task may make; 0 for no limit."""
    budgets: tuple[tuple[str, int], ...]
    """(pattern of action names, steps)."""
    ttl_s: int
    idle_s: int
    """0: only the ttl ends it."""
    max_depth: int
    """Delegations behind the issuer."""
    where: Where = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ExceptionEntry:
    """Lifts named restricting rules for some steps."""

    name: str
    rules: tuple[str, ...]
    """Full names."""
    match: StepMatch
    expires: float
    """Unix time in seconds, or 0 when the task it is bound to ends it."""
    reason: str
    alert: str
    where: Where = field(compare=False, repr=False)
    team: str = ""


@dataclass(frozen=True, slots=True)
class EnvelopeEntry:
    """Pre-approved low-risk work of a high volume."""

    name: str
    match: StepMatch
    rate: tuple[int, int]
    """(steps, milliseconds)."""
    where: Where = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class InjectEntry:
    """A just-in-time credential for the destination, on allow."""

    match: StepMatch
    header: str
    audience: str
    ttl_s: int
    strip: tuple[str, ...]
    """Lower-case names of headers that do not go on to the destination."""
    where: Where = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class TeamEntry:
    """What the files under `teams/<name>/` may speak about."""

    name: str
    actions: tuple[str, ...]
    """Patterns of action names."""
    hosts: tuple[str, ...]
    """Patterns of hosts."""
    where: Where = field(compare=False, repr=False)
