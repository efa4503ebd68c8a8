"""Whose a credential is: in the process, and in every store that replicas share."""

from typing import Any

import pytest

from authz_server.engine.owners import MemoryOwners, Owned, Owners, owners_in
from authz_server.keyhash import KeyedHash
from authz_server.state.network import Command
from tests.contract.stores import KEYED, Stand

NOW = 1_790_000_000.0
ONE, TWO = "1" * 32, "2" * 32
ALICE = Owned("spiffe://corp.example/ns/agents/sa/alice", NOW, NOW + 60)
BOB = Owned("spiffe://corp.example/ns/p/sa/o bob \u00e9\nx", NOW + 1, NOW + 60)


@pytest.fixture
def owners(stand: Stand) -> Owners:
    return owners_in(stand.store, KEYED)


def test_the_first_claim_stands(owners: Owners) -> None:
    """Another's is refused, and says so."""
    assert owners.find((ONE, TWO), NOW) == [None, None]
    assert owners.claim(ONE, ALICE)
    assert not owners.claim(ONE, BOB)
    assert owners.claim(TWO, BOB)
    assert owners.find((TWO, ONE), NOW) == [BOB, ALICE]


def test_a_claim_ends(owners: Owners) -> None:
    """From then on it is nobody's, whatever the store's own clock says."""
    owners.claim(ONE, ALICE)
    assert owners.find((ONE,), NOW + 59.9) == [ALICE]
    assert owners.find((ONE,), NOW + 60) == [None]


def test_renewing_keeps_it_for_longer_and_makes_none(owners: Owners) -> None:
    """What has ended in between is not claimed by it."""
    later = ALICE._replace(written=NOW + 50, until=NOW + 500)
    owners.renew(ONE, later)
    assert owners.find((ONE,), NOW) == [None]
    owners.claim(ONE, ALICE)
    owners.renew(ONE, later)
    assert owners.find((ONE,), NOW + 499) == [later]


def test_nothing_is_asked_for_nothing(owners: Owners) -> None:
    """No credential, no answer."""
    assert owners.find((), NOW) == []


def test_the_store_holds_no_identity_and_drops_what_has_ended(served: Stand) -> None:
    """Sealed, under a hashed name, with an end; in its place among the signals that a replica may write."""
    assert served.server is not None
    owners_in(served.store, KEYED).claim(ONE, ALICE)
    with served.server.client() as client:
        (key,) = client.keys("az:*:s:l")
        assert b"alice" not in client.get(key)
        assert ONE.encode() not in key
        assert 59_000 < client.pttl(key) <= 60_000


def test_what_somebody_else_wrote_is_nobodys(served: Stand) -> None:
    """Of another deployment, moved from another credential, or no record at all."""
    assert served.server is not None
    owners = owners_in(served.store, KEYED)
    owners.claim(ONE, ALICE)
    with served.server.client() as client:
        (key,) = client.keys("az:*:s:l")
        moved = client.get(key)
        client.delete(key)
        owners.claim(TWO, BOB)
        (other,) = client.keys("az:*:s:l")
        for value in (moved, b"", b"spiffe://corp.example/ns/agents/sa/alice", moved[:-1] + b"\0"):
            client.set(other, value)
            assert owners.find((TWO,), NOW) == [None]
    stranger = owners_in(served.store, KeyedHash(b"s" * 32))
    assert stranger.find((TWO,), NOW) == [None]


def test_a_process_keeps_so_many_and_no_more() -> None:
    """What is known stays; there is room when something has ended."""
    owners = MemoryOwners(limit=1)
    assert owners.claim(ONE, ALICE)
    assert not owners.claim(TWO, BOB)
    assert owners.find((ONE, TWO), NOW) == [ALICE, None]
    assert owners.claim(TWO, BOB._replace(written=NOW + 60, until=NOW + 90))
    assert owners.claim(TWO, ALICE._replace(written=NOW + 90, until=NOW + 91))


def test_whose_they_are_is_asked_as_fast_as_a_batch() -> None:
    """A decision waits for it; nobody waits for what is kept."""

    class Store:
        def __init__(self) -> None:
            self.kept: list[bytes] = []

        def prompt(self, commands: list[Command]) -> list[Any]:
            return [None] * len(commands)

        def commands(self, commands: list[Command]) -> list[Any]:
            self.kept += [command.parts[0] for command in commands]
            return [b"OK"] * len(commands)

    store = Store()
    owners = owners_in(store, KEYED)
    assert owners.find((ONE,), NOW) == [None]
    assert store.kept == []
    assert owners.claim(ONE, ALICE)
    assert store.kept == [b"SET"]
