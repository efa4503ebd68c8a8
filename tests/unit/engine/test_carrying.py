"""Credentials of destinations through the whole engine: what a step costs that cannot take one along."""

import pytest

from authz_server.verdict import Decision
from tests.harness import Bench
from tests.unit.engine.test_lifting import INJECT, Minter, Site

AGENT = "spiffe://corp.example/ns/agents/sa/a"
SPENDING = """version: 1
actions: [{name: export, match: {path: /export}, kind: read}, {name: other, match: {path: /other}, kind: read}]
signals: {spent: {budget: steps, per: [principal], window: 1h}}
rules:
  - {name: agents, match: {principal: "spiffe://corp.example/ns/agents/**"}, then: allow}
  - {name: enough, when: signals.spent > 2, then: throttle}
"""
WAITING = '  - {name: wait, match: {action: export}, then: challenge, approval: {by: ["group:soc"], uses: 9}}\n'


def test_a_step_without_its_credential_costs_no_budget():
    """Nothing has passed."""
    minter = Minter()
    it = Bench(SPENDING + INJECT, minter=minter, injects=True)
    for _ in range(5):
        assert it.step(path="/export", principal=AGENT).detail == "injection_unavailable"
        it.engine.tick()
    minter.value = "Bearer made"
    found = [it.step(path="/export", principal=AGENT).decision for _ in range(3)]
    assert found == [Decision.ALLOW, Decision.ALLOW, Decision.THROTTLE]


@pytest.mark.parametrize("text", [SPENDING + WAITING])
def test_nor_does_one_that_was_approved(text):
    minter = Minter()
    it = Site(text + INJECT, minter=minter, injects=True)
    it.approve(it.step().approval)
    for _ in range(5):
        assert it.step().detail == "injection_unavailable"
    minter.value = "Bearer made"
    assert [it.step().decision for _ in range(3)] == [Decision.ALLOW, Decision.ALLOW, Decision.THROTTLE]


def test_nor_does_one_whose_budget_others_read():
    """It is reserved when the step is answered."""
    text = SPENDING.replace("name: enough,", "name: enough, match: {action: other},")
    it = Bench(text + INJECT, minter=Minter(), injects=True)
    for _ in range(5):
        assert it.step(path="/export", principal=AGENT).detail == "injection_unavailable"
        it.engine.tick()
    assert it.step(path="/other", principal=AGENT).decision is Decision.ALLOW
