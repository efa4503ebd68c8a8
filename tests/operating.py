"""What the tests of the operators' door share: a desk without a store, and the service of it; for tests."""

from itertools import count

from authz_server.containment.desk import Desk
from authz_server.containment.publisher import Publisher
from authz_server.containment.registry import Registry
from authz_server.containment.seal import Opener, Signer, derived_keys
from authz_server.control.acts import ActLog
from authz_server.control.containment_service import ContainmentPorts, containment_service
from authz_server.control.operators import LOCAL, Group, Operators, Right
from authz_server.errors import StateUnavailableError
from authz_server.keyhash import KeyedHash
from authz_server.model import Entity
from authz_server.state.containment import ContainedSet
from authz_server.state.keys import Keys

NOW = 1_800_000_000.0
ALICE = "spiffe://corp.example/ns/soc/sa/alice"
BOB = "spiffe://corp.example/ns/soc/sa/bob"
JUNIOR = "spiffe://corp.example/ns/desk/sa/jo"
A13 = Entity("principal", ("spiffe://corp.example/ns/agents/sa/a13",))
GATEWAY = Entity("principal", ("spiffe://corp.example/ns/edge/sa/gateway",))
ALL = frozenset(Right)
GROUPS = (
    Group("soc", ("spiffe://corp.example/ns/soc/sa/*", LOCAL), ALL),
    Group("desk", (JUNIOR,), frozenset({Right.CONTAIN})),
)


class NoStore:
    """A store that never answers."""

    def command(self, key, *parts):
        raise StateUnavailableError("timeout")

    def commands(self, commands):
        return [StateUnavailableError("timeout") for _ in commands]


class Office:
    """A desk with its service."""

    def __init__(self, store=None):
        keyed = KeyedHash(bytes(32))
        private, public = derived_keys(keyed)
        ids = count(1)
        self.acts = []
        self.contained = ContainedSet()
        self.registry = Registry(self.contained)
        self.now = NOW
        publisher = Publisher(
            store, Signer(private, keyed), Opener([public], keyed), Keys(keyed), self.registry,
            clock=self.clock, new_id=lambda: f"{next(ids):032x}",
        )  # fmt: skip
        self.desk = Desk(
            publisher, self.registry, self.contained,
            never=lambda entity: entity == GATEWAY, clock=self.clock, new_id=lambda: f"{next(ids):032x}",
            log=ActLog(self.acts.append, self.clock),
        )  # fmt: skip
        self.operators = Operators(GROUPS)
        self.service = containment_service(ContainmentPorts(self.desk, lambda: self.operators))

    def clock(self):
        return self.now
