"""How many keys a caller can make, and that nobody gets off by making too many."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authz_server.engine import bounds
from authz_server.engine.bounds import HALF_S, MAX_NEW, KeyBounds
from authz_server.engine.folds import CELL, CELLS, OTHER, raised, without_lowering
from authz_server.model import Entity
from authz_server.signals import Hit, Measurement, Signal, SignalKind
from authz_server.state.memory import MemoryStore
from tests.steps import AGENT, KEYED, NOW

DOMAIN = "corp.example"
HOUR = 3_600_000
STEPS = Signal("steps", "00000001", SignalKind.COUNT, HOUR, 10_000)
LIST = Signal("list", "00000002", SignalKind.DISTINCT, HOUR, 64)
STAGES = Signal("stages", "00000003", SignalKind.SEQUENCE, HOUR, stages=4)
SCORE = Signal("score", "00000004", SignalKind.LEVEL, 0, 1000, half_life_ms=HOUR)
MARK = Signal("mark", "00000005", SignalKind.FAMILIAR, HOUR, 8)
SPENT = Signal("spent", "00000006", SignalKind.BUDGET, HOUR, 100)
VOUCHED = Signal("reporters:steps", "00000007", SignalKind.DISTINCT, HOUR, 2)
ME = Entity("principal", (AGENT,))
NOBODY = Entity("source", ("192.0.2.1",))


def of(value, signal=STEPS, **more):
    """A hit on the instance of one value that the client chose."""
    return Hit(signal, ME, (str(value),), **more)


def spent(now=NOW, whose=AGENT):
    """Bounds of which a principal has used up its share."""
    it = KeyBounds(KEYED)
    for number in range(MAX_NEW):
        hit = Hit(STEPS, Entity("credential", (f"{whose}{number}",)))
        assert it.fold(whose, DOMAIN, (hit,), now) == (hit,)
    return it


def test_what_costs_nothing_stays_as_it_is():
    """The caller itself, its task, its lineage and what operators list are the same few instances all the time."""
    it = spent()
    hits = tuple(Hit(STEPS, Entity(kind, ("x",))) for kind in ("principal", "task", "lineage", "destination", "action"))
    assert it.fold(AGENT, DOMAIN, hits, NOW) is hits
    assert it.fold("", "", hits, NOW) is hits
    assert it.fold(AGENT, DOMAIN, (), NOW) == ()


def test_few_new_instances_are_made_and_further_ones_share_one():
    """The share of a principal is counted by instance, and not by signal."""
    it = KeyBounds(KEYED)
    for number in range(MAX_NEW):
        hits = (of(number), of(number, LIST, member="m"))
        assert it.fold(AGENT, DOMAIN, hits, NOW) is hits
    assert it.fold(AGENT, DOMAIN, (of("new"), of("new", LIST, member="m")), NOW) == (
        of(OTHER),
        of(OTHER, LIST, member="m"),
    )


@pytest.mark.parametrize("kind", ["credential", "source", "path.customer", "facts.tenant", "destination.host"])
def test_an_entity_of_the_clients_choice_is_shared_by_principal(kind):
    """One principal's junk must not count against another's."""
    it = spent()
    assert it.fold(AGENT, DOMAIN, (Hit(STEPS, Entity(kind, ("c",))),), NOW) == (
        Hit(STEPS, Entity(kind, (OTHER, AGENT))),
    )
    (both,) = it.fold(AGENT, DOMAIN, (Hit(STEPS, Entity(kind, ("c",)), ("a", "b")),), NOW)
    assert (both.entity.parts, both.rest) == ((OTHER, AGENT), (OTHER,))


def test_known_instances_stay_and_what_is_folded_stays_folded_within_a_turn():
    """What follows the answer, and the outcome, must find the instance that was measured."""
    it = spent()
    known, new = (Hit(STEPS, Entity("credential", (f"{AGENT}7",))),), (of("new"),)
    for later in (0, 1, HALF_S - 1):
        assert it.fold(AGENT, DOMAIN, known, NOW + later) is known
        assert it.fold(AGENT, DOMAIN, new, NOW + later) == (of(OTHER),)
    assert it.fold(AGENT, DOMAIN, (of(OTHER),), NOW) == (of(OTHER),)


def test_others_are_not_touched_by_it():
    """Each principal has a share of its own; an instance that somebody has made costs nobody else."""
    it = spent()
    fresh = (of("new"),)
    assert it.fold("spiffe://corp.example/other", DOMAIN, fresh, NOW) is fresh
    assert it.fold(AGENT, DOMAIN, fresh, NOW) == fresh


def test_a_new_half_gives_a_new_share_and_remembers_the_last_one():
    """So that steady work on more instances than the share is whole after a while."""
    it = spent()
    hits = (of("new"),)
    assert it.fold(AGENT, DOMAIN, hits, NOW + HALF_S) == hits
    for number in range(MAX_NEW - 1):
        it.fold(AGENT, DOMAIN, (of(number),), NOW + HALF_S)
    old, newest = (Hit(STEPS, Entity("credential", (f"{AGENT}7",))),), (of("newest"),)
    assert it.fold(AGENT, DOMAIN, old, NOW + HALF_S) == old
    assert it.fold(AGENT, DOMAIN, newest, NOW + HALF_S) == (of(OTHER),)
    assert it.fold(AGENT, DOMAIN, newest, NOW + 10 * HALF_S) == newest


def test_a_trust_domain_has_a_share_too(monkeypatch):
    """Whoever can have many identities made is bounded with all of them; other domains go on."""
    monkeypatch.setattr(bounds, "MAX_NEW_OF_DOMAIN", 10)
    it = KeyBounds(KEYED)
    for number in range(10):
        it.fold(f"p{number}", DOMAIN, (of(number),), NOW)
    assert it.fold("p11", DOMAIN, (of("new"),), NOW) == (of(OTHER),)
    assert it.fold("p12", "other.example", (of("new"),), NOW) == (of("new"),)


def test_memory_is_bounded(monkeypatch):
    """What is known, and who was folded."""
    monkeypatch.setattr(bounds, "MAX_KNOWN", 20)
    monkeypatch.setattr(bounds, "MAX_OVER", 5)
    it = KeyBounds(KEYED)
    for number in range(40):
        it.fold(f"p{number}", DOMAIN, (of(number),), NOW)
        it.fold("", "", (Hit(STEPS, Entity("source", (str(number),))),), NOW)
    assert (len(it._known), len(it._over)) == (20, 5)


def test_an_anonymous_caller_makes_no_key():
    """However many addresses it comes from: each is in one of a fixed number of cells, on every replica in the same one."""
    it, other = KeyBounds(KEYED), KeyBounds(KEYED)
    cells = set()
    for number in range(20_000):
        hits = (Hit(STEPS, Entity("source", (f"10.0.{number >> 8}.{number & 255}",))),)
        folded = it.fold("", "", hits, NOW)
        cells.add(folded[0].entity)
        if number % 1000 == 0:
            assert other.fold("", "", hits, NOW) == folded == it.fold("", "", folded, NOW)
    assert len(cells) <= CELLS
    assert len(cells) > CELLS * 0.95
    assert {(cell.type, cell.parts[0]) for cell in cells} == {("source", CELL)}


def test_a_cell_is_chosen_by_the_whole_instance():
    """The rest of a composite key, and other entities than addresses."""
    it = KeyBounds(KEYED)
    keys = [Hit(STEPS, NOBODY, (rest,)) for rest in "ab"] + [Hit(STEPS, Entity("credential", ("c",)))]
    cells = [it.fold("", "", (hit,), NOW)[0] for hit in keys]
    assert len({cell.entity for cell in cells}) == 3
    assert all(cell.rest == () for cell in cells)


def test_what_a_cell_remembers_of_one_address_stands_for_no_other():
    """What a stranger has made known must not be known of this one."""
    it = KeyBounds(KEYED)
    hits = [it.fold("", "", (Hit(MARK, Entity("source", (address,)), member="m"),), NOW)[0] for address in "ab"]
    assert hits[0].member != hits[1].member
    counted = it.fold("", "", (Hit(LIST, NOBODY, member="m"),), NOW)
    assert counted[0].member == "m"


class Pair:
    """The same steps counted as they are, and folded."""

    def __init__(self, it):
        self.it = it
        self.now = NOW
        self.plain, self.small = (MemoryStore(KEYED, lambda: int(self.now * 1000)) for _ in range(2))

    def read(self, *hits, whose=AGENT):
        """The largest reading of a step without and with folding, by signal."""
        folded = self.it.fold(whose, DOMAIN if whose else "", hits, self.now, reads=True)
        (plain,) = self.plain.apply([Measurement(hits, b"")])
        (small,) = self.small.apply([Measurement(folded, b"")])
        return self._largest(hits, plain), self._largest(folded, raised(folded, small))

    @staticmethod
    def _largest(hits, readings):
        told = {}
        for hit, value in zip(hits, readings.values, strict=True):
            told[hit.signal.name] = max(value, told.get(hit.signal.name, 0))
        return told


def test_a_folded_step_still_reads_the_instance_that_it_is_about():
    """A stolen credential must not look unused to whoever has shown junk enough before."""
    pair = Pair(KeyBounds(KEYED))
    stolen = Entity("credential", ("stolen",))
    pair.read(Hit(LIST, stolen, member="its owner"), whose="spiffe://corp.example/owner")
    for number in range(MAX_NEW + 1):
        pair.read(Hit(LIST, Entity("credential", (f"junk{number}",)), member=AGENT))
    pair.now += 600
    for number in range(MAX_NEW):
        pair.read(Hit(LIST, Entity("credential", (f"more{number}",)), member=AGENT))
    plain, folded = pair.read(Hit(LIST, stolen, member=AGENT))
    assert plain["list"] == 2
    assert folded["list"] >= 2


def test_a_new_share_does_not_begin_a_count_anew():
    """What was counted in the shared instance is read beside the caller's own for a day."""
    it = spent()
    pair = Pair(it)
    for _ in range(50):
        pair.read(of("x"))
    pair.now += HALF_S
    plain, folded = pair.read(of("x"))
    assert plain["steps"] == 51
    assert folded["steps"] >= 51


def test_folding_only_ever_makes_few_keys():
    """One for each signal and sort of entity."""
    pair = Pair(spent())
    for number in range(2000):
        pair.read(of(number), of(number, LIST, member="m"), Hit(STEPS, Entity("credential", (str(number),))))
    assert len(pair.small) == 3
    assert len(pair.plain) == 6000


VALUES = st.integers(0, 5)
STEP = st.tuples(VALUES, st.sampled_from(["m", "n", "o", ""]), st.integers(1, 3), st.integers(0, 400))


@given(st.lists(STEP, max_size=40), st.booleans())
@settings(max_examples=150, deadline=None)
def test_no_reading_is_smaller_for_being_folded(steps, anonymous):
    """Whatever a caller does before, in between and after it is folded."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bounds, "MAX_NEW", 2)
        pair = Pair(KeyBounds(KEYED))
        for value, member, amount, pause in steps:
            pair.now += pause
            hits = [of(value), of(value, LIST, member=member), of(value, SCORE, amount=amount * 1000)]
            hits += [of(value, SPENT, amount=amount), Hit(LIST, Entity("credential", (str(value),)), member=member)]
            plain, folded = pair.read(*hits, whose="" if anonymous else AGENT)
            if pair.now >= NOW + HOUR / 1000:
                # All of a budget is free a window after its first reservation, whichever instance that was for.
                del plain["spent"]
            # A sum of two that were rounded down is at most one below the sum rounded down.
            assert all(folded[name] >= plain[name] - (name in {"steps", "score"}) for name in plain)


def test_a_shared_budget_reserves_no_more_than_its_quantity_in_its_window():
    """Each instance has what it used itself and what all folded steps did."""
    pair = Pair(KeyBounds(KEYED))
    assert pair.read(of("x", SPENT, amount=60))[1] == {"spent": 60}
    for number in range(MAX_NEW):
        pair.read(of(number))
    pair.now += 2 * HALF_S
    for number in range(MAX_NEW):
        pair.read(of(number))
    assert pair.read(of("y", SPENT, amount=30))[1] == {"spent": 30}
    assert pair.read(of("x", SPENT, amount=20)) == ({"spent": 80}, {"spent": 60 + 30 + 20})


def test_a_good_step_lowers_nothing_in_the_shared_instance():
    """It is about another instance than the bad ones; what it reserved comes back all the same."""
    it = spent()
    (down, back) = it.fold(AGENT, DOMAIN, (of("x", SCORE, amount=-5000), of("x", SPENT, amount=-5)), NOW)
    assert (down.amount, back.amount) == (0, -5)
    expected = it.fold(AGENT, DOMAIN, (of("x", SCORE),), NOW)
    assert without_lowering((expected[0]._replace(amount=-1000),)) == ()
    assert without_lowering((expected[0]._replace(amount=1000),)) == (expected[0]._replace(amount=1000),)
    own = (of("x", SCORE, amount=-1000),)
    assert without_lowering(own) is own


def test_what_is_familiar_is_read_where_it_is():
    """A full share must not hide a long memory behind an empty one; a mark that was set while folded is seen as well."""
    it = spent()
    asked, beside = it.fold(AGENT, DOMAIN, (of("x", MARK, member="m", amount=0),), NOW, reads=True)
    assert asked == of("x", MARK, member="m", amount=0)
    assert beside == of(OTHER, MARK, amount=0)
    assert it.fold(AGENT, DOMAIN, (of("x", MARK, member="m"),), NOW) == (of(OTHER, MARK, member="m"),)


def test_who_vouches_is_not_added_up():
    """One proxy that reported both instances is still one."""
    pair = Pair(KeyBounds(KEYED))
    pair.read(of("x", VOUCHED, member="proxy"))
    for number in range(MAX_NEW):
        pair.read(of(number))
    pair.now += 2 * HALF_S
    for number in range(MAX_NEW):
        pair.read(of(number))
    plain, folded = pair.read(of("x", VOUCHED, member="proxy"))
    assert plain == folded == {"reporters:steps": 1}


def test_a_sequence_and_a_step_without_a_stage_fit_the_store():
    """What only reads is within the bounds of every kind."""
    it = spent()
    store = MemoryStore(KEYED, lambda: int(NOW * 1000))
    hits = (
        of("x", STAGES, stage=2),
        of("x", STAGES),
        of("x", SCORE, amount=0),
        of("x", SPENT, amount=0),
        of("x", LIST),
    )
    folded = it.fold(AGENT, DOMAIN, hits, NOW, reads=True)
    (readings,) = store.apply([Measurement(folded, b"")])
    assert raised(folded, readings).values[0] == 1
    assert len(folded) == 2 * len(hits)


def test_readings_of_unfolded_hits_stay_as_they_are():
    """And those of hits that were folded without anybody to read them."""
    store = MemoryStore(KEYED, lambda: int(NOW * 1000))
    for hits in ((of("x"),), spent().fold(AGENT, DOMAIN, (of("x"),), NOW)):
        (readings,) = store.apply([Measurement(hits, b"")])
        assert raised(hits, readings) is readings
    assert raised((), readings) is readings
