"""What one approval is for: this caller's very step under these rules, and nothing that differs in any of it. Pure."""

import json
from hashlib import sha256
from typing import Final, NamedTuple

from authz_server.content.rpc import Rpc
from authz_server.keyhash import KeyedHash
from authz_server.model import BodyState, Principal, Request, Task
from authz_server.policy.digest import digest_of_rule
from authz_server.policy.snapshot import Snapshot
from authz_server.verdict import Demand, Verdict

ARGUMENTS: Final = "arguments"
MAX_TARGET: Final = 2048
"""Characters of a path, and of a query, that an approval can be for: an approver is shown all of it."""
_LABEL: Final = "authz-server/approval 2"
"""First part under the keyed hash. Nothing else that is hashed begins so."""

_OF_ONE_TRY: Final = frozenset({"progressToken", "traceparent", "tracestate", "baggage"})
"""Members of `params._meta` that differ each time that an MCP client makes the same call (basic, General fields)."""


class Challenged(NamedTuple):
    """A step that an approval could let pass."""

    request: Request
    principal: Principal
    task: Task | None
    verdict: Verdict
    """With the demands of every challenge that is not met."""
    snapshot: Snapshot

    @property
    def lineage(self) -> tuple[str, str]:
        """Who started it: issuer and originator of the task, else the caller itself."""
        task = self.task
        return (task.issuer, task.originator) if task is not None else (self.principal.id, self.principal.id)

    @property
    def parties(self) -> frozenset[str]:
        """Everybody in the requester's chain, none of whom may grant it."""
        task = self.task
        if task is None:
            return frozenset({self.principal.id})
        return task.parties | {self.principal.id, task.issuer, task.agent, task.originator}

    @property
    def demands(self) -> tuple[Demand, ...]:
        """Those that an approval lifts."""
        return tuple(demand for demand in self.verdict.demands if demand.approvers)

    @property
    def destination(self) -> str:
        """Where the step goes: the route's name of it, or the identity of the proxy in front of it."""
        return self.request.context.get("authz.service", "") or self.request.destination_principal

    @property
    def call(self) -> Rpc | None:
        """The call in the body where the catalogue reads one there; a body that only looks like one is like any other."""
        return self.snapshot.catalogue.classify(self.request).rpc


class Bound(NamedTuple):
    """What one approval is for; whoever knows all of it and the secret of the deployment can name it."""

    lineage: tuple[str, str]
    principal: str
    task_id: str
    destination: str
    action: str
    method: str
    host: str
    path: str
    query: str
    body: str
    """What stands for the body, see `digest_of`; `""` where it is not bound."""
    rules: tuple[tuple[str, str, str, tuple[str, ...]], ...]
    """Names, digests, reasons and groups, in the order of the names."""
    uses: int
    expires_s: int
    text: bytes = b""
    """What `body` is the digest of."""


def _rules_of(challenged: Challenged) -> tuple[tuple[str, str, str, tuple[str, ...]], ...]:
    """What the challenging rules say: an approval under another wording is none."""
    wanted = {demand.rule for demand in challenged.demands}
    entries = {rule.name: rule.entry for rule in challenged.snapshot.rules.rules if rule.name in wanted}
    said = {name: (digest_of_rule(entry), entry.reason) for name, entry in entries.items()}
    return tuple(sorted((each.rule, *said.get(each.rule, ("", "")), each.approvers) for each in challenged.demands))


def bound_of(challenged: Challenged) -> Bound | None:
    """Say what an approval of a step is for.

    The body is part of it unless every rule binds the action only.

    Returns:
        None when an approval could not say it: the body that it has to bind is not all there, or the target is longer than
        an approver is shown.
    """
    request, task = challenged.request, challenged.task
    body, text = "", b""
    if any(demand.binds == ARGUMENTS for demand in challenged.demands):
        if request.body_state not in {BodyState.ABSENT, BodyState.COMPLETE}:
            return None
        call = challenged.call
        text = request.body if call is None else _text_of(call)
        body = digest_of(text, is_call=call is not None)
    if len(request.path) > MAX_TARGET or len(request.query) > MAX_TARGET:
        return None
    return Bound(
        challenged.lineage,
        challenged.principal.id,
        task.id if task is not None else "",
        challenged.destination,
        challenged.verdict.action,
        request.method,
        request.host,
        request.path,
        request.query,
        body,
        _rules_of(challenged),
        min((demand.uses for demand in challenged.demands), default=0),
        min((demand.expires_s for demand in challenged.demands), default=0),
        text,
    )


def approval_id(keyed: KeyedHash, bound: Bound) -> str:
    """Name an approval: 32 hexadecimal digits, the same for the same step and for no other."""
    asked = json.dumps((bound.rules, bound.uses, bound.expires_s))
    return keyed.hex((_LABEL, *bound.lineage, *bound[1:-4], asked))


def digest_of(text: bytes, *, is_call: bool) -> str:
    """What stands for a body, or for a call in it: they are told apart."""
    digest = sha256(text).hexdigest()
    return f"call {digest}" if is_call else digest


def _text_of(call: Rpc) -> bytes:
    """Of a call all but its id and what follows it around, which a client makes anew for each try."""
    document = {name: value for name, value in call.document.items() if name != "id"}
    params = document.get("params", {})
    if isinstance(params.get("_meta"), dict):
        meta = {name: value for name, value in params["_meta"].items() if name not in _OF_ONE_TRY}
        document["params"] = {**params, "_meta": meta}
    return json.dumps(document, sort_keys=True).encode("ascii")
