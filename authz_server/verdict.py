"""What the decision point answers: decisions, stable reason codes and the verdict that carries them."""

from enum import StrEnum
from typing import NamedTuple

from authz_server.model import Containment


class Effect(StrEnum):
    """What a rule asks for."""

    ALLOW = "allow"
    OBSERVE = "observe"
    CHALLENGE = "challenge"
    THROTTLE = "throttle"
    DENY = "deny"
    QUARANTINE = "quarantine"


class Decision(StrEnum):
    """What the decision point answers."""

    ALLOW = "allow"
    CHALLENGE = "challenge"
    THROTTLE = "throttle"
    DENY = "deny"
    QUARANTINE = "quarantine"


class Reason(StrEnum):
    """Stable reason codes: the metric label, the record's field and the caller's `reason`."""

    OK = "ok"
    DECODE_ERROR = "decode_error"
    UNAUTHENTICATED = "unauthenticated"
    CHALLENGE = "challenge"
    DENIED = "denied"
    NO_MATCH = "no_match"
    EVALUATION_ERROR = "evaluation_error"
    CONTAINED = "contained"
    TASK_MISMATCH = "task_mismatch"
    THROTTLED = "throttled"
    STATE_UNAVAILABLE = "state_unavailable"
    DEADLINE = "deadline"
    INTERNAL_ERROR = "internal_error"


class ReasonSpec(NamedTuple):
    """How a reason looks from outside."""

    grpc: int
    """google.rpc.Code for CheckResponse.status."""
    http: int
    """A member of envoy.type.v3.StatusCode."""
    public: str
    """The code that the caller sees: it learns neither that it is contained nor that a rule failed."""
    text: str
    """The public sentence; never internal text."""


REASONS: dict[Reason, ReasonSpec] = {
    Reason.OK: ReasonSpec(0, 200, "ok", "The request is allowed."),
    Reason.DECODE_ERROR: ReasonSpec(3, 400, "decode_error", "The request is malformed or ambiguous."),
    Reason.UNAUTHENTICATED: ReasonSpec(16, 401, "unauthenticated", "No valid workload identity was presented."),
    Reason.CHALLENGE: ReasonSpec(7, 403, "challenge", "The request needs an approval or a stronger authentication."),
    Reason.DENIED: ReasonSpec(7, 403, "denied", "The request is not permitted."),
    Reason.NO_MATCH: ReasonSpec(7, 403, "no_match", "No policy permits the request."),
    Reason.EVALUATION_ERROR: ReasonSpec(7, 403, "denied", "The request is not permitted."),
    Reason.CONTAINED: ReasonSpec(7, 403, "denied", "The request is not permitted."),
    Reason.TASK_MISMATCH: ReasonSpec(7, 403, "task_mismatch", "The request is outside its declared task."),
    Reason.THROTTLED: ReasonSpec(8, 429, "throttled", "Too many requests."),
    Reason.STATE_UNAVAILABLE: ReasonSpec(14, 503, "state_unavailable", "The decision cannot be made at the moment."),
    Reason.DEADLINE: ReasonSpec(14, 503, "deadline", "The decision cannot be made in time."),
    Reason.INTERNAL_ERROR: ReasonSpec(13, 503, "internal_error", "The decision cannot be made at the moment."),
}


class Match(NamedTuple):
    """One rule that matched."""

    rule: str
    effect: Effect
    error: str = ""
    """A stable code when the rule counts as matched because its condition could not be evaluated."""


class Reading(NamedTuple):
    """A signal's value for this step, beside the limit that the rules compare it with."""

    signal: str
    value: int
    threshold: int | None


class Excepted(NamedTuple):
    """A rule that would have matched, and the exception that lifted it."""

    rule: str
    exception: str


class Demand(NamedTuple):
    """What one challenging rule asks for."""

    rule: str
    approvers: tuple[str, ...] = ()
    """Groups; empty when no approval lifts the challenge."""
    binds: str = ""
    """`arguments` or `action`: what an approval is for."""
    uses: int = 0
    expires_s: int = 0
    acr: str = ""
    """The authentication context class that is asked for (RFC 9470)."""
    max_age_s: int = 0
    """Seconds since the authentication; 0 for any age."""
    steps_up: bool = False
    """Whether a stronger or fresher authentication is asked for."""


class Injected(NamedTuple):
    """A credential for the destination that goes along with an allowed step."""

    header: str
    audience: str
    ttl_s: int


class Verdict(NamedTuple):
    """Decision, reasons, obligations and advice for one step."""

    decision: Decision
    reason: Reason
    rule: str = ""
    """The decisive rule; `""` when none was."""
    detail: str = ""
    """Why, for the record only: a stable snake_case code, such as `svid_expired` or `path_encoded_slash`."""
    action: str = ""
    principal: str = ""
    """The SPIFFE ID, or `""`."""
    public_reason: str = ""
    """The winning rule's `reason` text for the caller."""
    remedy: str = ""
    """The winning rule's `remedy` for the caller."""
    retry_after: int = 0
    """Seconds, for throttle."""
    risk: int = 0
    matched: tuple[Match, ...] = ()
    """Every enforced rule that matched, winner or not."""
    would_have: tuple[Match, ...] = ()
    """Rules that matched in shadow (`enforce`)."""
    readings: tuple[Reading, ...] = ()
    contain: tuple[Containment, ...] = ()
    """Containments that this decision orders."""
    alert: str = ""
    """The highest `alert` of the matched rules."""
    tags: tuple[str, ...] = ()
    shadow: bool = False
    """The server runs in shadow mode: the caller is answered allow, the rest of the verdict is what it would have been."""
    degraded: bool = False
    """Some reading came from this replica alone."""
    demands: tuple[Demand, ...] = ()
    """challenge: all that has to be satisfied."""
    excepted: tuple[Excepted, ...] = ()
    inject: tuple[Injected, ...] = ()
    """allow: what goes along to the destination."""
    strip: tuple[str, ...] = ()
    """allow: lower-case names of headers that do not."""
    task: str = ""
    """The task's template, or `""`."""
    approval: str = ""
    """challenge: the id of the approval that it waits for, or `""`."""
