"""Traces for tests: a small policy, the site's own sections for it, and lines."""

import copy
import json

from authz_server.model import Caller, CallerKind
from authz_server.policy.compiler import compile_policy
from authz_server.record import DecisionEvent
from authz_server.trial.site import join
from authz_server.trial.trace_step import SitePolicy, read_step
from authz_server.trial.trial import TRIAL_KEY
from authz_server.verdict import Decision, Reason, Verdict

AGENT = "spiffe://corp.example/ns/agents/sa/a1"
OTHER = "spiffe://corp.example/ns/agents/sa/a2"
API = "spiffe://corp.example/ns/crm/sa/api"

PACK = """\
version: 1
vars:
  agents: ["spiffe://nobody.example/**"]
  limit: 3
signals:
  calls:  {count: steps, per: [principal], window: 10s}
  walked: {walk: {refused: 2, absent: 1.5}, of: request.path, each: [principal], half_life: 6h, cap: 24, ring: 16}
rules:
  - {name: agents-may, match: {principal: $(agents), action: [thing.*, export]}, then: allow}
  - {name: declared, match: {action.kind: bulk-read}, when: "!task.covers", then: challenge, approval: {by: ["group:soc"]}}
  - {name: lost, when: "signals.walked >= 3", then: deny}
  - {name: too-fast, when: signals.calls > vars.limit, then: throttle}
"""
SITE = {
    "vars": {"agents": ["spiffe://corp.example/ns/agents/**"], "issuer": ["spiffe://corp.example/ns/ci/sa/issuer"]},
    "actions": [
        {"name": "thing.read", "match": {"method": "GET", "path": "/things/{thing}"}, "kind": "read"},
        {"name": "export", "match": {"method": "GET", "path": "/export"}, "kind": "bulk-read"},
    ],
    "tasks": [
        {
            "name": "report",
            "issuers": "$(issuer)",
            "agents": "$(agents)",
            "actions": ["export", "thing.*"],
            "ttl": "15m",
            "idle": "5m",
        },
        {
            "name": "relay",
            "issuers": "$(issuer)",
            "agents": "$(agents)",
            "actions": ["export"],
            "ttl": "15m",
            "idle": "5m",
            "max_depth": 1,
        },
    ],
}

REASONS = {
    "allow": Reason.OK,
    "challenge": Reason.CHALLENGE,
    "throttle": Reason.THROTTLED,
    "deny": Reason.DENIED,
    "quarantine": Reason.CONTAINED,
}


def event(decision, rule="", **more):
    """The event of a decision."""
    verdict = Verdict(Decision(decision), more.pop("reason", REASONS[decision]), rule=rule, **more)
    return DecisionEvent("0" * 32, 0.0, "digest", Caller(CallerKind.SOCKET, "x"), None, verdict, 0)


def line(t=0.0, path="/things/1", **changes):
    """One step as a mapping; `name__inner` changes a field of a field, None takes one out."""
    found = {
        "t": t,
        "label": "benign",
        "chain": "B1-01",
        "source": {"principal": AGENT, "address": "10.1.2.3"},
        "destination": {"principal": API, "service": "crm"},
        "request": {"method": "GET", "host": "crm.corp.example", "path": path},
        "outcome": {"status": 200, "bytes": 10, "after": 0.01},
    }
    for name, value in {"t": t, **changes}.items():
        *outer, last = name.split("__")
        place = found
        for part in outer:
            place = place.setdefault(part, {})
        if value is None:
            place.pop(last, None)
        else:
            place[last] = copy.deepcopy(value)
    return found


def attack(t=0.0, path="/things/1", **changes):
    """One step of an attack."""
    return line(t, path, **{"label": "attack", "chain": "S1-01", "stage": "discovery", **changes})


def step(t=0.0, path="/things/1", number=1, **changes):
    """One step as the reader gives it."""
    return read_step(line(t, path, **changes), number)


def text(*lines, site=SITE):
    """A trace as bytes."""
    first = [{"policy": site}] if site is not None else []
    return b"".join(json.dumps(each).encode() + b"\n" for each in [*first, *lines])


def snapshot(pack=PACK):
    """The policy of these traces."""
    files, place = join({"pack.yaml": pack.encode()}, None, SitePolicy(**SITE))
    return compile_policy(files, TRIAL_KEY, (), place)
