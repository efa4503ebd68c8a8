"""Steps on their way to a store that is asked as little as can be."""

from authz_server import pdp
from authz_server.engine.bounds import MAX_NEW
from authz_server.engine.shield import BEGINS
from authz_server.engine.sparing import Sparing
from authz_server.model import ABSENT
from authz_server.pdp import Decided
from authz_server.signals import Measurement
from authz_server.state.memory import MemoryStore
from authz_server.verdict import Decision
from tests.steps import AGENT, KEYED, NOW, policy, principal, request

LIMITED = policy("""
    version: 1
    actions:
      - {name: read, match: {method: GET, path: "/v1/{thing}"}, kind: read}
      - {name: write, match: {method: PUT, path: "/v1/{thing}"}, kind: write}
    signals:
      calls: {count: steps, per: [principal], window: 10s}
      visits: {count: steps, per: [source], window: 1m}
      things: {count: steps, per: [principal, path.thing], window: 1m}
      refused: {count: denied, per: [principal], window: 1m}
      risk: {score: true, per: [principal], half_life: 10m}
    rules:
      - {name: all, match: {principal: "spiffe://**", action: read}, then: allow}
      - {name: open, match: {principal: [anonymous], action: read}, then: allow}
      - {name: much, match: {action: read}, when: signals.calls > 20, then: deny, adds: {risk: 1}}
      - {name: crowd, match: {action: read}, when: signals.visits > 30, then: throttle}
      - {name: same, match: {action: read}, when: signals.things > 5, then: throttle}
      - {name: never, match: {action: read}, when: 'signals.risk > 900 || request.headers[?"x-out"].orValue("") != ""', then: deny}
""")


class Site:
    """A store, and a count of how often it was asked."""

    def __init__(self, snapshot=LIMITED):
        self.now = NOW
        self.steady = 0.0
        self.snapshot = snapshot
        self.sparing = Sparing(KEYED)
        self.store = MemoryStore(KEYED, lambda: int(self.now * 1000))
        self.trips = 0

    def step(self, path="/v1/a", who=AGENT, **more):
        """Decide one step as the engine does; the verdict."""
        self.tell(self.sparing.take_skipped())
        identity = principal(who)
        begun = pdp.begin(self.snapshot, request(path=path, **more), identity, self.now)
        begun = self.sparing.begin(begun, None if identity is ABSENT else identity, self.now, self.steady)
        if isinstance(begun, Decided):
            decided = begun
        else:
            self.trips += 1
            (readings,) = self.store.apply([Measurement(begun.hits, b"")])
            decided = self.sparing.conclude(begun, readings, 1, self.now, self.steady)
        self.tell([Measurement(decided.hits, b"")])
        return decided.verdict

    def tell(self, measurements):
        self.store.apply([measurement for measurement in measurements if measurement.hits])


def reading(verdict, name):
    return next(each.value for each in verdict.readings if each.signal == name)


def test_a_caller_beyond_its_limit_is_refused_without_the_store():
    """By the same readings and the same rule; for a second, and every step of it counts in the end."""
    it = Site()
    verdicts = [it.step(f"/v1/{number % 4}") for number in range(20)]
    assert {verdict.decision for verdict in verdicts} == {Decision.ALLOW}
    refused = [it.step("/v1/z") for _ in range(100)]
    assert {verdict.rule for verdict in refused} <= {"much", "same"}
    assert refused[-1].decision is Decision.DENY
    assert it.trips == 20 + BEGINS
    it.now += 1
    verdict = it.step("/v1/y")
    assert reading(verdict, "calls") == 42  # where its bucket is full
    assert reading(verdict, "risk") == 99  # of a hundred refusals a second ago
    assert it.trips == 20 + BEGINS + 1


def test_a_step_that_is_let_through_is_never_one_of_these():
    """However often it is made."""
    it = Site()
    assert {it.step(f"/v1/{number}").decision for number in range(20)} == {Decision.ALLOW}
    assert it.trips == 20


OFTEN = policy("""
    version: 1
    actions: [{name: read, match: {path: "/v1/{thing}"}, kind: read}]
    signals:
      places: {distinct: path.thing, per: [principal], window: 1m}
    rules:
      - {name: all, match: {principal: "spiffe://**"}, then: allow}
      - {name: many, match: {action: read}, when: signals.places > 1, then: throttle}
      - {name: marked, match: {action: read}, when: 'request.headers[?"x-out"].orValue("") != ""', then: deny}
""")


def test_nothing_is_allowed_by_readings_that_are_given_again():
    """A step that differs in more than its hits asks the store, and reads what it says now."""
    it = Site(OFTEN)
    for _ in range(3 * BEGINS):
        assert it.step("/v1/a", headers={"x-out": "1"}).rule == "marked"
    assert it.trips == BEGINS
    verdict = it.step("/v1/a")
    assert verdict.decision is Decision.ALLOW
    assert reading(verdict, "places") == 1
    assert it.trips == BEGINS + 1


def test_an_anonymous_caller_is_known_by_its_address():
    """One that hammers does not speak for another."""
    it = Site()
    for _ in range(60):
        it.step(who="", source_address="192.0.2.1")
    trips = it.trips
    assert trips < 60
    assert it.step(who="", source_address="192.0.2.2").decision is Decision.ALLOW
    assert it.trips == trips + 1


def test_a_caller_that_makes_values_up_makes_few_keys_and_is_counted_all_the_same():
    """Beyond its share all of them are one instance, whose count is read for each."""
    it = Site()
    for number in range(MAX_NEW + 50):
        it.now += 1
        it.step(f"/v1/{number}")
    keys = len(it.store)
    verdict = it.step("/v1/new")
    assert verdict.rule == "same"
    assert reading(verdict, "things") > 5
    assert len(it.store) <= keys + 1


def test_a_step_that_reads_nothing_is_folded_as_well():
    """Its hits are measured when it is answered."""
    it = Site()
    for number in range(2 * MAX_NEW):
        it.step(f"/v1/{number}", method="PUT")
    assert it.trips == 0
    assert len(it.store) <= MAX_NEW + 4


def test_steps_of_anonymous_addresses_share_cells():
    """However many there are."""
    it = Site()
    for number in range(6000):
        it.step(who="", source_address=f"10.1.{number >> 8}.{number & 255}")
    assert len(it.store) <= 4096
