"""What one approval is for: this caller's very step under these rules, and nothing that differs in any of it. Pure."""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Final, NamedTuple

from authz_server.content.rpc import Rpc
from authz_server.keyhash import KeyedHash
from authz_server.model import BodyState, Principal, Request, Task
from authz_server.policy.digest import digest_of_rule
from authz_server.policy.snapshot import Snapshot
from authz_server.verdict import Demand, Verdict

ARGUMENTS: Final = "arguments"
_LABEL: Final = "authz-server/approval 1"
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


def rule_digests(challenged: Challenged) -> Mapping[str, str]:
    """What the challenging rules say, by their names: an approval under another wording is none."""
    wanted = {demand.rule for demand in challenged.demands}
    return {rule.name: digest_of_rule(rule.entry) for rule in challenged.snapshot.rules.rules if rule.name in wanted}


def approval_id(keyed: KeyedHash, challenged: Challenged) -> str:
    """Name the approval of a step: 32 hexadecimal digits, the same for the same step and for no other.

    The body is part of it unless every rule binds the action only.

    Returns:
        `""` when an approval could not say what it is for: the body that it has to bind is not all there.
    """
    request = challenged.request
    body = ""
    if any(demand.binds == ARGUMENTS for demand in challenged.demands):
        if request.body_state not in {BodyState.ABSENT, BodyState.COMPLETE}:
            return ""
        body = _digest(request.body, challenged.call)
    rules = json.dumps(rule_digests(challenged), sort_keys=True)
    task = challenged.task
    return keyed.hex(
        (
            _LABEL,
            *challenged.lineage,
            challenged.principal.id,
            task.id if task is not None else "",
            challenged.destination,
            challenged.verdict.action,
            request.method,
            request.host,
            request.path,
            request.query,
            body,
            rules,
        )
    )


def _digest(body: bytes, call: Rpc | None) -> str:
    """What stands for a body: of a call all but its id and what follows it around, which a client makes anew for each try."""
    if call is None:
        return sha256(body).hexdigest()
    document = {name: value for name, value in call.document.items() if name != "id"}
    params = document.get("params", {})
    if isinstance(params.get("_meta"), dict):
        meta = {name: value for name, value in params["_meta"].items() if name not in _OF_ONE_TRY}
        document["params"] = {**params, "_meta": meta}
    text = json.dumps(document, sort_keys=True)
    return f"call {sha256(text.encode('ascii')).hexdigest()}"
