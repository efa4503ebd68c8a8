"""What is noted for an outage: in order, by whose it is, and no more than is good."""

from authz_server.engine.journal import MAX_NOTED, MAX_OWN, MAX_TEXT, Journal, shortened
from authz_server.model import Entity
from authz_server.signals import Hit, Measurement, Signal, SignalKind
from tests.harness import KEYED, START

CALLS = Signal("calls", "00000001", SignalKind.COUNT, 10_000, cap=100)
HIT = Hit(CALLS, Entity("principal", ("a",)))
STEP = Measurement((HIT,), b"f" * 16, (Entity("principal", ("a",)),))


def recall(journal, owner, after=0):
    return journal.recall(owner, after, {CALLS.id: CALLS})


def test_a_caller_finds_its_own_notes_in_their_order():
    """With the time, the fingerprint and the kind of each; flags are not kept."""
    journal = Journal()
    first = journal.note("a", START, STEP)
    journal.note("b", START, STEP)
    second = journal.note("a", START + 1, STEP._replace(lasting=True))
    assert recall(journal, "a") == [
        (first, START, STEP._replace(flags=())),
        (second, START + 1, STEP._replace(flags=(), lasting=True)),
    ]
    assert [note.number for note in recall(journal, "a", first)] == [second]
    assert recall(journal, "a", second) == recall(journal, "c") == []


def test_what_the_policy_does_not_measure_any_more_is_left_out():
    """A definition that has changed has another id."""
    journal = Journal()
    journal.note("a", START, Measurement((HIT, HIT._replace(signal=CALLS._replace(id="0000000f"))), b""))
    assert recall(journal, "a")[0].measurement.hits == (HIT,)


def test_a_flood_pushes_out_nothing_but_its_own():
    """However much one caller does, another's notes stay."""
    journal = Journal()
    mine = journal.note("a", START, STEP)
    for _ in range(2 * MAX_NOTED):
        journal.note("flood", START, STEP)
    assert [note.number for note in recall(journal, "a")] == [mine]
    assert len(recall(journal, "flood")) == MAX_OWN
    assert len(journal) == MAX_OWN + 1


def test_it_is_bounded_and_forgets_the_oldest():
    """Of many callers the ones that did nothing for long are forgotten first."""
    journal = Journal()
    for number in range(3 * MAX_NOTED):
        journal.note(str(number % (MAX_NOTED // 4)), START, STEP)
        assert len(journal._young) <= MAX_NOTED
    assert len(journal) <= MAX_NOTED
    assert recall(journal, "7")
    journal = Journal()
    journal.note("old", START, STEP)
    for number in range(MAX_NOTED):
        journal.note(str(number), START, STEP)
    assert recall(journal, "old") == []


def test_notes_on_both_sides_of_a_turn_are_found():
    """Nothing is lost when one half follows the other."""
    journal = Journal()
    first = journal.note("a", START, STEP)
    for number in range(MAX_NOTED // 2):
        journal.note(str(number), START, STEP)
    second = journal.note("a", START, STEP)
    assert [note.number for note in recall(journal, "a")] == [first, second]


def test_long_texts_are_kept_as_hashes():
    """The same text the same hash, another one another, and what is short stays as it is."""
    long = "x" * (MAX_TEXT + 1)
    hits = (
        HIT,
        HIT._replace(entity=Entity("source", (long,)), rest=("y", long), member=long, group=long),
        HIT._replace(member="z" + long),
    )
    kept = shortened(hits, KEYED)
    assert kept[0] is HIT
    name = KEYED.hex((long,))
    assert kept[1] == HIT._replace(entity=Entity("source", (name,)), rest=("y", name), member=name, group=name)
    assert kept[2].member not in {name, ""}
    assert shortened(kept, KEYED) == kept
