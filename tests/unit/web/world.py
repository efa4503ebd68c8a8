"""What the tests of the web share: a caller of one's choice, requests without a server, and desks with something on them."""

import asyncio
import json
from itertools import count
from urllib.parse import urlencode

import httpx

from authz_server.approvals.approver import Approver
from authz_server.approvals.desk import ApprovalDesk
from authz_server.approvals.shelf import MemoryShelf
from authz_server.control.operators import Group, Operators, Right
from authz_server.engine import Engine, Trust
from authz_server.engine.ports import Ports
from authz_server.engine.tally import Tally
from authz_server.envoy.credentials import CredentialSource
from authz_server.envoy.decode import Decoder, DecodeSettings
from authz_server.envoy.encode import Encoder
from authz_server.identity.authenticate import Authenticator, TrustSettings
from authz_server.identity.caller import build_caller_settings
from authz_server.model import Caller, CallerKind
from authz_server.state.containment import ContainedSet
from authz_server.state.guard import ContainmentGuard
from authz_server.state.memory import MemoryStore
from authz_server.taskbook.source import TokenTaskSource
from authz_server.web.access_requests import AccessPorts
from authz_server.web.app import WebPorts, build_app
from authz_server.web.approving import ApprovingPorts
from authz_server.web.asking import CALLER
from authz_server.web.authzen import AuthzenPorts
from authz_server.web.checks import Checker
from authz_server.web.evaluator import Evaluator
from authz_server.web.metadata import MetadataPorts
from authz_server.web.oauth import OAuthPorts
from tests.steps import KEYED, policy
from tests.unit.taskbook.world import AGENT, AUDIENCE, HELPER, ISSUER, NOW, ORCHESTRATOR, STRANGER
from tests.unit.taskbook.world import World as TaskWorld

BASE = "https://authz.corp.example"
SOC = "spiffe://corp.example/ns/soc/sa/s"
DPO = "spiffe://corp.example/ns/dpo/sa/d"
WATCHER = "spiffe://corp.example/ns/soc/sa/w"
GATEWAY = "spiffe://corp.example/ns/mesh/sa/gateway"
LOCAL = Caller(CallerKind.SOCKET, "unix:/x")
NOBODY = Caller(CallerKind.MTLS, "", valid=False, reason="svid_expired")
POLICY = """
    version: 1
    actions:
      - {name: crm.read, match: {host: crm.corp.example, path: "/crm/{id}"}, kind: read}
      - {name: crm.export, match: {host: crm.corp.example, method: POST, path: /export}, kind: bulk-read, sensitivity: high, body: json}
      - {name: crm.delete, match: {host: crm.corp.example, method: DELETE, path: "/crm/{id}"}, kind: delete}
      - {name: crm.pay, match: {host: crm.corp.example, path: /pay}, kind: write}
    signals:
      calls: {count: steps, per: principal, window: 10s}
    rules:
      - {name: agents, match: {principal: "spiffe://corp.example/ns/agents/**", action: "crm.*"}, then: allow}
      - {name: exports-wait, match: {action: crm.export}, then: challenge, reason: exports are looked at, approval: {by: ["group:soc"]}}
      - {name: no-deletes, match: {action: crm.delete}, then: quarantine, contain: {principal: 1h}, remedy: ask the owner}
      - {name: pay-mfa, match: {action: crm.pay}, then: challenge, step_up: {acr: mfa, max_age: 5m}}
      - {name: too-fast, when: signals.calls > 1, then: throttle}
"""
READ = {
    "subject": {"type": "workload", "id": AGENT},
    "action": {"name": "GET"},
    "resource": {"type": "http", "id": "https://crm.corp.example/crm/17"},
}
EXPORT = {
    **READ,
    "action": {"name": "POST"},
    "resource": {"type": "http", "id": "https://crm.corp.example/export", "properties": {"body": {"rows": 10}}},
}
JSON = {"content-type": "application/json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}


def by(name):
    return Caller(CallerKind.MTLS, name)


OPERATORS = Operators(
    [
        Group("soc", (SOC, "local"), frozenset({Right.CONTAIN, Right.APPROVE})),
        Group("dpo", (DPO,), frozenset({Right.APPROVE})),
        Group("eyes", (WATCHER,), frozenset({Right.RELEASE})),
    ]
)


class OnePolicy:
    refuses = False

    def __init__(self, snapshot):
        self.current = snapshot


class World:
    """All that is served, on one clock; `ports` may be changed before `app` is asked for."""

    def __init__(self, text=POLICY, **ports):
        self.tasks = TaskWorld()
        self._ids = count(1 << 64)
        self.shelf = MemoryShelf()
        self.acts = []
        self.approvals = ApprovalDesk(self.shelf, self.clock, self.new_id, self.acts.append, keyed=KEYED)
        self.store = MemoryStore(KEYED, lambda: int(self.clock() * 1000))
        self.contained = ContainedSet()
        self.submitted = []
        self.policy = OnePolicy(policy(text))
        approver = Approver(KEYED, self.shelf, self.store, self.approvals.take)
        self.engine = self._engine()
        trust = Trust(
            Authenticator(TrustSettings(None, ("principal",))), build_caller_settings((GATEWAY,), "any", (GATEWAY,))
        )
        self.deciding = Engine(self.engine._replace(approver=approver, **ports), trust)
        self.ports = WebPorts(
            metadata=MetadataPorts(BASE, ISSUER, lambda: {"keys": [self.tasks.key.public.jwk()]}),
            oauth=OAuthPorts(
                self.tasks.desk,
                lambda: self.tasks.policy.tasks.templates,
                OPERATORS.find,
                ISSUER,
                AUDIENCE,
                self.clock,
            ),
            authzen=AuthzenPorts(
                Evaluator(self.engine).evaluate,
                OPERATORS.find,
                lambda caller: caller.id == GATEWAY,
                Checker(self.deciding).check,
            ),
            access=AccessPorts(BASE, KEYED, self.approvals, approver, OPERATORS.find, self.clock),
            approving=ApprovingPorts(self.approvals, OPERATORS.find),
            origin=BASE,
        )

    @property
    def now(self):
        return self.tasks.now

    @now.setter
    def now(self, value):
        self.tasks.now = value

    def clock(self):
        return self.tasks.now

    def new_id(self):
        return f"{next(self._ids):032x}"

    def _engine(self):
        return Ports(
            decoder=Decoder(DecodeSettings(KEYED, (CredentialSource("authorization", ("bearer", "basic")),))),
            encoder=Encoder(),
            policy=self.policy,
            store=self.store,
            local=self.store,
            contained=self.contained,
            guard=ContainmentGuard(lambda _: False, 10, 600.0, 1.0),
            keyed=KEYED,
            clock=self.clock,
            monotonic=lambda: 0.0,
            new_id=self.new_id,
            submit=self.submitted.append,
            wake=lambda: None,
            tally=Tally(),
            tasks=TokenTaskSource(lambda: self.tasks.verifier),
        )

    @property
    def app(self):
        return build_app(self.ports)

    def call(self, method, path, caller=by(ORCHESTRATOR), *, content=None, headers=()):  # noqa: B008 - an immutable tuple
        """One request, without a server."""
        return ask(self.app, method, path, caller, content=content, headers=headers)

    def form(self, path, caller=by(ORCHESTRATOR), **parameters):  # noqa: B008 - as above
        return self.call("POST", path, caller, content=urlencode(parameters), headers=FORM)

    def json(self, path, body, caller=by(AGENT), **headers):  # noqa: B008 - as above
        lines = {**JSON, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return self.call("POST", path, caller, content=json.dumps(body), headers=lines)


def ask(app, method, path, caller, *, content=None, headers=()):
    async def known(scope, receive, send):
        scope["state"] = {CALLER: caller}
        await app(scope, receive, send)

    async def once():
        transport = httpx.ASGITransport(known)
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
            return await client.request(method, path, content=content, headers=headers)

    return asyncio.run(once())


__all__ = ["AGENT", "AUDIENCE", "HELPER", "ISSUER", "NOW", "ORCHESTRATOR", "STRANGER", "World", "ask", "by"]
