"""Approvals through the whole engine: what spends one, and that a step which is refused for something else does not."""

import itertools

import pytest

from authz_server.approvals.approver import Approver
from authz_server.approvals.desk import ApprovalDesk
from authz_server.approvals.shelf import MemoryShelf
from authz_server.state.memory import MemoryStore
from authz_server.verdict import Decision, Reason
from tests.harness import KEYED, Bench, Clock
from tests.jose import AGENT, NOW
from tests.unit.proving.world import HOST, bound_headers, checker

ANN = "spiffe://corp.example/ns/people/sa/ann"
POLICY = """version: 1
actions: [{name: export, match: {path: /export}, kind: read}]
rules:
  - {name: agents, match: {principal: "spiffe://corp.example/ns/agents/**"}, then: allow}
  - {name: wait, match: {action: export}, then: challenge, approval: {by: ["group:soc"]}}
"""
COUNTED = """  - {name: slow, when: signals.calls > 90, then: throttle}
signals: {calls: {count: steps, per: [principal], window: 1h}}
"""
INJECT = 'inject: [{match: {action: export}, header: authorization, audience: "https://a.example", ttl: 30s}]\n'
READING = [POLICY, POLICY + COUNTED]
"""Decided without a reading, and with one."""


class Minter:
    """Makes credentials when there are any."""

    value = ""

    def mint(self, injected, principal, task, now):
        return self.value


class Site:
    """Replicas that share a store, and somebody who approves."""

    def __init__(self, text, replicas=1, **more):
        self.clock = Clock(NOW)
        self.numbers = itertools.count(1)
        self.store, shelf = MemoryStore(KEYED, self.clock.milliseconds), MemoryShelf()
        new_id = lambda: f"{next(self.numbers):032x}"  # noqa: E731 - as the server's
        self.desk = ApprovalDesk(shelf, self.clock, new_id, lambda _: None, keyed=KEYED)
        self.replicas = [
            Bench(
                text, store=self.store, clock=self.clock, proofs=checker(),
                approver=Approver(KEYED, shelf, self.store, self.desk.take), **more,
            )
            for _ in range(replicas)
        ]  # fmt: skip

    def step(self, replica=0, **headers):
        it = self.replicas[replica]
        found = it.step(
            path="/export", headers=headers, principal=AGENT, host=HOST, stream_id=str(next(self.numbers))
        )  # each of Envoy's checks is another one
        it.engine.tick()
        return found

    def approve(self, approval):
        self.desk.approve(ANN, frozenset({"approve"}), frozenset({"soc"}), approval, "looked at it")


def proof():
    return bound_headers(htu=f"https://{HOST}/export")


@pytest.mark.parametrize("text", READING)
def test_an_approved_step_passes_once(text):
    it = Site(text)
    it.approve(it.step().approval)
    assert it.step().decision is Decision.ALLOW
    assert it.step().decision is Decision.CHALLENGE


@pytest.mark.parametrize("text", READING)
def test_with_a_proof_likewise(text):
    it = Site(text)
    it.approve(it.step(**proof()).approval)
    assert it.step(**proof()).decision is Decision.ALLOW
    assert it.step(**proof()).decision is Decision.CHALLENGE


@pytest.mark.parametrize("text", READING)
def test_a_proof_that_another_replica_has_seen_spends_no_approval(text):
    it = Site(text, 2)
    shown = proof()
    it.approve(it.step(**shown).approval)
    assert it.step(replica=1, **shown).detail == "proof_replayed"
    assert it.step(**proof()).decision is Decision.ALLOW


@pytest.mark.parametrize("text", READING)
def test_a_credential_that_cannot_be_made_spends_no_approval(text):
    minter = Minter()
    it = Site(text + INJECT, minter=minter, injects=True)
    it.approve(it.step().approval)
    refused = it.step()
    assert (refused.reason, refused.detail) == (Reason.INTERNAL_ERROR, "injection_unavailable")
    minter.value = "Bearer made"
    assert it.step().decision is Decision.ALLOW
    assert it.step().decision is Decision.CHALLENGE
