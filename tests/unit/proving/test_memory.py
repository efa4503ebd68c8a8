"""What a process remembers of proofs."""

from authz_server.proving import memory
from authz_server.proving.memory import ProofMemory
from authz_server.task.proof import Proof
from tests.jose import KEYED, NOW

ONE = Proof("key", "id", NOW + 60)


def take(it, proof, mark, now):
    """Whether the step has the proof for itself."""
    return it.take("somebody", proof, mark, now) == ""


def test_a_proof_belongs_to_the_step_that_showed_it_first():
    """Whose byte-identical repeat is the same step; the same id of another key is another proof."""
    it = ProofMemory(KEYED, 60)
    assert take(it, ONE, b"a", NOW)
    assert take(it, ONE, b"a", NOW + 1)
    assert not take(it, ONE, b"b", NOW + 1)
    assert not take(it, ONE, b"b", NOW + 1)
    assert take(it, ONE._replace(jkt="other"), b"b", NOW + 1)


def test_two_names_are_not_run_together():
    """A client chooses the id, and must not be able to spend another's."""
    it = ProofMemory(KEYED, 60)
    assert take(it, Proof("ab", "c", NOW), b"a", NOW)
    assert take(it, Proof("a", "bc", NOW), b"b", NOW)


def test_it_is_remembered_for_its_life_wherever_that_begins():
    """And forgotten some time after it."""
    for begins in (0, 1, 30, 59, 60, 61):
        it = ProofMemory(KEYED, 60)
        take(it, ONE._replace(jti="first"), b"x", NOW)
        take(it, ONE, b"a", NOW + begins)
        assert not take(it, ONE, b"b", NOW + begins + 59.9)
    for turn in range(1, 4):
        take(it, ONE._replace(jti="later"), b"x", NOW + 60 * turn + 60)
    assert len(it) <= 2
    assert take(it, ONE, b"b", NOW + 400)


def test_a_clock_that_is_set_back_forgets_nothing_at_once():
    """The older half stays."""
    it = ProofMemory(KEYED, 60)
    take(it, ONE, b"a", NOW)
    assert not take(it, ONE, b"b", NOW - 10)


def test_a_batch_that_began_before_another_one_forgets_nothing():
    """Threads take the time when their batch begins, so it comes here in any order."""
    it = ProofMemory(KEYED, 60)
    take(it, ONE._replace(jti="first"), b"x", NOW)
    take(it, ONE, b"a", NOW + 59.9)
    take(it, ONE._replace(jti="second"), b"y", NOW + 60.001)
    take(it, ONE._replace(jti="third"), b"z", NOW + 60)
    assert not take(it, ONE, b"b", NOW + 60.01)


def test_a_caller_has_so_many_and_no_more(monkeypatch):
    """Others are not concerned, and none of its own is forgotten for it; repeats are no new ones."""
    monkeypatch.setattr(memory, "MAX_OWN", 8)
    it = ProofMemory(KEYED, 60)
    found = [it.take("one", ONE._replace(jti=str(number)), b"a", NOW) for number in range(10)]
    assert found == [""] * 8 + ["proof_too_many"] * 2
    assert it.take("one", ONE._replace(jti="0"), b"a", NOW) == ""
    assert it.take("one", ONE._replace(jti="0"), b"b", NOW) == "proof_replayed"
    assert it.take("two", ONE._replace(jti="9"), b"a", NOW) == ""
    assert it.take("one", ONE._replace(jti="8"), b"a", NOW + 60) == ""


def test_all_callers_have_so_many(monkeypatch):
    """Whoever has many names fills neither this process nor the store."""
    monkeypatch.setattr(memory, "MAX_HALF", 8)
    it = ProofMemory(KEYED, 60)
    found = [it.take(str(number), ONE._replace(jti=str(number)), b"a", NOW) for number in range(10)]
    assert found == [""] * 8 + ["proof_too_many"] * 2
    for second in range(0, 600, 20):
        for number in range(10):
            it.take("x", ONE._replace(jti=f"{second}-{number}"), b"a", NOW + second)
        assert len(it) <= 16
