"""What is only asked about is decided as a check would be, and leaves nothing behind."""

import pytest

from authz_server import record
from authz_server.engine import Engine, Trust
from authz_server.envoy.credentials import CredentialSource
from authz_server.envoy.decode import Decoder, DecodeSettings
from authz_server.identity.authenticate import Authenticator, TrustSettings
from authz_server.identity.caller import build_caller_settings
from authz_server.model import Call, Caller, CallerKind, Containment, Entity
from authz_server.verdict import Decision, Reason
from authz_server.web.described import encode_check
from authz_server.web.evaluation_request import read_evaluation
from authz_server.web.evaluator import Evaluator
from tests.steps import KEYED
from tests.unit.proving.world import HOLDER, bound_headers, checker
from tests.unit.taskbook.world import ASKED
from tests.unit.web.world import AGENT, EXPORT, ORCHESTRATOR, READ, STRANGER, World

DELETE = {**READ, "action": {"name": "DELETE"}}
PAY = {**READ, "resource": {"type": "http", "id": "https://crm.corp.example/pay"}}
OTHER = {**READ, "resource": {"type": "http", "id": "https://crm.corp.example/%2e%2e/x"}}
FOREIGN = {**READ, "subject": {"type": "workload", "id": STRANGER}}
NOBODY = {**READ, "subject": {"type": "workload", "id": "ann"}}
ALL = [READ, EXPORT, DELETE, PAY, OTHER, FOREIGN, NOBODY]


@pytest.fixture
def it():
    return World()


def evaluate(it, question, headers=()):
    step = read_evaluation(question).step()
    return Evaluator(it.engine).evaluate(step._replace(headers=(*step.headers, *headers)))


def told(event):
    """The record, without what differs between any two decisions."""
    built = record.build(event)
    return {name: value for name, value in built.items() if name not in {"decision_id", "caller", "duration_us"}}


@pytest.mark.parametrize("question", ALL)
def test_the_record_is_that_of_a_first_check(it, question):
    asked = evaluate(it, question)
    trust = Trust(Authenticator(TrustSettings(None, ("principal",))), build_caller_settings(()))
    step = read_evaluation(question).step()
    Engine(it.engine, trust).decide([Call(encode_check(step, "1"), Caller(CallerKind.SOCKET, "x"), None)])
    assert told(asked.event) == told(it.submitted[-1])


def test_the_decisions(it):
    found = [evaluate(it, question).verdict for question in ALL]
    assert [verdict.decision for verdict in found] == [
        Decision.ALLOW, Decision.CHALLENGE, Decision.QUARANTINE, Decision.CHALLENGE, Decision.DENY, Decision.DENY, Decision.DENY,
    ]  # fmt: skip
    assert [verdict.reason for verdict in found[4:]] == [Reason.DECODE_ERROR, Reason.NO_MATCH, Reason.UNAUTHENTICATED]


def test_nothing_is_left_behind(it):
    """Asked a hundred times it is still the first step; nobody is contained, nothing recorded, nothing asked for."""
    for question in ALL * 10:
        evaluate(it, question)
    assert evaluate(it, READ).verdict.readings[0].value == 1
    assert len(it.contained) == 0
    assert it.submitted == []
    assert list(it.engine.tally.totals()) == []
    assert it.shelf.asks(it.now) == []
    assert it.store.apply([]) == []


def test_who_is_contained_already_is_refused(it):
    it.contained.add(Containment(Entity("principal", (AGENT,)), it.now + 60, "soc"))
    assert evaluate(it, READ).verdict.reason is Reason.CONTAINED
    it.now += 61
    assert evaluate(it, READ).verdict.decision is Decision.ALLOW


def test_a_policy_that_is_too_old_and_an_unknown_fleet_decide_nothing(it):
    it.policy.refuses = True
    assert evaluate(it, READ).verdict.detail == "policy_stale"
    it.policy.refuses = False
    it.engine = it.engine._replace(synced=lambda: False)
    assert evaluate(it, READ).verdict.detail == "containment_unknown"


def test_the_policy_of_the_moment_decides(it):
    evaluator = Evaluator(it.engine)
    it.policy.current = World(
        "version: 1\nactions: [{name: all, match: {host: other}, kind: read}]\nrules: []\n"
    ).policy.current
    assert evaluator.evaluate(read_evaluation(READ).step()).verdict.decision is Decision.DENY


def test_workloads_of_other_trust_domains_are_none(it):
    found = Evaluator(it.engine, frozenset({"other.example"})).evaluate(read_evaluation(READ).step())
    assert (found.verdict.reason, found.principal) == (Reason.UNAUTHENTICATED, None)


def test_the_task_of_a_token_counts(it):
    """One that is bound to the subject; of another it denies, as in a check."""
    token = it.tasks.desk.open(ORCHESTRATOR, ASKED).token
    found = evaluate(it, READ, [("txn-token", token)])
    assert (found.task.template, found.principal.id, found.task.agent) == ("report", AGENT, AGENT)
    assert evaluate(it, FOREIGN, [("txn-token", token)]).task is None
    assert evaluate(it, READ, [("txn-token", "x")]).verdict.reason is Reason.TASK_MISMATCH


PROVEN = """
    version: 1
    actions: [{name: crm.read, match: {path: "/crm/{id}"}, kind: read}]
    rules:
      - {name: agents, match: {principal: "spiffe://corp.example/ns/agents/**"}, then: allow}
      - {name: proved, match: {action: crm.read}, when: credential.proof == "", then: deny}
"""


def test_a_proof_counts_and_stays_for_the_step():
    """One that holds is found; one that does not denies, as in a check; the step itself still passes with it."""
    it = World(PROVEN)
    proofs = checker()
    decoder = Decoder(DecodeSettings(KEYED, (CredentialSource("authorization", ("dpop",)),)))
    it.engine = it.engine._replace(proofs=proofs, decoder=decoder)
    shown = bound_headers(htu=READ["resource"]["id"], iat=int(it.now)).items()
    for _ in range(2):
        assert evaluate(it, READ, shown).verdict.decision is Decision.ALLOW
    assert evaluate(it, READ).verdict.rule == "proved"
    other = evaluate(it, READ, bound_headers(htu="https://elsewhere.example/", iat=int(it.now)).items())
    assert (other.verdict.reason, other.verdict.detail) == (Reason.UNAUTHENTICATED, "proof_htu")
    found = evaluate(it, READ, shown)
    assert proofs.proof_of(found.request, found.principal, it.now, b"mark").proof.jkt == HOLDER.public.kid


def test_it_knows_who_and_what_and_by_which_policy(it):
    found = evaluate(it, EXPORT)
    assert (found.principal.id, found.request.path, found.snapshot) == (AGENT, "/export", it.policy.current)
    assert (found.request.body, found.task) == (b'{"rows":10}', None)
