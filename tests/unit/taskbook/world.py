"""A desk of tasks with real tokens, on a clock of its own."""

from itertools import count

from cryptography.hazmat.primitives.asymmetric import ec

from authz_server.model import Entity
from authz_server.task.keypair import build_signing_key
from authz_server.task.token import TokenVerifier
from authz_server.taskbook.desk import TaskDesk
from authz_server.taskbook.memory import MemoryTaskBook
from authz_server.taskbook.opening import OpenTask
from authz_server.taskbook.ports import DeskPorts
from authz_server.taskbook.tokens import TaskTokens, TokenSettings
from tests.steps import KEYED, policy

NOW = 1_790_000_000.0
ORCHESTRATOR = "spiffe://corp.example/ns/platform/sa/orchestrator"
AGENT = "spiffe://corp.example/ns/agents/sa/a"
HELPER = "spiffe://corp.example/ns/agents/sa/b"
STRANGER = "spiffe://corp.example/ns/other/sa/x"
ANALYST = "spiffe://corp.example/ns/people/sa/ann"
POLICY = """
    version: 1
    actions:
      - {name: crm.read, match: {path: "/crm/{id}"}, kind: read}
      - {name: crm.export, match: {path: /export}, kind: bulk-read, sensitivity: high}
      - {name: vault.read, match: {path: /vault}, kind: credential, sensitivity: critical}
    tasks:
      - name: report
        issuers: ["spiffe://corp.example/ns/platform/**", group:analysts]
        agents: ["spiffe://corp.example/ns/agents/**"]
        actions: [crm.*]
        budget: {steps: 40}
        ttl: 1h
        idle: 10m
        max_depth: 1
      - {name: nightly, issuers: [group:analysts], agents: ["spiffe://corp.example/ns/agents/**"], actions: [crm.read],
         hours: ["00:00-01:00 UTC"], ttl: 1h}
    rules: []
"""
ISSUER, AUDIENCE = "https://authz.corp.example", "corp.example"
ASKED = OpenTask("report", AGENT)


class World:
    """A desk and all that it is given; `contained` and `policy` may be changed."""

    def __init__(self, book=None):
        self.now = NOW
        self.key = build_signing_key(ec.generate_private_key(ec.SECP256R1()))
        self.verifier = TokenVerifier({self.key.public.kid: self.key.public}, ISSUER, AUDIENCE, KEYED)
        self.tokens = TaskTokens(
            TokenSettings(ISSUER, AUDIENCE), lambda _: self.key, lambda: self.verifier, self.new_id
        )
        self.contained: set[Entity] = set()
        self.policy = policy(POLICY)
        self.book = book if book is not None else MemoryTaskBook()
        self.told: list = []
        self.acts: list[dict] = []
        self._ids = count(1)
        self.desk = TaskDesk(
            DeskPorts(
                book=self.book,
                tokens=self.tokens,
                policy=lambda: self.policy,
                groups=lambda caller: frozenset({"analysts"}) if caller == ANALYST else frozenset(),
                is_contained=lambda entity: entity in self.contained,
                tell_end=self.told.append,
                clock=lambda: self.now,
                new_id=self.new_id,
                log=self.acts.append,
            )
        )

    def new_id(self):
        return f"{next(self._ids):032x}"
