"""What one approval is for: this caller's very step under these rules, and nothing that differs in any of it. Pure."""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Final, NamedTuple

from authz_server.keyhash import KeyedHash
from authz_server.model import BodyState, Principal, Request, Task
from authz_server.policy.digest import digest_of_rule
from authz_server.policy.snapshot import Snapshot
from authz_server.verdict import Demand, Verdict

ARGUMENTS: Final = "arguments"
_LABEL: Final = "authz-server/approval 1"
"""First part under the keyed hash. Nothing else that is hashed begins so."""


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
        body = sha256(request.body).hexdigest()
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
