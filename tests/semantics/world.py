"""A policy in force, and steps through the whole engine: what the tests of the language's semantics are written in."""

import json
import textwrap

import pytest

from authz_server.errors import PolicyError
from authz_server.model import Outcome, Task
from authz_server.policy.compiler import compile_policy
from authz_server.trial.described import Described
from authz_server.trial.trial import TRIAL_KEY, Trial

START = 1_790_000_000.0
"""2026-09-21, 14:13:20 UTC, a Monday."""
AGENT = "spiffe://corp.example/ns/agents/sa/a1"
OTHER = "spiffe://corp.example/ns/agents/sa/a2"
ISSUER = "spiffe://corp.example/ns/platform/sa/orchestrator"
DOCS = "spiffe://corp.example/ns/docs/sa/api"
VAULT = "spiffe://corp.example/ns/vault/sa/api"

ACTIONS = """
version: 1
actions:
  - {name: list,       match: {host: docs.corp.example, method: GET, path: /docs}, kind: discovery, stage: discovery}
  - {name: doc.read,   match: {host: docs.corp.example, method: GET, path: "/docs/{doc}"}, kind: read}
  - {name: doc.write,  match: {host: docs.corp.example, method: PUT, path: "/docs/{doc}"}, kind: write, body: json}
  - {name: doc.export, match: {host: docs.corp.example, method: POST, path: /export}, kind: bulk-read, sensitivity: high, stage: collection}
  - {name: secret,     match: {host: vault.corp.example, method: GET, path: "/secrets/{secret}"}, kind: credential, sensitivity: critical, stage: credential-access}
  - {name: "files.{tool}", match: {host: files.corp.example, mcp.method: tools/call, mcp.tool: [read_*, delete_*]}, kind: write,
     cases: [{mcp.tool: [delete_*], kind: delete, sensitivity: critical}, {mcp.tool: [read_*], kind: read}]}
"""
ALLOWED = """
rules:
  - {name: agents, match: {principal: "spiffe://corp.example/ns/agents/**"}, then: allow}
"""
TASKS = """
tasks:
  - {name: report, issuers: ["spiffe://corp.example/ns/platform/**"], agents: ["spiffe://corp.example/ns/agents/**"],
     actions: [list, doc.*], budget: {steps: 5, actions: {doc.export: 2}}, ttl: 15m, max_depth: 1}
"""


def task(agent=AGENT, **changes):
    """A task whose token is genuine."""
    values = {
        "template": "report",
        "id": "t1",
        "issuer": ISSUER,
        "agent": agent,
        "originator": "alice",
        "depth": 0,
        "expires": int(START) + 900,
    }
    return Task(**{**values, **changes})


class World:
    """One policy on a clock of its own.

    Attributes:
        event: of the last decision.
        answer: the bytes of its answer.
    """

    def __init__(self, text, *, files=None, environment="", shared=()):
        policy = {"policy.yaml": textwrap.dedent(text).encode(), **(files or {})}
        place = ("env/test.yaml", textwrap.dedent(environment).encode()) if environment else None
        self.snapshot = compile_policy(policy, TRIAL_KEY, shared, place)
        self.trial = Trial(self.snapshot, START)
        self.event = self.answer = None

    def later(self, seconds):
        """Let time pass."""
        self.trial.now += seconds

    def step(self, path="/docs/7", method="GET", who=AGENT, host="docs.corp.example", **more):
        """Decide one step; the verdict."""
        more.setdefault("address", "10.1.2.3")
        described = Described(method=method, path=path, principal=who, host=host, **more)
        self.event, self.answer = self.trial.decide(described)
        return self.event.verdict

    def steps(self, count, *arguments, **more):
        """Decide several equal steps; their decisions."""
        return [self.step(*arguments, **more).decision.value for _ in range(count)]

    def secret(self, name="db", **more):
        """Read a secret."""
        return self.step(f"/secrets/{name}", host="vault.corp.example", **more)

    def export(self, **more):
        """Export everything."""
        return self.step("/export", "POST", **more)

    def write(self, document, **more):
        """Write a document; what it has is JSON."""
        return self.step(
            "/docs/7", "PUT", headers=(("content-type", "application/json"),), body=json_of(document), **more
        )

    def tool(self, name, **arguments):
        """Call a tool."""
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": arguments}}
        headers = (("content-type", "application/json"),)
        return self.step("/mcp", "POST", host="files.corp.example", headers=headers, body=json_of(call))

    def answered(self, status=200, *, failed=False):
        """Let the destination answer the last step."""
        self.trial.learn(self.event, Outcome(status, 0, failed))

    def reading(self, name):
        """What the last verdict tells of a signal; None when it was not read."""
        return next((each.value for each in self.event.verdict.readings if each.signal == name), None)


def json_of(value):
    """Bytes of JSON."""
    return json.dumps(value).encode()


def faults(text, *, files=None, environment=""):
    """What a policy is refused for, as one text each."""
    with pytest.raises(PolicyError) as caught:
        World(text, files=files, environment=environment)
    return [str(fault) for fault in caught.value.faults]


def names(matches):
    """The rules of some matches."""
    return {match.rule for match in matches}
