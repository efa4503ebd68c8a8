"""Containments: enforced here at once, stored as soon as that can be done, and only as far as the guards admit them."""

from authz_server.engine.containing import MAX_WRITES, Containing
from authz_server.errors import StateUnavailableError
from authz_server.model import Containment, Entity
from authz_server.state.guard import ContainmentGuard
from authz_server.verdict import Decision, Reason, Verdict
from tests.harness import START, Bench, Clock

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


class Sink:
    """Where containments are brought, which can be away."""

    def __init__(self):
        self.posted = []
        self.down = False

    def post(self, containment):
        if self.down:
            raise StateUnavailableError("connection")
        self.posted.append(containment)


def containing(never=lambda entity: False, **ports):
    it = Bench("version: 1\nrules: []\n", never=never, store=Store(), **ports)
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


def test_with_a_sink_the_store_is_told_nothing():
    """The sink tells the others, in the order of the containments; what it does not take is brought again."""
    sink = Sink()
    it, bench = containing(sink=sink)
    sink.down = True
    it.contain(order(ONE), NOW)
    it.contain(order(TWO), NOW)
    it.store()
    assert (sink.posted, len(it)) == ([], 2)
    sink.down = False
    it.store()
    assert [each.entity for each in sink.posted] == [ONE, TWO]
    assert (bench.store.told, len(it)) == ([], 0)


def test_a_containment_asks_for_a_tick():
    """It is to reach the other replicas at once."""
    it, bench = containing()
    it.contain(order(), NOW)
    assert not bench.woken
    it.contain(order(ONE), NOW)
    assert bench.woken


def test_a_release_from_elsewhere_leaves_the_guards_and_what_waits():
    """The share has room again, and nobody is contained anew by what was spooled before."""
    sink = Sink()
    it, _ = containing(sink=sink)
    sink.down = True
    entities = [Entity("principal", (str(number),)) for number in range(4)]
    admitted = it.contain(order(*entities), NOW)
    assert ([each.entity for each in admitted.contain], admitted.detail) == (entities[:3], "guard_share")
    it.released(entities[0])
    sink.down = False
    it.store()
    assert [each.entity for each in sink.posted] == entities[1:3]
    assert [each.entity for each in it.contain(order(entities[3]), NOW).contain] == [entities[3]]


def test_an_outage_of_the_sink_is_told_once(caplog):
    """A tick comes ten times a second."""
    sink = Sink()
    it, _ = containing(sink=sink)
    it.contain(order(ONE), NOW)
    for down, times in ((True, 3), (False, 1)):
        sink.down = down
        for _ in range(times):
            it.store()
    sink.down = True
    it.contain(order(TWO), NOW)
    it.store()
    assert len(caplog.records) == 2


def test_one_that_the_store_knows_better_keeps_nobody_back():
    """Something newer about it stands there, such as a release from a clock that is ahead; the others are stored."""

    class Ahead(Sink):
        def post(self, containment):
            if containment.entity == ONE:
                raise StateUnavailableError("conflict")
            super().post(containment)

    sink = Ahead()
    it, _ = containing(sink=sink)
    it.contain(order(ONE, TWO), NOW)
    it.store()
    assert [each.entity for each in sink.posted] == [TWO]
    assert len(it) == 1


def test_what_waits_is_bounded_and_of_one_entity_the_longest():
    """The local set enforces what is dropped here."""
    sink = Sink()
    it, _ = containing(sink=sink, guard=ContainmentGuard(lambda entity: False, 10_000, 600.0, 1.0))
    for number in range(MAX_WRITES + 1):
        it._spool(Containment(Entity("principal", (str(number),)), NOW + 60, "q"))
    it._spool(Containment(Entity("principal", ("1",)), NOW + 90, "q"))
    it._spool(Containment(Entity("principal", ("1",)), NOW + 30, "q"))
    it.store()
    assert len(sink.posted) == MAX_WRITES
    assert (sink.posted[0].entity.parts, sink.posted[0].until) == (("1",), NOW + 90)


def test_a_clock_that_is_set_while_it_waits_changes_nothing_of_its_length():
    """Forwards it would be over before anybody heard of it, backwards it would last for ever."""
    for jump in (3600.0, -3600.0):
        sink, steady = Sink(), Clock()
        it, bench = containing(sink=sink, monotonic=steady)
        it.contain(order(ONE), NOW)
        steady.now += 10
        bench.clock.now += 10 + jump
        it.store()
        assert sink.posted[0].until == NOW + jump + 60
