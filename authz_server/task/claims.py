"""What a task token says: the claims of an OAuth Transaction Token (draft-ietf-oauth-transaction-tokens-10, section 5).

`txn` is the task, `act` the agent that carries it with those before it nested inside (RFC 8693 4.1), `tctx` what the task
is, `cnf` how the agent proves itself (RFC 7800). Former names of the draft (`azd`, `purp`) are not read.
"""

import json
from typing import Final, NamedTuple

from authz_server.content.json_strict import JsonValue
from authz_server.model import Task

TYP: Final = "txntoken+jwt"
MAX_DEPTH: Final = 8
"""Delegations behind the first agent: the most that a template may allow."""
MAX_GENERATION: Final = 1024
"""Replacements of one token: at five minutes each, more than the longest task can need."""
MAX_ACTIONS: Final = 64
"""Patterns of actions in one token: more is a template of its own."""
MAX_BUDGETS: Final = 16
"""Budgets by action of one token, as of one template."""
MAX_STEPS: Final = 1_000_000
"""Steps of one budget, as of one template."""
MAX_CONTEXT: Final = 16
"""Members of `rctx`: they go into records."""

BY_SPIFFE: Final = "spiffe"
"""`cnf` member of ours: the SPIFFE ID that must be authenticated beside the token. Survives the rotation of an SVID."""
BY_CERTIFICATE: Final = "x5t#S256"
"""RFC 8705 3.1: SHA-256 of the certificate's DER. Ends with the certificate."""
BY_KEY: Final = "jkt"
"""RFC 9449 6.1: the thumbprint of the key that signs DPoP proofs."""


class Confirmation(NamedTuple):
    """How the holder of a token proves itself."""

    method: str
    """`spiffe`, `x5t#S256` or `jkt`."""
    value: str
    """A SPIFFE ID, or 43 characters of base64url."""


class TaskClaims(NamedTuple):
    """One token, read."""

    issuer: str
    """`iss`: the token service that signed."""
    audience: str
    """`aud`: the trust domain."""
    txn: str
    """The id of the task; the same in all tokens of it."""
    jti: str
    """The id of this token."""
    subject: str
    """`sub`: on whose authority, as the token service knows it; unique in the trust domain."""
    issued: int
    """`iat`, Unix seconds."""
    expires: int
    """`exp`, Unix seconds; the token holds before it."""
    req_wl: str
    """The workload that asked for this token: who opened the task, handed it on or had its token replaced."""
    agents: tuple[str, ...]
    """SPIFFE IDs of its carriers, the first one first; the last one is the agent that may show this token."""
    confirmation: Confirmation
    """`cnf`."""
    template: str
    """The entry of the policy's `tasks` that it was opened from."""
    opener: str
    """Who opened the task: a SPIFFE ID or `group:<name>`."""
    originator: str
    """On whose behalf; with the opener it is the lineage."""
    deadline: int
    """The end of the task, Unix seconds: no replacement outlives it."""
    actions: tuple[str, ...] = ()
    """Patterns of action names narrower than the template's; empty for the template's own."""
    steps: int = 0
    """Steps that the token's holder may make; 0 for what the template says."""
    budgets: tuple[tuple[str, int], ...] = ()
    """Steps by pattern of action names, beside the template's own."""
    purpose: str = ""
    """For people; at most 256 printable characters."""
    generation: int = 0
    """How often the agent's token was replaced."""
    context: tuple[tuple[str, str | int | bool], ...] = ()
    """`rctx`: circumstances of the request for the token, such as `req_ip`."""

    @property
    def agent(self) -> str:
        """The one that may show this token."""
        return self.agents[-1]

    @property
    def depth(self) -> int:
        """Delegations between the first agent and this one."""
        return len(self.agents) - 1

    @property
    def scope(self) -> tuple[str, ...]:
        """`scope`: the patterns of actions, or the name of the template where the token has none."""
        return self.actions or (self.template,)

    @property
    def parties(self) -> frozenset[str]:
        """Everybody who has a part in the task, none of whom may approve its steps."""
        return frozenset({self.subject, self.opener, self.originator, self.req_wl, *self.agents})

    def as_task(self) -> Task:
        """What the policy reads of it."""
        return Task(
            template=self.template,
            id=self.txn,
            issuer=self.opener,
            agent=self.agent,
            originator=self.originator,
            depth=self.depth,
            expires=self.expires,
            actions=self.actions,
            steps=self.steps,
            parties=self.parties,
            key=self.confirmation.value if self.confirmation.method == BY_KEY else "",
        )


def encode_claims(claims: TaskClaims) -> bytes:
    """Write the claims as compact JSON in UTF-8; `read_claims` reads exactly this back."""
    act: dict[str, JsonValue] = {}
    for agent in claims.agents:
        act = {"sub": agent, "act": act} if act else {"sub": agent}
    body: dict[str, JsonValue] = {
        "iss": claims.issuer,
        "iat": claims.issued,
        "exp": claims.expires,
        "aud": claims.audience,
        "txn": claims.txn,
        "jti": claims.jti,
        "sub": claims.subject,
        "scope": " ".join(claims.scope),
        "req_wl": claims.req_wl,
        "act": act,
        "cnf": {claims.confirmation.method: claims.confirmation.value},
        "tctx": _encode_task(claims),
    }
    if claims.context:
        body["rctx"] = dict(claims.context)
    # Without `\u` escapes, which strict readers have to look into. A lone surrogate becomes what they refuse.
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


def _encode_task(claims: TaskClaims) -> dict[str, JsonValue]:
    """`tctx`; what is absent in the claims is absent in it, since an empty list could be read as all or as nothing."""
    task: dict[str, JsonValue] = {
        "template": claims.template,
        "opener": claims.opener,
        "originator": claims.originator,
        "deadline": claims.deadline,
        "depth": claims.depth,
        "generation": claims.generation,
    }
    if claims.actions:
        task["actions"] = list(claims.actions)
    budget: dict[str, JsonValue] = {"steps": claims.steps} if claims.steps else {}
    if claims.budgets:
        budget["actions"] = dict(claims.budgets)
    if budget:
        task["budget"] = budget
    if claims.purpose:
        task["purpose"] = claims.purpose
    return task
