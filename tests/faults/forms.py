"""The short and the long form of the fault tests, and what all of them agree on."""

import os
import time

from tests.site_pki import agent

LONG_S = 60
"""How long a fault lasts in the long form."""
BUDGET_MS = 40
"""How long a decision may wait for the store here: more than the default, since a busy machine is no fault of the store."""
LIMIT = 60
"""Steps of one identity in a window, unless a test says otherwise."""
WINDOW = "31d"
"""A window's counts fade as the next one begins, at a multiple of its length; so it is the longest one."""
DECLARED = "declared"
"""The identity that the policy itself contains."""
RECOVERY_S = 2.0
"""After the store is back, readiness says so within this."""
now = time.monotonic


def long_form() -> bool:
    """Whether the long form is asked for."""
    return os.environ.get("AUTHZ_FAULTS") == "long"


def seconds(short: float, long: float = LONG_S) -> float:
    """Choose a length by the form."""
    return long if long_form() else short


def policy(limit: int = LIMIT, extra: str = "") -> str:
    """The policy of the fault tests.

    `thing.read` goes on with local counts when the store is away, `thing.write` is denied then (`by-kind`), and one step on
    `trap` contains its caller for ten minutes. `extra` is appended: further rules, indented by two.
    """
    return f"""\
version: 1
contained:
  - {{principal: "{agent(DECLARED)}", reason: a declared containment}}
actions:
  - {{name: trap, match: {{method: GET, path: /v1/trap}}, kind: read}}
  - {{name: thing.read, match: {{method: GET, path: "/v1/things/{{thing}}"}}, kind: read, sensitivity: low}}
  - {{name: thing.write, match: {{method: PUT, path: "/v1/things/{{thing}}"}}, kind: write}}
signals:
  calls: {{count: steps, per: [principal], window: {WINDOW}}}
  caught: {{count: steps, per: [principal], window: {WINDOW}, match: {{action: trap}}}}
rules:
  - {{name: agents-work, match: {{principal: "spiffe://corp.example/ns/agents/**", action: [thing.*, trap]}}, then: allow}}
  - {{name: too-fast, when: signals.calls > {limit}, then: throttle}}
  - {{name: trapped, match: {{action: trap}}, when: signals.caught > 0, then: quarantine, contain: {{principal: 10m}}}}
{extra}"""
