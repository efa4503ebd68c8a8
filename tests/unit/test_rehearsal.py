"""A snapshot decides plain requests before it is published."""

import pytest

from authz_server import pdp
from authz_server.errors import PolicyError
from authz_server.rehearsal import MAX_SAMPLES, rehearse
from tests.steps import NOW, policy

CATALOGUE = """
    version: 1
    actions:
      - {name: plain,   match: {host: "*.corp.example", method: [PUT, GET], path: "/v1/{thing}/**"}, kind: read}
      - {name: marked,  match: {header: {x-kind: "a*"}, path: /marked}, kind: read}
      - {name: called,  match: {grpc.service: a.B, grpc.method: [Get, List]}, kind: read}
      - {name: written, match: {method: POST, path: /json}, kind: write, body: json}
      - {name: "t.{tool}", match: {host: tools.corp.example, mcp.method: tools/call, mcp.tool: [read_*]}, kind: read}
      - {name: asked,   match: {host: tools.corp.example, mcp.method: initialize}, kind: read}
      - {name: talked,  match: {host: agents.corp.example, a2a.method: SendMessage}, kind: message}
      - {name: socket,  match: {path: /ws, upgrade: websocket}, kind: read}
    signals: {calls: {count: steps, per: [principal], window: 10s}}
    rules:
"""


def rehearsed(rule):
    return [(fault.path, fault.message) for fault in rehearse(policy(CATALOGUE + rule), NOW)]


def seen(monkeypatch, snapshot):
    """The actions that the rehearsal meets."""
    found = []

    def begin(*arguments):
        begun = real(*arguments)
        found.append(begun.step.action.name if isinstance(begun, pdp.Pending) else begun.verdict.action)
        return begun

    real = pdp.begin
    monkeypatch.setattr("authz_server.rehearsal.begin", begin)
    rehearse(snapshot, NOW)
    return found


def test_every_entry_is_met_by_a_plain_request_of_its_own(monkeypatch):
    """By a workload and by nobody; upgrades aside, which no plain request is."""
    found = seen(monkeypatch, policy(CATALOGUE + "      - {name: a, when: signals.calls > 3, then: deny}\n"))
    assert {"plain", "marked", "called", "written", "t.read_rehearsal", "asked", "talked", "unclassified"} <= set(found)
    assert len(found) == 2 * (1 + 7)


@pytest.mark.parametrize(
    "rule",
    [
        "      - {name: a, then: deny}\n",
        "      - {name: a, when: signals.calls > 3, then: deny}\n",
        "      - {name: a, match: {action: written}, when: 'request.json[?\"a\"].orValue(1) == 1', then: deny}\n",
        '      - {name: a, when: \'request.headers["x"] == "y"\', then: observe}\n',
        "      - {name: a, match: {principal: 'spiffe://**'}, when: 'request.headers[\"x\"] == \"y\"', then: allow}\n",
    ],
)
def test_what_can_be_decided_is_no_news(rule):
    """A denial is a decision; an error in what grants or observes opens nothing."""
    assert rehearsed(rule) == []


@pytest.mark.parametrize("effect", ["challenge", "throttle", "deny", "quarantine, contain: {pair: 1h}"])
def test_a_restricting_condition_that_a_plain_request_breaks_is_a_warning(effect):
    """At its place, once, with the remedy; also in shadow it would not be what its author meant."""
    (found,) = rehearsed(f'      - {{name: a, when: \'request.headers["x"] == "y"\', then: {effect}}}\n')
    assert found[0] == "rules[0].when"
    assert "orValue" in found[1]


def test_a_condition_that_reads_signals_is_rehearsed_too():
    """With readings of nothing."""
    (found,) = rehearsed('      - {name: a, when: \'signals.calls == 0 && request.headers["x"] == "y"\', then: deny}\n')
    assert found[0] == "rules[0].when"


def test_a_decision_that_ends_in_an_exception_refuses_the_snapshot(monkeypatch):
    """It must not meet a live request."""
    monkeypatch.setattr("authz_server.rehearsal.begin", lambda *_: 1 / 0)
    with pytest.raises(PolicyError, match="ZeroDivisionError"):
        rehearse(policy(CATALOGUE + "      - {name: a, then: deny}\n"), NOW)


def test_a_large_catalogue_is_rehearsed_in_part():
    """A reload is not to take longer for it than for compiling."""
    entries = "".join(f"      - {{name: e{n}, match: {{path: /e{n}}}, kind: read}}\n" for n in range(MAX_SAMPLES + 5))
    text = "    version: 1\n    rules:\n      - {name: a, then: deny}\n    actions:\n" + entries
    assert rehearse(policy(text), NOW) == []
