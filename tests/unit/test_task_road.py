"""Tasks, approvals and minted credentials of each role, on a real Valkey."""

import time

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from authz_server import assembly
from authz_server.approvals.asking import describe
from authz_server.approvals.binding import approval_id, bound_of
from authz_server.approvals.desk import ApprovalError
from authz_server.approvals.shelf import ASKED as ASKED_AT
from authz_server.config import load_config
from authz_server.containment_road import ContainmentRoad
from authz_server.control.operators import build_operators
from authz_server.errors import StateUnavailableError
from authz_server.model import Entity, Invalid
from authz_server.state.containment import ContainedSet
from authz_server.state.redis import RedisStore
from authz_server.task_road import TaskRoad
from authz_server.taskbook.opening import OpenTask
from tests.servers import valkey
from tests.steps import KEYED, policy, principal, request
from tests.unit.approvals import world as asking
from tests.unit.taskbook.world import AGENT, ASKED, HELPER, ORCHESTRATOR, POLICY


@pytest.fixture(scope="module")
def server():
    with valkey() as found:
        yield found


@pytest.fixture
def make(server, tmp_path):
    private = Ed25519PrivateKey.generate()
    (tmp_path / "key").write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "pub").write_bytes(public)
    (tmp_path / "hash").write_bytes(b"k" * 32)
    with server.client() as client:
        client.flushall()
    made = []

    def make(role="all", state=server.url):
        made.append(Replica(role, state, tmp_path))
        return made[-1]

    yield make
    for each in made:
        each.store.close()


class Replica:
    def __init__(self, role, state, keys):
        secrets = f"{{hash_key: {keys}/hash, record_key: {keys}/key, record_public_keys: [{keys}/pub]}}"
        operators = "{analysts: {members: ['spiffe://corp.example/ns/people/**'], may: [approve]}}"
        text = f"role: {role}\nstate: '{state}'\nsecrets: {secrets}\ntasks: {{audience: corp.example}}\noperators: {operators}\n"
        config = load_config("c.yaml", text.encode(), {"state_budget": "2s"})
        self.contained = ContainedSet(wall=assembly.clock, steady=time.monotonic)
        self.store = assembly.build_store(config, KEYED)
        self.log = []
        self.road = ContainmentRoad(
            config, KEYED, self.store, self.contained, released=lambda _: None, log=self.log.append
        )
        self.tasks = TaskRoad(
            config,
            KEYED,
            self.store,
            self.road,
            policy=lambda: policy(POLICY),
            operators=build_operators(config.operators),
            log=self.log.append,
        )

    def shown(self, token, who=AGENT):
        found = request(headers={"txn-token": token})
        return self.tasks.source.task_of(found, principal(who), assembly.clock())

    def poll(self):
        self.road.poll()
        self.tasks._keys_at = self.tasks._told_at = self.tasks._swept_at = 0.0
        self.tasks.poll()


def test_a_token_of_the_control_role_holds_in_the_data_role(make):
    control, data = make("control"), make("data")
    issued = control.tasks.desk.open(ORCHESTRATOR, ASKED)
    assert data.shown(issued.token) == Invalid("token_unknown_key")
    control.poll()
    data.poll()
    assert data.shown(issued.token).id == issued.task.id
    assert (data.tasks.desk, data.tasks.minter, data.tasks.services) == (None, None, [])
    assert [service.name for service in control.tasks.services] == ["authz.v1.Approvals", "authz.v1.Tasks"]


def test_the_end_of_a_task_reaches_every_replica(make):
    """As a record of its own kind, so that it is not taken for a misdeed."""
    control, data = make("control"), make("data")
    for each in (control, data):
        each.poll()
    issued = control.tasks.desk.open(ORCHESTRATOR, ASKED)
    control.tasks.desk.end(AGENT, issued.task.id, "done")
    data.poll()
    held = data.contained.find((Entity("task", (issued.task.id,)),), assembly.clock())
    assert held.rule == "task_ended"
    assert data.road.feed.refused == {}


def test_who_works_is_not_idle_wherever_it_works(make):
    control, data = make("control"), make("data")
    issued = control.tasks.desk.open(ORCHESTRATOR, ASKED)
    control.poll()
    data.poll()
    data.shown(issued.token)
    data.poll()
    (seen,) = control.tasks._book.seen([issued.task.id])
    assert abs(seen - assembly.clock()) < 10


def test_an_outage_of_the_store_makes_no_task_idle(make, monkeypatch):
    """What was done meanwhile is told late; before that nobody knows who was idle."""
    begun, later = assembly.clock(), [0.0]
    monkeypatch.setattr(assembly, "clock", lambda: begun + later[0])
    control, data = make("control"), make("data")
    issued = control.tasks.desk.open(ORCHESTRATOR, ASKED)
    for each in (control, data):
        each.poll()
    data.shown(issued.token)
    with monkeypatch.context() as down:
        down.setattr(RedisStore, "commands", no_answer)
        later[0] = 700.0
        for each in (control, data):
            with pytest.raises(StateUnavailableError):
                each.poll()
            each.tasks._keys_at = time.monotonic() + 60
            with pytest.raises(StateUnavailableError):
                each.tasks.poll()
    for each in (control, data):
        each.poll()
    assert control.tasks.desk.find(AGENT, issued.task.id).is_open
    control.tasks._settled_at = 0.0
    control.poll()
    assert control.tasks.desk.find(AGENT, issued.task.id).is_open
    later[0] += 700.0
    control.poll()
    assert control.tasks.desk.find(AGENT, issued.task.id).ended_reason == "idle"


def no_answer(_, commands):
    return [StateUnavailableError("timeout")] * len(commands)


def test_a_contained_agent_gets_no_task(make):
    one = make()
    one.poll()
    desk = one.road.build_desk(load_config("c.yaml", b"", {}), one.contained, one.log.append)
    desk.contain("local", frozenset({"contain"}), Entity("principal", (HELPER,)), 60, "x")
    with pytest.raises(Exception, match="not permitted"):
        one.tasks.desk.open(ORCHESTRATOR, OpenTask("report", HELPER))


def test_a_task_that_is_contained_ends(make):
    one = make()
    one.poll()
    issued = one.tasks.desk.open(ORCHESTRATOR, ASKED)
    desk = one.road.build_desk(load_config("c.yaml", b"", {}), one.contained, one.log.append)
    desk.contain("local", frozenset({"contain"}), Entity("task", (issued.task.id,)), 60, "x")
    one.poll()
    assert one.tasks.desk.find(AGENT, issued.task.id).ended_reason == "contained"


def test_what_stands_where_replicas_ask_keeps_no_task_from_ending_and_nobody_from_asking(make, server):
    """Every replica beside an agent may write there."""
    control, data = make("control"), make("data")
    for each in (control, data):
        each.poll()
    issued = control.tasks.desk.open(ORCHESTRATOR, ASKED)
    desk = control.road.build_desk(load_config("c.yaml", b"", {}), control.contained, control.log.append)
    desk.contain("local", frozenset({"contain"}), Entity("task", (issued.task.id,)), 60, "x")
    with server.client() as client:
        client.set(ASKED_AT, b"x")
    control.poll()
    assert control.tasks.desk.find(AGENT, issued.task.id).ended_reason == "contained"
    for trimmed in ((), ("MAXLEN", 0)):
        with server.client() as client:
            client.execute_command("XADD", ASKED_AT, *trimmed, f"{2**64 - 1}-{2**64 - 1}", "a", "b")
        for _ in range(2):
            control.poll()
        assert data.tasks.approver._shelf.ask(waiting())
    control.poll()
    assert [ask.id for ask in control.tasks._shelf.asks(0)] == [waiting().id]


def waiting():
    """What a data replica asks."""
    it = asking.World()
    it.ask()
    (ask,) = it.shelf.asks(asking.NOW)
    return ask.model_copy(update={"asked": assembly.clock(), "until": assembly.clock() + 60})


def test_whoever_works_in_a_task_approves_nothing_of_it_whomever_a_data_replica_leaves_out(make):
    """The control role takes the chain from its own book."""
    control, data = make("control"), make("data")
    issued = control.tasks.desk.open(ORCHESTRATOR, ASKED)
    control.tasks.desk.delegate(AGENT, issued.token, HELPER)
    for each in (control, data):
        each.poll()
    step = asking.challenged(task=data.shown(issued.token))
    bound = bound_of(step)
    ask = describe(approval_id(KEYED, bound), step, bound, assembly.clock())
    assert data.tasks.approver._shelf.ask(ask.model_copy(update={"parties": ()}))
    control.poll()
    with pytest.raises(ApprovalError) as refused:
        control.tasks.approvals.approve(HELPER, asking.MAY, frozenset({"soc"}), ask.id, "please")
    assert refused.value.code == "approval_own"
    assert control.tasks.approvals.approve(asking.ANN, asking.MAY, frozenset({"soc"}), ask.id, "fine").rules


def test_a_task_that_ended_while_it_was_contained_stays_over_after_the_release(make):
    """Its token has minutes to live, and steps that read no signal go by what every replica was told."""
    one, data = make(), make("data")
    for each in (one, data):
        each.poll()
    issued = one.tasks.desk.open(ORCHESTRATOR, ASKED)
    entity = Entity("task", (issued.task.id,))
    desk = one.road.build_desk(load_config("c.yaml", b"", {}), one.contained, one.log.append)
    desk.contain("local", frozenset({"contain"}), entity, 7200, "x")
    one.poll()
    assert one.tasks.desk.find(AGENT, issued.task.id).ended_reason == "contained"
    desk.release("local", frozenset({"release"}), entity, "a false alarm")
    for each in (one, data):
        each.poll()
        assert each.contained.find((entity,), assembly.clock()).rule == "task_ended"


def test_in_one_process_everything_works_without_a_store(make):
    one = make("all", "memory")
    one.poll()
    issued = one.tasks.desk.open(ORCHESTRATOR, ASKED)
    assert one.shown(issued.token).id == issued.task.id
    one.tasks.desk.end(ORCHESTRATOR, issued.task.id, "done")
    assert one.shown(issued.token) == Invalid("task_ended")
    assert one.tasks.minter is not None
