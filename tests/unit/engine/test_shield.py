"""What is answered without the store, for how long, and that every step is told to it all the same."""

import pytest

from authz_server.engine.shield import (
    BEGINS,
    MAX_ANSWERS,
    MAX_TEXT,
    MAX_TOLD,
    MAX_VARIANTS,
    SERVED,
    SHIELD_S,
    Shield,
    is_by_readings,
)
from authz_server.model import Entity
from authz_server.signals import Hit, Measurement, Readings, Signal, SignalKind
from authz_server.state.layout import MAX_STEPS
from authz_server.state.memory import MemoryStore
from authz_server.verdict import Decision, Reading, Reason, Verdict
from tests.steps import AGENT, KEYED, NOW

MINUTE = Signal("minute", "00000001", SignalKind.COUNT, 60_000, 1000)
TENTH = Signal("tenth", "00000002", SignalKind.COUNT, 100, 1000)
LIST = Signal("list", "00000003", SignalKind.DISTINCT, 60_000, 8)
SCORE = Signal("score", "00000004", SignalKind.LEVEL, 0, 100, half_life_ms=60_000)
WALK = Signal("walk", "00000005", SignalKind.LEVEL, 0, 100, half_life_ms=60_000, ring=4)
KNOWN = Signal("known", "00000006", SignalKind.FAMILIAR, 60_000, 8)
SPENT = Signal("spent", "00000007", SignalKind.BUDGET, 60_000, 10)
STAGES = Signal("stages", "00000008", SignalKind.SEQUENCE, 60_000, stages=4)
ME = Entity("principal", (AGENT,))
STEP = (Hit(MINUTE, ME), Hit(LIST, ME, member="m"))
READ = Readings((50, 1))


def refuse(it, hits=STEP, readings=READ, *, times=BEGINS, whose=AGENT, digest="d", now=NOW):
    """Refuse the same step some times."""
    for _ in range(times):
        it.refused(whose, digest, hits, readings, now)


def find(it, hits=STEP, *, whose=AGENT, digest="d", now=NOW):
    return it.find(whose, digest, hits, now)


def test_it_begins_after_several_identical_refusals_within_the_second():
    """An honest client that tries again does not meet it."""
    it = Shield()
    assert find(it) is None
    refuse(it, times=BEGINS - 1)
    assert find(it) is None
    refuse(it, times=1)
    assert find(it) == READ._replace(repeated=True)


def test_slow_refusals_do_not_add_up():
    """Eight in a second, and not eight in a minute; a clock that steps back begins anew."""
    it = Shield()
    for second in (0, 1, 2, 3):
        refuse(it, times=BEGINS - 1, now=NOW + second * SHIELD_S)
    refuse(it, times=BEGINS - 1, now=NOW - 10)
    assert find(it, now=NOW + 3) is None


def test_it_ends_after_a_second_and_begins_again_as_before():
    """The store is asked at least that often."""
    it = Shield()
    refuse(it)
    assert find(it, now=NOW + 0.99) is not None
    assert find(it, now=NOW + SHIELD_S) is None
    assert find(it, now=NOW - 1) is None
    refuse(it, times=BEGINS - 1, now=NOW + SHIELD_S)
    assert find(it, now=NOW + SHIELD_S) is None


def test_it_ends_with_the_shortest_window():
    """What has counted until then means less from there on."""
    it = Shield()
    hits = (Hit(MINUTE, ME), Hit(TENTH, ME))
    refuse(it, hits, now=NOW + 0.02)
    assert find(it, hits, now=NOW + 0.09) is not None
    assert find(it, hits, now=NOW + 0.1) is None


@pytest.mark.parametrize("other", [{"whose": "somebody"}, {"digest": "e"}, {"hits": (*STEP, Hit(TENTH, ME))}])
def test_another_step_asks_the_store(other):
    """Another caller, another policy, another measurement."""
    it = Shield()
    refuse(it)
    assert find(it, **other) is None


def test_some_variants_of_a_callers_steps_are_looked_at():
    """The latest ones; whoever varies more only asks the store."""
    it = Shield()
    steps = [(Hit(MINUTE, ME, (str(number),)),) for number in range(MAX_VARIANTS + 1)]
    for hits in steps:
        refuse(it, hits, Readings((50,)))
    assert [find(it, hits) is not None for hits in steps] == [False] + [True] * MAX_VARIANTS


@pytest.mark.parametrize("more", [{"degraded": True}, {"repeated": True}, {"contained": (ME,)}])
def test_only_readings_that_the_store_counted_are_given_again(more):
    """Without the store nothing is saved by it, and a repeat has measured nothing."""
    it = Shield()
    refuse(it, readings=READ._replace(**more))
    assert len(it) == 0


@pytest.mark.parametrize(
    ("hit", "value", "can"),
    [
        (Hit(LIST, ME), 3, True),
        (Hit(STAGES, ME, stage=2), 3, True),
        (Hit(SCORE, ME, amount=0), 70, True),
        (Hit(SCORE, ME, amount=1000), 70, False),
        (Hit(KNOWN, ME, member="m", amount=0), 70, True),
        (Hit(KNOWN, ME, member="m"), 70, False),
        (Hit(SPENT, ME, amount=0), 10, True),
        (Hit(SPENT, ME, amount=3), 10, False),
        (Hit(SPENT, ME, amount=3), 12, True),
        (Hit(LIST, ME, member="m" * (MAX_TEXT + 1)), 1, False),
        (Hit(MINUTE, Entity("path.x", ("m" * (MAX_TEXT + 1),))), 1, False),
    ],
)
def test_a_step_that_would_change_more_than_counts_asks_the_store(hit, value, can):
    """What was reserved is not free any more, and a score grows; a budget that was full stored nothing."""
    it = Shield()
    hits = (*STEP, hit)
    refuse(it, hits, Readings((50, 1, value)))
    assert (find(it, hits) is not None) is can
    refuse(Shield(), (), Readings(()))


def amounts(measurements, signal=MINUTE):
    return [hit.amount for each in measurements for hit in each.hits if hit.signal is signal]


def test_skipped_steps_are_told_at_once():
    """As one hit that stands for all of them; what only reads is left out."""
    it = Shield()
    hits = (*STEP, Hit(SCORE, ME, amount=0))
    refuse(it, hits, Readings((50, 1, 0)))
    assert it.take_skipped() == []
    for _ in range(100):
        assert it.skip(AGENT, "d", hits, ()) == ()
    assert it.take_skipped() == [Measurement((Hit(MINUTE, ME, amount=100), Hit(LIST, ME, member="m")), b"")]
    assert it.take_skipped() == []


def test_many_skipped_steps_are_told_by_several_measurements():
    """As far as a full bucket takes notice of them, and never more than the store takes in one hit."""
    it = Shield()
    wide = MINUTE._replace(cap=1_000_000)
    for signal, times, told in ((MINUTE, 700, 700), (MINUTE, 5000, 1000), (wide, 9000, MAX_TOLD * MAX_STEPS)):
        hits = (Hit(signal, ME), Hit(LIST, ME, member="m"))
        refuse(it, hits)
        for _ in range(times):
            it.skip(AGENT, "d", hits, ())
        measurements = it.take_skipped()
        assert sum(amounts(measurements, signal)) == told
        assert max(amounts(measurements, signal)) <= MAX_STEPS
        assert sum(len(each.hits) for each in measurements) == len(measurements) + 1
        assert all(each.fingerprint == b"" for each in measurements)


def test_what_the_answers_teach_is_added_up_too():
    """Counts and scores by their sum; what is remembered once is remembered once."""
    it = Shield()
    refuse(it)
    after = (
        Hit(TENTH, ME),
        Hit(SCORE, ME, amount=5000),
        Hit(WALK, ME, member="m", amount=2000),
        Hit(SPENT, ME, amount=-1),
    )
    for _ in range(10):
        assert it.skip(AGENT, "d", STEP, after) == ()
    _, taught = it.take_skipped()
    assert taught.hits == (Hit(TENTH, ME, amount=10), Hit(SCORE, ME, amount=50_000), after[2])


def test_answers_that_vary_are_measured_one_by_one():
    """So that nobody's variety costs memory."""
    it = Shield()
    refuse(it)
    answers = [(Hit(TENTH, ME, (str(number),)),) for number in range(MAX_ANSWERS + 2)]
    assert [it.skip(AGENT, "d", STEP, after) for after in answers] == [*[()] * MAX_ANSWERS, *answers[MAX_ANSWERS:]]
    assert amounts(it.take_skipped()) == [MAX_ANSWERS + 2]


def test_the_store_ends_up_with_every_step():
    """Whether they were measured one by one or told together."""
    it = Shield()
    plain, told = (MemoryStore(KEYED, lambda: int(NOW * 1000)) for _ in range(2))
    for number in range(60):
        plain.apply([Measurement(STEP, b"")])
        if find(it) is not None:
            it.skip(AGENT, "d", STEP, ())
            continue
        (readings,) = told.apply([Measurement(STEP, b"")])
        if number >= 3:
            it.refused(AGENT, "d", STEP, readings, NOW)
    told.apply(it.take_skipped())
    asked = [Measurement((Hit(MINUTE, ME, amount=0), Hit(LIST, ME)), b"")]
    assert plain.apply(asked) == told.apply(asked)
    assert plain.apply(asked)[0].values == (60, 1)


def test_callers_are_forgotten_when_there_are_too_many_and_their_steps_are_not():
    """The one that came first goes; what it skipped is still told, and what it skips now is measured."""
    it = Shield(limit=2)
    hits = (*STEP, Hit(SPENT, ME, amount=0))
    for whose in ("a", "b"):
        refuse(it, hits, Readings((50, 1, 0)), whose=whose)
    it.skip("a", "d", hits, ())
    refuse(it, whose="c")
    assert len(it) == 2
    assert find(it, hits, whose="a") is None
    assert amounts(it.take_skipped()) == [1]
    assert it.skip("a", "d", hits, (Hit(TENTH, ME),)) == (*STEP, Hit(TENTH, ME))


def test_one_round_trip_takes_a_bounded_number_of_them_along():
    """The rest follows with the next."""
    it = Shield()
    for number in range(200):
        refuse(it, whose=str(number))
        it.skip(str(number), "d", STEP, ())
    taken = [len(it.take_skipped()) for _ in range(5)]
    assert sum(taken) == 200
    assert max(taken) == taken[0] == 64


def verdict(decision, *readings, **more):
    return Verdict(decision, Reason.DENIED, readings=tuple(Reading("s", *each) for each in readings), **more)


def test_a_refusal_by_readings_has_one_that_reached_its_limit():
    """A step that was denied for what it is would be denied without the store as well."""
    assert is_by_readings(verdict(Decision.THROTTLE, (1, None), (5, 5)))
    assert is_by_readings(verdict(Decision.DENY, (6, 5)))
    assert not is_by_readings(verdict(Decision.DENY, (4, 5), (9, None)))
    assert not is_by_readings(verdict(Decision.ALLOW, (6, 5)))
    assert not is_by_readings(verdict(Decision.QUARANTINE, (6, 5)))
    assert not is_by_readings(verdict(Decision.DENY, (6, 5), degraded=True))


def test_nothing_is_granted_by_readings_that_are_given_again():
    """Neither an allow nor a challenge."""
    assert {Decision.ALLOW, Decision.CHALLENGE}.isdisjoint(SERVED)
