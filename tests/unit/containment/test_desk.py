"""What operators may do, and what takes two of them."""

from collections.abc import Callable

import pytest

from authz_server.containment.desk import ASKED_S, MAX_BY_AUTHOR, MAX_KEPT_S, MAX_SECONDS
from authz_server.containment.held import Held
from authz_server.containment.record import FOREVER, RELEASE
from authz_server.containment.refusal import Refusal
from authz_server.model import TASK_ENDED, Containment, Entity
from tests.unit.containment.fleet import ALICE, ALL, BOB, NOW, OPS, SOC, Clock, Lossy, Replica, record

GATEWAY = Entity("principal", ("spiffe://corp.example/ns/istio-system/sa/gateway",))


@pytest.fixture
def one(replica: Callable[..., Replica]) -> Replica:
    return replica()


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(Refusal) as refused:
        act()
    assert refused.value.text
    return refused.value.code


def test_contains_and_releases(one: Replica, clock: Clock) -> None:
    """One operator contains, another releases; each act is told."""
    made = one.desk.contain(SOC, ALL, ALICE, 600, "INC-1")
    assert (made.until, made.author, made.reason, made.rule, made.since) == (NOW + 600, SOC, "INC-1", "", NOW)
    assert one.holds(ALICE)
    assert one.desk.listing() == [made]
    clock.advance(1)
    freed = one.desk.release(OPS, ALL, ALICE, "done")
    assert freed.kind == RELEASE
    assert not one.holds(ALICE)
    assert one.desk.listing() == []
    assert [(act["act"], act["author"], act["result"], act["version"]) for act in one.acts] == [
        ("contain", SOC, "done", made.version), ("release", OPS, "done", freed.version),
    ]  # fmt: skip
    assert one.acts[0]["entity"] == {"type": "principal", "parts": list(ALICE.parts)}


def test_a_task_that_is_over_stays_over(one: Replica, clock: Clock) -> None:
    """Its end is no misdeed that somebody could forgive: whoever held its token would go on."""
    ended = Entity("task", ("0" * 32,))
    one.publisher.publish(record(ended)._replace(rule=TASK_ENDED, author="authz-server"))
    assert refusal(lambda: one.desk.release(SOC, ALL, ended, "x")) == "not_contained"
    assert one.holds(ended)


def test_works_without_a_store(replica: Callable[..., Replica]) -> None:
    """One process needs nobody else to know."""
    one = replica(store=None)
    one.desk.contain(SOC, ALL, ALICE, None, "INC-1")
    assert one.holds(ALICE)
    one.desk.release(SOC, ALL, ALICE, "done")
    assert not one.holds(ALICE)


def test_until_released(one: Replica, clock: Clock) -> None:
    """Without a duration it lasts for ever; its release is remembered for a year."""
    assert one.desk.contain(SOC, ALL, ALICE, None, "INC-1").until == FOREVER
    clock.advance(86_400 * 3650)
    assert one.holds(ALICE)
    assert one.desk.release(SOC, ALL, ALICE, "done").end == clock.now + MAX_KEPT_S


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_durations(one: Replica, seconds: float) -> None:
    """A duration is a positive number of at most ten years."""
    assert refusal(lambda: one.desk.contain(SOC, ALL, ALICE, seconds, "x")) == "duration_invalid"
    assert refusal(lambda: one.desk.contain(SOC, ALL, ALICE, MAX_SECONDS + 1, "x")) == "duration_too_long"


@pytest.mark.parametrize(
    ("reason", "code"),
    [("", "reason_missing"), ("  ", "reason_missing"), ("x" * 513, "reason_too_long"), ("a\nb", "reason_invalid"), ("a\x1b[2J", "reason_invalid"), ("\u202eabc", "reason_invalid")],
)  # fmt: skip
def test_reasons(one: Replica, reason: str, code: str) -> None:
    """Every act says why, in one printable line; refused acts are told too."""
    assert refusal(lambda: one.desk.contain(SOC, ALL, ALICE, 60, reason)) == code
    assert refusal(lambda: one.desk.release(SOC, ALL, ALICE, reason)) == code
    assert [act["result"] for act in one.acts] == [code, code]


def test_rights(one: Replica) -> None:
    """Each act takes its own right; the one does not include the other."""
    assert (
        refusal(lambda: one.desk.contain(SOC, frozenset({"release", "approve"}), ALICE, 60, "x")) == "permission_denied"
    )
    one.desk.contain(SOC, frozenset({"contain"}), ALICE, 60, "x")
    assert refusal(lambda: one.desk.release(SOC, frozenset({"contain", "approve"}), ALICE, "x")) == "permission_denied"
    assert one.holds(ALICE)
    assert refusal(lambda: one.desk.contain("", ALL, ALICE, 60, "x")) == "author_invalid"


def test_entities_are_checked(one: Replica) -> None:
    """An entity that no step could carry is refused, an address becomes the place it stands for."""
    assert refusal(lambda: one.desk.contain(SOC, ALL, Entity("source", ("10.0.0.0/8",)), 60, "x")) == "entity_invalid"
    one.desk.contain(SOC, ALL, Entity("source", ("2001:db8::5",)), 60, "x")
    assert one.holds(Entity("source", ("2001:db8::/64",)))


def test_never_takes_force(one: Replica) -> None:
    """A gateway is contained only by an operator who insists."""
    assert refusal(lambda: one.desk.contain(SOC, ALL, GATEWAY, 60, "x")) == "protected"
    assert not one.holds(GATEWAY)
    one.desk.contain(SOC, ALL, GATEWAY, 60, "x", force=True)
    assert one.holds(GATEWAY)


class TestCritical:
    """What takes two persons."""

    def test_second_person_releases(self, one: Replica, clock: Clock) -> None:
        """It stays contained until somebody else agrees; asking twice is not agreeing."""
        one.desk.contain(SOC, ALL, ALICE, 3600, "x", critical=True)
        for _ in range(3):
            clock.advance(1)
            assert refusal(lambda: one.desk.release(SOC, ALL, ALICE, "please")) == "second_person_needed"
            assert one.holds(ALICE)
        (listed,) = one.desk.listing()
        assert (listed.asked_by, listed.critical) == (SOC, True)
        freed = one.desk.release(OPS, ALL, ALICE, "agreed")
        assert (freed.kind, freed.author, freed.asked_by) == (RELEASE, OPS, SOC)
        assert not one.holds(ALICE)

    def test_second_person_elsewhere(self, one: Replica, replica: Callable[..., Replica], clock: Clock) -> None:
        """The request travels: the other person may sit at another replica."""
        two = replica(name="two")
        one.desk.contain(SOC, ALL, ALICE, 3600, "x", critical=True)
        assert refusal(lambda: one.desk.release(SOC, ALL, ALICE, "please")) == "second_person_needed"
        two.feed.poll()
        clock.advance(1)
        assert refusal(lambda: two.desk.release(SOC, ALL, ALICE, "please")) == "second_person_needed"
        two.desk.release(OPS, ALL, ALICE, "agreed")
        one.feed.poll()
        assert not one.holds(ALICE)

    def test_one_person_at_a_replica_that_has_not_heard_of_it(
        self, pair: tuple[Replica, Replica], clock: Clock
    ) -> None:
        """What the store knows counts, before this replica has read it: there it takes two persons, too."""
        one, two = pair
        made = one.desk.contain(SOC, ALL, ALICE, 3600, "x", critical=True)
        clock.advance(1)
        assert refusal(lambda: two.desk.release(SOC, ALL, ALICE, "please")) == "second_person_needed"
        one.feed.poll()
        assert one.holds(ALICE)
        assert one.registry.find(ALICE) == made._replace(
            id=one.registry.find(ALICE).id, version=made.version + 1000, asked_by=SOC
        )

    def test_contained_again_at_a_replica_that_has_not_heard_of_it(
        self, pair: tuple[Replica, Replica], clock: Clock
    ) -> None:
        """Nor does a shorter containment there soften it."""
        one, two = pair
        one.desk.contain(SOC, ALL, ALICE, None, "x", critical=True)
        clock.advance(1)
        again = two.desk.contain(OPS, ALL, ALICE, 60, "y")
        assert (again.until, again.critical, again.since) == (FOREVER, True, NOW)
        two.publisher.post(Containment(ALICE, NOW + 90, "r"))
        one.feed.poll()
        assert one.registry.find(ALICE) == again

    def test_request_lapses(self, one: Replica, clock: Clock) -> None:
        """What was asked for long ago is asked for anew."""
        one.desk.contain(SOC, ALL, ALICE, None, "x", critical=True)
        assert refusal(lambda: one.desk.release(SOC, ALL, ALICE, "please")) == "second_person_needed"
        clock.advance(ASKED_S + 1)
        assert refusal(lambda: one.desk.release(OPS, ALL, ALICE, "please")) == "second_person_needed"
        one.desk.release(SOC, ALL, ALICE, "agreed")
        assert not one.holds(ALICE)

    def test_nothing_softens_it(self, one: Replica, clock: Clock) -> None:
        """Containing again, shorter and less critical, changes neither; it withdraws a request for release."""
        one.desk.contain(SOC, ALL, ALICE, 3600, "x", critical=True)
        assert refusal(lambda: one.desk.release(SOC, ALL, ALICE, "please")) == "second_person_needed"
        clock.advance(1)
        again = one.desk.contain(OPS, ALL, ALICE, 1, "y")
        assert (again.until, again.critical, again.asked_by, again.since) == (NOW + 3600, True, "", NOW)
        assert refusal(lambda: one.desk.release(OPS, ALL, ALICE, "mine")) == "second_person_needed"


class TestStoreIsDown:
    """What an operator is told when the store does not answer."""

    def test_contain(self, one: Replica, lossy: Lossy, clock: Clock) -> None:
        """It is enforced here at once, and in the store once that answers."""
        one.feed.poll()
        lossy.down = True
        assert refusal(lambda: one.desk.contain(SOC, ALL, ALICE, 60, "x")) == "stored_later"
        assert one.holds(ALICE)
        assert one.acts[-1]["result"] == "stored_later"
        for _ in range(4):
            one.feed.poll()
        lossy.down = False
        clock.advance(2)
        for _ in range(2):
            one.feed.poll()
        late = Replica(lossy, clock)
        late.feed.poll()
        assert late.holds(ALICE)

    def test_release(self, one: Replica, lossy: Lossy) -> None:
        """Nobody is released; the next try does it."""
        one.desk.contain(SOC, ALL, ALICE, 60, "x")
        lossy.down = True
        assert refusal(lambda: one.desk.release(SOC, ALL, ALICE, "x")) == "store_unavailable"
        assert one.holds(ALICE)
        lossy.down = False
        one.desk.release(SOC, ALL, ALICE, "x")
        assert not one.holds(ALICE)


def test_releasing_what_nobody_knows(one: Replica, replica: Callable[..., Replica], clock: Clock) -> None:
    """A release is published all the same: a replica may enforce what nobody else heard of."""
    two = replica(name="two")
    for each in (one, two):
        each.feed.poll()
    two.contained.add(Containment(BOB, NOW + 60, "here"))
    assert [listed.version for listed in two.desk.listing()] == [0]
    assert refusal(lambda: one.desk.release(SOC, ALL, BOB, "x")) == "not_contained"
    two.feed.poll()
    assert not two.holds(BOB)


def test_acts_at_the_same_moment(one: Replica, replica: Callable[..., Replica], clock: Clock) -> None:
    """An act that crosses another one looks again and is done on top of it."""
    two = replica(name="two")
    one.desk.contain(SOC, ALL, ALICE, 60, "x")
    made = two.desk.contain(OPS, ALL, ALICE, 600, "y")
    assert made.version > NOW * 1000
    assert made.since == NOW
    one.feed.poll()
    assert one.registry.find(ALICE) == made


def test_author_is_bounded(one: Replica) -> None:
    """One operator cannot fill the registry; others can still act."""
    for n in range(MAX_BY_AUTHOR):
        one.registry.offer(Held(record(Entity("task", (str(n),)), author=SOC), b"x"), NOW)
    assert refusal(lambda: one.desk.contain(SOC, ALL, ALICE, 60, "x")) == "too_many"
    assert refusal(lambda: one.desk.release(SOC, ALL, BOB, "x")) == "not_contained"
    one.desk.contain(OPS, ALL, ALICE, 60, "x")
