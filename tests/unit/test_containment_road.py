"""The parts of each role, on a real Valkey: who contains, who hears of it, who may sign."""

import time

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from authz_server import assembly
from authz_server.config import load_config
from authz_server.containment_road import ContainmentRoad
from authz_server.errors import ConfigError
from authz_server.model import Containment, Entity
from authz_server.state.containment import ContainedSet
from tests.servers import valkey
from tests.steps import KEYED

EVE = Entity("principal", ("spiffe://corp.example/ns/agents/sa/eve",))
SOC = frozenset({"contain", "release"})


@pytest.fixture(scope="module")
def server():
    with valkey() as found:
        yield found


@pytest.fixture
def keys(tmp_path, server):
    with server.client() as client:
        client.flushall()
    private = Ed25519PrivateKey.generate()
    (tmp_path / "record.key").write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "record.pub").write_bytes(public)
    (tmp_path / "hash.key").write_bytes(b"k" * 32)
    return tmp_path


@pytest.fixture
def replica(server, keys):
    made = []

    def replica(role, state=server.url):
        made.append(Replica(role, state, keys))
        return made[-1]

    yield replica
    for each in made:
        each.store.close()


class Replica:
    def __init__(self, role, state, keys):
        secrets = (
            f"{{hash_key: {keys}/hash.key, record_key: {keys}/record.key, record_public_keys: [{keys}/record.pub]}}"
        )
        text = f"role: {role}\nstate: '{state}'\nsecrets: {secrets}\ncontainment: {{never: ['spiffe://corp.example/ns/soc/**']}}\n"
        self.config = load_config("c.yaml", text.encode(), {"state_budget": "2s"})
        self.contained = ContainedSet(wall=assembly.clock, steady=time.monotonic)
        self.store = assembly.build_store(self.config, KEYED)
        self.released, self.log = [], []
        self.road = ContainmentRoad(
            self.config, KEYED, self.store, self.contained, released=self.released.append, log=self.log.append
        )
        self.desk = self.road.build_desk(self.config, self.contained, self.log.append)

    def holds(self, entity=EVE):
        return self.contained.find((entity,), assembly.clock()) is not None


def settle(*replicas):
    """A few rounds of every feed's thread."""
    for _ in range(6):
        for replica in replicas:
            replica.road.poll()
        time.sleep(0.02)


def test_what_one_replica_contains_every_other_one_enforces(replica):
    one, two = (replica("all") for _ in range(2))
    settle(one, two)
    one.road.sink.post(Containment(EVE, assembly.clock() + 600, "rule"))
    settle(two)
    assert two.holds()
    two.desk.release("local", SOC, EVE, "done")
    settle(one)
    assert not one.holds()
    assert one.released[-1] == EVE


def test_a_data_role_asks_and_the_control_role_signs(replica):
    data, control, other = (replica(role) for role in ("data", "control", "data"))
    assert (data.road.signer, data.road.publisher, data.desk) == (None, None, None)
    settle(data, control, other)
    data.road.sink.post(Containment(EVE, assembly.clock() + 600, "rule"))
    settle(control, other)
    assert other.holds()


def test_what_nobody_may_contain_is_refused_and_told(replica):
    data, control, other = (replica(role) for role in ("data", "control", "data"))
    protected = Entity("principal", ("spiffe://corp.example/ns/soc/sa/x",))
    settle(data, control, other)
    data.road.sink.post(Containment(protected, assembly.clock() + 600, "rule"))
    settle(control, other)
    assert not other.holds(protected)
    assert [said["code"] for said in control.log] == ["guard_never"]


def test_nothing_is_known_before_the_first_reading(replica):
    one = replica("all")
    assert (one.road.synced(), one.road.state) == (False, "loading")
    one.road.poll()
    assert (one.road.synced(), one.road.state) == (True, "ok")


def test_what_is_asked_waits_until_all_records_are_read(replica, monkeypatch):
    """A control role that has just started does not know yet who was released since."""
    data, control = replica("data"), replica("control")
    control.road.poll()
    data.road.sink.post(Containment(EVE, assembly.clock() + 600, "burst"))
    time.sleep(0.002)
    control.desk.contain("local", SOC, EVE, 60, "x")
    control.desk.release("local", SOC, EVE, "closed")
    fresh = replica("control")
    with monkeypatch.context() as patched:
        patched.setattr("authz_server.containment.feed.ROUNDS", 0)
        fresh.road.poll()
    assert not fresh.road.synced()
    for _ in range(2):
        fresh.road.poll()
    assert fresh.road.synced()
    assert not fresh.holds()
    assert fresh.road._reader.refused == {"stale": 1}


def test_without_a_store_to_share_everything_is_known(replica):
    one = replica("all", "memory")
    assert (one.road.synced(), one.road.feed) == (True, None)
    one.desk.contain("local", SOC, EVE, 600, "incident 7")
    assert one.holds()
    one.road.poll()
    one.desk.release("local", SOC, EVE, "over")
    assert not one.holds()


def test_replicas_of_another_secret_are_told_apart(replica):
    """They would count and contain past each other."""
    one = replica("all")
    settle(one)
    two = replica("data")
    two.road._keyed = assembly.KeyedHash(b"o" * 32)
    settle(two)
    assert (two.road.synced(), two.road.state) == (False, "state_mismatch")


def test_what_is_no_key_is_a_fault(replica, keys):
    (keys / "record.key").write_text("rubbish")
    with pytest.raises(ConfigError, match=r"secrets\.record_key: not an unencrypted Ed25519"):
        replica("all", "memory")
