"""authz_server/policy/named.py: the actions that a policy names."""

from authz_server.policy.named import named_actions
from authz_server.policy.schema import parse_policy

POLICY = b"""version: 1
actions:
  - {name: "files.{tool}", match: {host: files.example, mcp.tool: "*"}, kind: read, sensitivity: low}
legacy: [{name: l, match: {source: 10.4.2.0/24}, actions: [files.legacy, "files.*"]}]
tasks:
  - name: t
    issuers: ["spiffe://corp.example/i"]
    agents: ["spiffe://corp.example/a"]
    actions: [files.task, "files.t*"]
    budget: {steps: 9, actions: {files.budget: 2}}
    ttl: 15m
signals:
  s: {count: steps, per: [principal], window: 1m, match: {action: files.signal}, exclude: {action: files.unsignalled}}
rules:
  - {name: a, match: {principal: "spiffe://**", action: [files.rule, "files.r*"]}, then: allow}
  - {name: d, exclude: {action: files.excluded}, when: signals.s > 2, then: deny}
exceptions: [{name: e, rules: [d], match: {action: files.exception}, expires: 2036-11-24T18:00:00Z, reason: r}]
envelopes: [{name: v, match: {principal: "spiffe://corp.example/a", action: files.envelope}, rate: 5/s}]
inject: [{match: {action: files.inject}, header: authorization, audience: "https://files.example"}]
"""


def test_every_section_that_is_about_steps_names_actions():
    """Patterns are no names."""
    parsed = parse_policy({"a.yaml": POLICY})
    assert not parsed.faults
    assert {name.removeprefix("files.") for name in named_actions(parsed.text)} == {
        "legacy", "task", "budget", "signal", "unsignalled", "rule", "excluded", "exception", "envelope", "inject",
    }  # fmt: skip
