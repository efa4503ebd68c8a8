"""Containments: enforced here at once, stored as soon as that can be done, and only as far as the guards admit them."""

from authz_server.engine.containing import Containing
from authz_server.errors import StateUnavailableError
from authz_server.model import Containment, Entity
from authz_server.verdict import Decision, Reason, Verdict
from tests.harness import START, Bench

NOW = START
ONE, TWO = Entity("principal", ("spiffe://a/1",)), Entity("pair", ("spiffe://a/1", "k"))


class Store:
    """A store that notes what it is told, and can be down."""

    def __init__(self):
        self.told = []
        self.down = False

    def contain(self, containment):
        if self.down:
            raise StateUnavailableError("connection")
        self.told.append(containment.entity)

    def release(self, entity):
        if self.down:
            raise StateUnavailableError("connection")
        self.told.remove(entity)


def order(*entities, seconds=60):
    """A verdict that contains these."""
    contain = tuple(Containment(entity, NOW + seconds, "q") for entity in entities)
    return Verdict(Decision.QUARANTINE, Reason.CONTAINED, rule="q", contain=contain, alert="low")


def containing(never=lambda entity: False):
    it = Bench("version: 1\nrules: []\n", never=never, store=Store())
    return Containing(it.engine._ports), it


def test_it_is_enforced_before_it_is_stored():
    """The local set holds it at once; the store is told between batches."""
    it, bench = containing()
    verdict = it.contain(order(ONE, TWO), NOW)
    assert [each.entity for each in verdict.contain] == [ONE, TWO]
    assert bench.contained.find((TWO,), NOW) is not None
    assert bench.store.told == []
    it.store()
    it.store()
    assert bench.store.told == [ONE, TWO]


def test_what_could_not_be_stored_is_tried_again_in_its_order():
    """Nothing is lost while the store is down."""
    it, bench = containing()
    bench.store.down = True
    it.contain(order(ONE), NOW)
    it.store()
    it.contain(order(TWO), NOW)
    it.store()
    bench.store.down = False
    it.store()
    assert bench.store.told == [ONE, TWO]


def test_what_the_guards_refuse_is_left_out_and_somebody_must_look():
    """The rest of the order stands; the verdict says which guard."""
    it, bench = containing(never=lambda entity: entity == ONE)
    verdict = it.contain(order(ONE, TWO), NOW)
    assert [each.entity for each in verdict.contain] == [TWO]
    assert (verdict.decision, verdict.alert, verdict.detail) == (Decision.QUARANTINE, "critical", "guard_never")
    assert bench.contained.find((ONE,), NOW) is None
    it.store()
    assert bench.store.told == [TWO]


def test_a_release_is_of_both():
    """And says so when the store could not be told."""
    it, bench = containing()
    it.contain(order(ONE), NOW)
    it.store()
    it.release(ONE)
    assert bench.contained.find((ONE,), NOW) is None
    assert bench.store.told == []


def test_the_longer_of_two_containments_stays():
    """A second and shorter one does not shorten the first."""
    it, bench = containing()
    it.contain(order(ONE, seconds=600), NOW)
    it.contain(order(ONE, seconds=60), NOW)
    held = bench.contained.find((ONE,), NOW + 599)
    assert held is not None
    assert held.until == NOW + 600
