"""What the store answered, put where conditions read it."""

import pytest

from authz_server.policy.selector import key_of
from authz_server.policy.step import Step
from authz_server.readings import take_readings
from authz_server.signals import Readings, pack_familiarity
from tests.steps import NOW, credential, policy, principal, request

TEXT = """
    version: 1
    actions: [{name: read, match: {path: "/v1/{thing}"}, kind: read}]
    signals: {s: %s}
    rules: [{name: r, when: "%s", then: throttle}]
"""
DAY = 86_400


def taken(signal, *values, condition="signals.s > 3", replicas=1, degraded=False, **changes):
    """The step after these readings of `s`, one for each of its hits."""
    snapshot = policy(TEXT % (signal, condition))
    req = request(path="/v1/7", **changes)
    classified = snapshot.catalogue.classify(req)
    step = Step(req, principal(), classified.action, classified.captures, NOW)
    candidates = snapshot.rules.candidates(key_of(step))
    hits = candidates.hits(step)
    assert len(hits) == len(values)
    take_readings(step, candidates, hits, Readings(values, degraded=degraded), replicas)
    return step


@pytest.mark.parametrize("values", [(3, 9), (9, 3), (9, 9)])
def test_of_several_instances_the_largest_is_read(values):
    """In whatever order they come."""
    assert taken("{count: steps, each: [principal, source], window: 1h}", *values).readings == {"s": 9}


@pytest.mark.parametrize(
    ("signal", "scaled"),
    [
        ("{count: steps, per: [principal], window: 1h}", True),
        ("{budget: steps, per: [principal], window: 1h}", True),
        ("{distinct: path.thing, per: [principal], window: 1h}", False),
        ("{sequence: [discovery, collection], per: [principal], window: 1h}", False),
        ("{score: true, each: [principal], half_life: 1h}", False),
    ],
)
def test_what_each_replica_counts_its_share_of_is_scaled_without_the_store(signal, scaled):
    """Counts and budgets; never what came from the store."""
    assert taken(signal, 4, replicas=3, degraded=True).readings["s"] == (12 if scaled else 4)
    assert taken(signal, 4, replicas=3).readings["s"] == 4


NEW = "{first_seen: path.thing, per: [principal], window: 31d}"


@pytest.mark.parametrize(
    ("known", "age", "learn", "readings", "unlearned"),
    [
        (0, DAY, "", {"s": 1, "s.age": DAY}, False),
        (1, DAY, "", {"s": 0, "s.age": DAY}, False),
        (0, DAY - 1, "", {"s": 1, "s.age": DAY - 1}, True),
        (0, 60, ", learn: 1m", {"s": 1, "s.age": 60}, False),
        (0, 60, ", learn: {time: 1m, count: 6}", {"s": 1, "s.age": 60}, True),
        (0, 60, ", learn: {time: 1m, count: 5}", {"s": 1, "s.age": 60}, False),
    ],
)
def test_what_is_new_is_told_with_its_age_and_whether_it_has_learned(known, age, learn, readings, unlearned):
    """By time, and by the events that taught it (5 here)."""
    step = taken(NEW.replace("31d", f"31d{learn}"), pack_familiarity(3, known, age, 5))
    assert step.readings == readings
    assert step.unlearned == (frozenset({"s"}) if unlearned else frozenset())


def test_an_empty_list_has_learned_nothing():
    """After an installation, or a loss of state."""
    assert taken(NEW, 0).unlearned == {"s"}
    assert taken(NEW.replace("31d", "31d, learn: 0s"), 0).unlearned == frozenset()


EACH = "{first_seen: path.thing, each: [principal, source], window: 31d}"
OLD_NEW, OLD_KNOWN = pack_familiarity(3, 0, DAY, 5), pack_familiarity(3, 1, 2 * DAY, 5)
YOUNG_NEW, YOUNG_KNOWN = pack_familiarity(3, 0, 5, 1), pack_familiarity(3, 1, 5, 1)


@pytest.mark.parametrize(
    ("one", "two", "reading", "unlearned"),
    [
        (OLD_KNOWN, YOUNG_NEW, 0, False),
        (OLD_NEW, YOUNG_KNOWN, 1, False),
        (OLD_NEW, OLD_KNOWN, 1, False),
        (YOUNG_NEW, YOUNG_KNOWN, 1, True),
    ],
)
def test_an_instance_that_has_learned_speaks_before_those_that_have_not(one, two, reading, unlearned):
    """In whatever order they come."""
    for values in ((one, two), (two, one)):
        step = taken(EACH, *values)
        assert (step.readings["s"], "s" in step.unlearned) == (reading, unlearned)


@pytest.mark.parametrize(
    ("members", "known", "readings"),
    [
        (0, 0, {"s": 0, "s.by_other": 0}),
        (1, 1, {"s": 1, "s.by_other": 0}),
        (1, 0, {"s": 1, "s.by_other": 1}),
        (2, 1, {"s": 1, "s.by_other": 1}),
    ],
)
def test_a_mark_is_set_or_not_and_by_whom(members, known, readings):
    """Whoever else has set it is another."""
    step = taken('{mark: path.thing == "7", per: [principal], keep: 1h}', pack_familiarity(members, known, 60, 1))
    assert step.readings == {**readings, "s.age": 60}
    assert step.unlearned == frozenset()


KNOWN = "{distinct: principal, per: [credential], window: 1h, fed_by: allowed}"
TWO = (credential("a"), credential("b"))


def test_a_distinct_tells_how_many_and_whether_this_is_among_them():
    """Before this step."""
    step = taken(KNOWN, pack_familiarity(4, 1, 60, 9), credentials=TWO[:1])
    assert step.readings == {"s": 4, "s.has": 1, "s.age": 60}


@pytest.mark.parametrize(("first", "second"), [(1, 0), (0, 1), (0, 0), (1, 1)])
def test_each_of_several_credentials_has_to_be_known(first, second):
    """One that is does not make the others known; of anything else the largest is read."""
    step = taken(KNOWN, pack_familiarity(4, first, 60, 9), pack_familiarity(2, second, 90, 9), credentials=TWO)
    assert step.readings == {"s": 4, "s.has": first & second, "s.age": 90}


def test_a_signal_of_one_kind_only_is_taken_apart():
    """Others are plain numbers however large they are."""
    value = pack_familiarity(3, 1, DAY, 5)
    step = taken("{count: steps, per: [principal], window: 1h}", value)
    assert step.readings == {"s": value}
