"""Policies and cases as texts, for the tests of what tries policies out."""

import textwrap
from pathlib import Path

from authz_server.policy.compiler import compile_policy
from authz_server.policy.report import Report
from authz_server.trial.case_policies import build_variants
from authz_server.trial.case_run import run_case
from authz_server.trial.cases import parse_cases
from authz_server.trial.trial import TRIAL_KEY

AGENT = "spiffe://corp.example/ns/agents/sa/a1"
OTHER = "spiffe://corp.example/ns/agents/sa/a2"

POLICY = """\
version: 1
vars:
  agents: ["spiffe://corp.example/ns/agents/**"]
  calls_per_10s: 5
actions:
  - {name: customer.read, match: {host: crm.corp.example, method: GET, path: "/v1/customers/{customer}"}, kind: read}
  - {name: customer.export, match: {host: crm.corp.example, method: POST, path: /v1/export}, kind: bulk-read, sensitivity: high}
  - name: "files.{tool}"
    match: {host: files.corp.example, mcp.method: tools/call, mcp.tool: [read_*, delete_*]}
    kind: write
    cases:
      - {mcp.tool: [delete_*], kind: delete, sensitivity: critical}
      - {mcp.tool: [read_*], kind: read}
tasks:
  - {name: weekly, issuers: [group:x], agents: $(agents), actions: [customer.export], ttl: 15m, max_depth: 1, budget: {steps: 2}}
signals:
  calls: {count: steps, per: [principal], window: 10s}
  customers: {distinct: path.customer, per: [principal], window: 1h}
  users: {distinct: principal, per: [credential], window: 1h}
  failed: {count: outcomes, per: [principal], window: 1m, when: "outcome.status >= 500"}
rules:
  - {name: agents-read, match: {principal: $(agents), action: customer.read}, then: allow}
  - {name: tools, match: {principal: $(agents), action: files.*, action.kind: read}, then: allow}
  - {name: within, match: {task: "*"}, when: task.covers && task.within_budget, then: allow}
  - name: too-many
    match: {principal: $(agents), action: customer.*}
    when: signals.customers > 2 && !(request.query == "a" || request.query == "b")
    then: deny
    remedy: Ask the data owner.
  - {name: too-fast, when: signals.calls > vars.calls_per_10s, then: throttle}
  - {name: failing, when: signals.failed > 1, then: throttle}
  - {name: shared, when: signals.users > 1, then: quarantine, contain: {pair: 1h}, alert: critical}
  - {name: no-delete, match: {mcp.tool: [delete_*]}, then: deny, enforce: 0%}
exceptions:
  - {name: move, rules: [too-many], match: {principal: "spiffe://corp.example/ns/agents/sa/mover"}, expires: 2030-01-01T00:00:00Z, reason: x}
"""
"""Grants, limits, a quarantine, a rule in shadow and an exception."""
DEFAULTS = f"{{as: {AGENT}, from: 10.1.2.3, request: {{host: crm.corp.example, path: /v1/customers/1}}}}"


def snapshot(text=POLICY):
    """The policy compiled for trials."""
    return compile_policy({"policy.yaml": textwrap.dedent(text).encode()}, TRIAL_KEY)


def parsed(text, file="x.cases.yaml"):
    """The cases of a text, and what is wrong with it."""
    report = Report()
    found = parse_cases(file, textwrap.dedent(text).encode(), report)
    return found, [str(fault) for fault in report.faults]


def case(steps, name="one", defaults=DEFAULTS):
    """A case of these steps, each a line of YAML."""
    lines = [f"defaults: {defaults}", "cases:", f"- name: {name}", "  steps:", *(f"  - {step}" for step in steps)]
    (found,), faults = parsed("\n".join(lines))
    assert faults == []
    return found


def ran(steps, policy=POLICY):
    """The result of a case of these steps."""
    (variant,) = build_variants({"policy.yaml": policy.encode()}, [case(steps)])
    return run_case(variant.cases[0], variant.snapshot)


def site(folder: Path, cases="", policy=POLICY):
    """A policy directory, with a file of cases."""
    (folder / "policy.yaml").write_text(policy)
    if cases:
        (folder / "one.cases.yaml").write_text(textwrap.dedent(cases))
    return folder
