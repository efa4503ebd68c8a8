"""What a replica knows of whose credentials are, and how it learns it."""

from authz_server.engine import heritage as module
from authz_server.engine.heritage import FIRST_S, KNOWN_S, MAX_NEW, OWNED_S, RENEW_S, UNCLAIMED_S, Heritage
from authz_server.engine.owners import MemoryOwners, Owned
from authz_server.errors import StateUnavailableError
from authz_server.model import Entity
from authz_server.pdp import Decided
from authz_server.policy.heritage import OWNER, owner_plan
from authz_server.signals import Hit, Signal, SignalKind
from authz_server.verdict import Decision, Reason, Verdict

NOW = 1_790_000_000.0
CALLS = Signal("calls", "00000001", SignalKind.COUNT, 1000, 4)


class Counted(MemoryOwners):
    """Owners that count what is asked, and can be away."""

    def __init__(self):
        super().__init__()
        self.asked = []
        self.renewed = []
        self.down = False
        self.lost = set()

    def find(self, credentials, now):
        self.asked.append(tuple(credentials))
        found = zip(credentials, super().find(credentials, now), strict=True)
        return [StateUnavailableError("timeout") if self.down or each in self.lost else owned for each, owned in found]

    def renew(self, credential, owned):
        self.renewed.append(credential)
        super().renew(credential, owned)


def claim(lineage="alice", credential="c"):
    return Hit(owner_plan().signal, Entity(OWNER, (credential,)), (), lineage)


def decided(*hits):
    return Decided(Verdict(Decision.ALLOW, Reason.OK), expected=hits)


class World:
    def __init__(self):
        self.owners = Counted()
        self.it = Heritage(self.owners)

    def learn(self, *claims, now=NOW):
        assert self.it.learn(tuple(claims)) == ()
        self.it.flush(now)

    def owner(self, credential="c", now=NOW):
        return self.it.owners_of((credential,), now).get(credential)


def test_the_store_is_asked_once_for_what_is_not_known():
    """All that is not known in one question; what is known costs none until it is old."""
    world = World()
    world.owners.claim("a", Owned("alice", NOW, NOW + FIRST_S))
    assert world.it.owners_of(("a", "b", "a"), NOW) == {"a": "alice", "b": ""}
    assert world.it.owners_of(("b", "a"), NOW + UNCLAIMED_S - 0.1) == {"a": "alice", "b": ""}
    assert world.owners.asked == [("a", "b")]
    assert world.it.owners_of(("b", "a"), NOW + UNCLAIMED_S) == {"a": "alice", "b": ""}
    assert world.owners.asked[1:] == [("b",)]
    world.owner("a", NOW + KNOWN_S)
    assert world.owners.asked[2:] == [("a",)]


def test_what_is_known_ends_with_the_claim():
    """Nobody inherits what the store would not say any more."""
    world = World()
    world.owners.claim("c", Owned("alice", NOW, NOW + 5))
    assert world.owner() == "alice"
    assert world.owner(now=NOW + 5) == ""


def test_where_the_store_does_not_say_it_nothing_is_known():
    """Not even that nobody owns it; what is known already is."""
    world = World()
    world.owner("b")
    world.owners.down = True
    assert world.it.owners_of(("b", "c"), NOW) == {"b": ""}
    world.owners.down = False
    assert world.owner() == ""


def test_the_first_claim_of_a_tick_stands_and_is_known_at_once():
    """Others' later ones change nothing."""
    world = World()
    world.owner()
    world.learn(claim("alice"), claim("bob"))
    world.learn(claim("bob"))
    assert world.owner() == "alice"
    assert world.owners.find(("c",), NOW + FIRST_S - 1)[0].lineage == "alice"


def test_claims_are_taken_out_of_what_an_outcome_feeds():
    """A caller without a lineage claims nothing."""
    world = World()
    other = Hit(CALLS, Entity("principal", ("p",)))
    assert world.it.learn((claim(""), other)) == (other,)
    world.it.flush(NOW)
    assert world.owners.asked == []


def test_its_owner_renews_it_once_an_hour():
    """And nobody else; the second time it is remembered for long."""
    world = World()
    world.learn(claim())
    world.learn(claim(), now=NOW + RENEW_S - 1)
    world.learn(claim("bob"), now=NOW + RENEW_S)
    assert world.owners.renewed == []
    world.learn(claim(), now=NOW + RENEW_S)
    assert world.owners.renewed == ["c"]
    assert world.owner(now=NOW + RENEW_S + OWNED_S - 1) == "alice"
    assert world.owner(now=NOW + RENEW_S + OWNED_S) == ""


def test_shortly_before_its_end_it_is_left_to_end():
    """A renewal on its way could write over the claim of somebody who came in between."""
    world = World()
    world.learn(claim())
    world.learn(claim(), now=NOW + FIRST_S - 1)
    assert world.owners.renewed == []
    world.learn(claim(), now=NOW + FIRST_S)
    assert world.owner(now=NOW + FIRST_S) == "alice"


def test_a_claim_that_came_too_late_is_looked_up():
    """Another replica was quicker by a moment."""
    world = World()
    world.owners.claim = lambda credential, owned: False
    world.learn(claim())
    world.owner()
    assert world.owners.asked == [("c",), ("c",)]


def test_what_the_store_does_not_take_is_tried_again():
    """In its order."""
    world = World()
    world.owners.down = True
    world.learn(claim("alice"), claim("bob"))
    world.owners.down = False
    world.it.flush(NOW + 1)
    assert world.owner(now=NOW + 1) == "alice"


def test_a_node_that_is_away_keeps_back_its_own_credentials_alone():
    """Whose the others are is known and learned, in one round trip with them; the first claim of its own still stands."""
    world = World()
    world.learn(claim("alice", "a"))
    world.it._known.clear()
    world.owners.lost = {"c"}
    assert world.it.owners_of(("a", "c"), NOW) == {"a": "alice"}
    others = [claim("bob", f"b{number}") for number in range(100)]
    world.learn(claim("alice"), *others, claim("bob"))
    assert world.owner("b99") == "bob"
    world.owners.lost = set()
    world.it.flush(NOW + 1)
    assert world.owner(now=NOW + 1) == "alice"


def test_one_lineage_claims_so_many_in_an_hour():
    """Whoever makes credentials up fills no store; others claim on."""
    world = World()
    world.learn(*[claim("alice", str(number)) for number in range(MAX_NEW + 1)], claim("bob", "b"))
    assert world.owner(str(MAX_NEW - 1)) == "alice"
    assert world.owner(str(MAX_NEW)) == ""
    assert world.owner("b") == "bob"
    world.learn(claim("alice", str(MAX_NEW)), now=NOW + RENEW_S)
    assert world.owner(str(MAX_NEW), NOW + RENEW_S) == "alice"


def test_an_answer_takes_no_claims_along_that_say_nothing_new():
    """Of its owner within the hour, of another while it is its owner's, of nobody."""
    world = World()
    other = Hit(CALLS, Entity("principal", ("p",)))
    fresh = decided(claim(), other)
    assert world.it.trim(fresh, NOW) is fresh
    world.owner()
    assert world.it.trim(fresh, NOW) is fresh
    world.learn(claim())
    assert world.it.trim(fresh, NOW).expected == (other,)
    assert world.it.trim(decided(claim("bob")), NOW).expected == ()
    assert world.it.trim(decided(claim("", "d")), NOW).expected == ()
    assert world.it.trim(fresh, NOW + KNOWN_S) is fresh
    world.owner(now=NOW + RENEW_S)
    assert world.it.trim(fresh, NOW + RENEW_S) is fresh


def test_a_full_memory_is_filled_anew(monkeypatch):
    """It is asked for again."""
    monkeypatch.setattr(module, "MAX_KNOWN", 2)
    world = World()
    for credential in "abc":
        world.owner(credential)
    world.owner("a")
    assert world.owners.asked == [("a",), ("b",), ("c",), ("a",)]
