"""A challenged step, a shelf and a desk, on a clock of their own."""

from itertools import count

from authz_server.approvals.approver import Approver
from authz_server.approvals.binding import Challenged
from authz_server.approvals.desk import ApprovalDesk
from authz_server.approvals.shelf import MemoryShelf
from authz_server.model import BodyState
from authz_server.pdp import Decided
from authz_server.state.memory import MemoryStore
from authz_server.verdict import Decision, Demand, Reason, Verdict
from tests.steps import AGENT, KEYED, policy, principal, request

NOW = 1_790_000_000.0
ANN = "spiffe://corp.example/ns/people/sa/ann"
BOB = "spiffe://corp.example/ns/people/sa/bob"
POLICY = """
    version: 1
    actions: [{name: export, match: {method: POST, path: /export}, kind: bulk-read, sensitivity: high}]
    rules:
      - {name: agents, match: {principal: "spiffe://corp.example/ns/agents/**", action: export}, then: allow}
      - {name: exports-wait, match: {action: export}, then: challenge, reason: exports are looked at, approval: {by: ["group:soc"]}}
      - {name: big-ones-too, match: {action: export}, then: challenge, approval: {by: ["group:dpo"], binds: action}}
"""
CALLS = POLICY.replace("{method: POST, path: /export}", "{path: /mcp, mcp.tool: export}")
"""The same for a call of a tool."""
SOC = Demand("exports-wait", ("group:soc",), "arguments", 1, 600)
DPO = Demand("big-ones-too", ("group:dpo",), "action", 1, 600)
MARK = b"m" * 16
MAY = frozenset({"approve"})


def challenged(*demands, text=POLICY, task=None, **changes):
    verdict = Verdict(Decision.CHALLENGE, Reason.CHALLENGE, action="export", demands=demands or (SOC,))
    values = {"body": b'{"rows":10}', "body_state": BodyState.COMPLETE, "context": {"authz.service": "crm"}} | changes
    values = {"method": "POST", "path": "/export"} | values
    return Challenged(request(**values), principal(), task, verdict, policy(text))


class World:
    def __init__(self):
        self.now = NOW
        self._ids = count(1)
        self.shelf = MemoryShelf()
        self.log = []
        self.desk = ApprovalDesk(
            self.shelf, lambda: self.now, lambda: f"{next(self._ids):032x}", self.log.append, keyed=KEYED
        )
        self.store = MemoryStore(KEYED, lambda: int(self.now * 1000))
        self.approver = Approver(KEYED, self.shelf, self.store, self.desk.take)
        self.decision = Decision.ALLOW
        self.redone = []

    def redo(self, rules):
        self.redone.append(rules)
        return Decided(Verdict(self.decision, Reason.OK if self.decision is Decision.ALLOW else Reason.DENIED))

    def lift(self, step=None, mark=MARK):
        found = self.approver.lift(step or challenged(), mark, self.now, self.redo)
        self.approver.flush()
        return found

    def ask(self, step=None):
        _, name = self.lift(step)
        return name

    def approve(self, name, author=ANN, groups=frozenset({"soc"}), rights=MAY):
        return self.desk.approve(author, rights, groups, name, "looked at it")


__all__ = ["AGENT", "ANN", "BOB", "CALLS", "DPO", "MARK", "MAY", "NOW", "POLICY", "SOC", "World", "challenged"]
