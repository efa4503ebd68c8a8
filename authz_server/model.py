"""The vocabulary that all layers share: frozen values, no behaviour beyond reading them.

Rules of this file: no I/O, no parsing (that is `envoy/`, `identity/`), no deciding (that is `pdp.py`). Tuples rather
than dataclasses: a step builds several of them, and a NamedTuple is built in a fifth of the time of a frozen dataclass.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple


class BodyState(StrEnum):
    """How much of the request's body the check carries."""

    ABSENT = "absent"
    """The request has no body."""
    COMPLETE = "complete"
    PARTIAL = "partial"
    """Truncated, or not provably whole."""
    UNAVAILABLE = "unavailable"
    """The request has one, and Envoy did not send it."""
    TOO_LARGE = "too_large"
    """Whole, and larger than this server reads."""


class Credential(NamedTuple):
    """Something the caller presents, known only by a keyed hash: the secret itself never leaves the decoder."""

    kind: str
    """`bearer`, `basic`, or the header's name, such as `x-api-key`."""
    id: str
    """32 hexadecimal digits."""


class Request(NamedTuple):
    """One decoded check (envoy.service.auth.v3.AttributeContext), canonical and unambiguous."""

    protocol: str
    """`http`, or `tcp` for a check without an HTTP part."""
    method: str
    """As sent, upper-case; `""` for tcp."""
    path: str
    """Canonical, without query and without a trailing slash (except `/`); `""` for CONNECT and tcp."""
    raw_path: str
    """As Envoy sent it, with the query."""
    query: str
    """Behind the first `?`, undecoded."""
    host: str
    """Lower-case, without port and trailing dot."""
    headers: Mapping[str, str]
    """Lower-case names, without pseudo headers; values of a repeated header joined by `,`."""
    repeated: Mapping[str, tuple[str, ...]]
    """The single values of each header that occurred more than once."""
    body: bytes
    body_state: BodyState
    upgrade: str
    """`""`, `connect`, or the lower-case token of the Upgrade header."""
    source_address: str
    """The peer's IP address without port (IPv4-mapped IPv6 unfolded); `""` for a pipe or an internal address."""
    source_principal: str
    source_certificate: str
    """URL-escaped PEM of the leaf, as Envoy sent it."""
    destination_address: str
    destination_principal: str
    destination_service: str
    """The SNI of a tcp check; `""` for HTTP."""
    context: Mapping[str, str]
    """Envoy's `context_extensions`: set by the operator for the route."""
    metadata: Mapping[str, Any]
    """Envoy's `metadata_context` by namespace, as plain values."""
    credentials: tuple[Credential, ...]
    spoofed: tuple[str, ...]
    """Names of the client's headers that imitate ours (`x-authz-*` and their `_` twins); removed on allow."""
    id: str
    """Envoy's stream id; unique only within one proxy process."""
    size: int = 0
    """Bytes of body in the check, more than those of `body` where that is more than this server reads."""


class Principal(NamedTuple):
    """An authenticated caller."""

    id: str
    """The SPIFFE ID, `spiffe://trust-domain/path`."""
    trust_domain: str
    namespace: str
    """Behind `/ns/` of an Istio-shaped ID, else `""`."""
    service_account: str
    """Behind `/sa/` of an Istio-shaped ID, else `""`."""
    authenticated_by: str
    """`certificate`, `principal`, `xfcc`, or `legacy` for a caller that the policy knows by where and how it calls."""


class Absent(NamedTuple):
    """Nobody authenticated: no certificate, no principal, no trusted XFCC."""


class Invalid(NamedTuple):
    """An identity was presented and does not hold. Always denies; never treated as absent."""

    reason: str
    """A stable snake_case code for the record, such as `svid_expired`."""


ABSENT = Absent()

TASK_ENDED = "task_ended"
"""The rule of a record that tells every replica that a task is over, and the reason why its token does not hold."""


Identity = Principal | Absent | Invalid


class Task(NamedTuple):
    """Declared work under which a step is made: proved by a verified task token that is bound to the caller."""

    template: str
    """The name of its entry in the policy's `tasks`."""
    id: str
    issuer: str
    """Who opened it: a SPIFFE ID or `group:<name>`."""
    agent: str
    """The SPIFFE ID it is bound to."""
    originator: str
    """On whose behalf, as the issuer said; the issuer itself where it said nothing."""
    depth: int
    """Delegations between the issuer and this caller."""
    expires: int
    """Unix time in seconds."""
    actions: tuple[str, ...] = ()
    """Patterns of action names narrower than the template's; empty for the template's own."""
    steps: int = 0
    """A budget of steps below the template's; 0 for the template's own."""
    parties: frozenset[str] = frozenset()
    """Everybody who has a part in it, none of whom may approve its steps."""
    key: str = ""
    """The thumbprint of the key that its token is bound to; `""` for another binding."""


class Outcome(NamedTuple):
    """What the destination answered to a step that was allowed."""

    status: int
    """HTTP status; 0 when there was no answer."""
    bytes: int
    """Of the answer's body."""
    failed: bool
    """The destination could not be reached or broke off."""


class CallerKind(StrEnum):
    """How the proxy that asks was authenticated."""

    SOCKET = "socket"
    """Through a Unix socket whose permissions admit it."""
    TOKEN = "token"  # noqa: S105 - the name of a kind
    """By the shared caller secret."""
    MTLS = "mtls"
    """By its own X.509-SVID on our mTLS listener."""
    SIDECAR = "sidecar"
    """By the XFCC metadata that our own mesh sidecar set."""
    INSECURE = "insecure"
    """Not at all (`--insecure-plaintext`)."""


class Caller(NamedTuple):
    """The proxy that asks (the policy enforcement point), not the one that makes the step."""

    kind: CallerKind
    id: str
    """Its SPIFFE ID where it has one, else the listener's name."""
    valid: bool = True
    reason: str = ""
    """Why it is not valid."""


class Call(NamedTuple):
    """One Check as a listener hands it over."""

    payload: bytes
    caller: Caller
    remaining_ms: float | None
    """Milliseconds until the caller stops waiting, when it said so."""


class Action(NamedTuple):
    """What a request is classified as."""

    name: str
    kind: str
    stage: str
    """`""`, or a stage of an intrusion."""
    sensitivity: str
    service: str = ""
    """The catalogue's name of the destination, for a route that has no better one."""
    body: str = ""
    """`json` when the entry reads the body."""


class Entity(NamedTuple):
    """Whom a measurement or a containment is about: a type and its parts, hashed only where they become a key."""

    type: str
    parts: tuple[str, ...]


OPEN_TASK = "open-task"
"""Type of the entity that stands for a task being open: its flag is there as long as the task is."""


class Containment(NamedTuple):
    """One quarantine in force."""

    entity: Entity
    until: float
    """Unix time in seconds."""
    rule: str
    """The rule or operator's act that caused it."""
