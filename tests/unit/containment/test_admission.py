"""Which requests are granted."""

import pytest

from authz_server.containment.admission import MAX_AUTHORS, MAX_BY_AUTHOR, MAX_LASTING_S, Admission, author_of
from authz_server.containment.inbox import Request
from authz_server.model import Containment, Entity
from tests.unit.containment.fleet import ALICE, BOB, NOW, record, release


def ask(entity: Entity = ALICE, *, author: str = "data-1", at: float = NOW, lasts: float = 60.0) -> Request:
    return Request(author, at, Containment(entity, NOW + lasts, "burst"))


def task(n: int) -> Entity:
    return Entity("task", (str(n),))


@pytest.fixture
def admission() -> Admission:
    return Admission(lambda entity: entity == BOB, 3, 600.0)


def test_rate_is_of_all(admission: Admission) -> None:
    """All replicas together contain so many in a window, and again when it has moved on."""
    assert [admission.admit(ask(task(n), author=f"data-{n}"), None, NOW) for n in range(5)] == [
        "",
        "",
        "",
        "guard_rate",
        "guard_rate",
    ]
    assert admission.admit(ask(task(9), lasts=900), None, NOW + 600) == ""


def test_clock_that_was_ahead(admission: Admission) -> None:
    """What was granted under it holds nothing up once it is set right."""
    for n in range(3):
        assert admission.admit(ask(task(n), lasts=90_000), None, NOW + 86_400) == ""
    assert admission.admit(ask(task(3), lasts=90_000), None, NOW + 86_400) == "guard_rate"
    assert admission.admit(ask(task(3)), None, NOW) == ""


def test_clock_that_is_put_right_by_a_little(admission: Admission) -> None:
    """What was granted a moment ago still counts."""
    assert [admission.admit(ask(task(n)), None, NOW) for n in range(3)] == [""] * 3
    assert admission.admit(ask(task(3), at=NOW - 1), None, NOW - 0.5) == "guard_rate"


def test_never(admission: Admission) -> None:
    """Who is never contained is not, and that counts for nothing."""
    assert admission.admit(ask(BOB), None, NOW) == "guard_never"
    assert [admission.admit(ask(task(n)), None, NOW) for n in range(3)] == [""] * 3


def test_contained_already(admission: Admission) -> None:
    """To say of a contained one that it is to be contained is granted and not counted."""
    for _ in range(10):
        assert admission.admit(ask(), record(), NOW) == ""
    assert admission.admit(ask(), None, NOW) == ""


def test_times(admission: Admission) -> None:
    """Ended, released since, from the future, or longer than any rule contains."""
    assert admission.admit(ask(lasts=0), None, NOW) == "stale"
    assert admission.admit(ask(at=NOW - 1), release(), NOW) == "stale"
    assert admission.admit(ask(at=NOW + 1), release(), NOW + 1) == ""
    assert admission.admit(ask(at=NOW + 6), None, NOW) == "ahead"
    assert admission.admit(ask(lasts=MAX_LASTING_S + 1), None, NOW) == "unfit"


@pytest.mark.parametrize("entity", [Entity("credential", ("0" * 32,)), Entity("source", ("10.0.0.1",))])
def test_what_rules_may_not_contain(admission: Admission, entity: Entity) -> None:
    """What was merely shown is for operators to contain."""
    assert admission.admit(ask(entity), None, NOW) == "unfit"


def test_one_author_has_a_share() -> None:
    """One replica has so many in force; ended and released ones make room, and others have their own share."""
    admission = Admission(lambda _: False, 10_000, 600.0)
    for n in range(MAX_BY_AUTHOR):
        assert admission.admit(ask(task(n)), None, NOW) == ""
    assert admission.admit(ask(task(-1)), None, NOW) == "guard_author"
    assert admission.admit(ask(task(-1), author="data-2"), None, NOW) == ""
    admission.released(task(5))
    assert admission.admit(ask(task(-2)), None, NOW) == ""
    assert admission.admit(ask(task(-3)), None, NOW) == "guard_author"
    assert admission.admit(ask(task(-3), lasts=900), None, NOW + 61) == ""


def test_made_up_authors_are_bounded() -> None:
    """A replica that takes a new name for each request gets no further than so many names."""
    admission = Admission(lambda _: False, 1_000_000, 600.0)
    answers = {admission.admit(ask(task(n), author=f"a{n}"), None, NOW) for n in range(MAX_AUTHORS)}
    assert answers == {""}
    assert admission.admit(ask(task(-1), author="more"), None, NOW) == "guard_author"


def test_author_of_the_record() -> None:
    """The record says that rules did it, and where."""
    assert author_of(ask()) == "rules@data-1"
    assert author_of(ask(author="")) == "rules"
