"""What lies in the server: the bytes of each kind, how long they live, and values that another version wrote."""

import pytest

from authz_server.signals import Familiarity, Hit, Signal, unpack_familiarity
from authz_server.state.keys import Keys
from tests.contract.stores import ALICE, HABITS, KEYED, RISK, SPEND, TARGETS, WALK, WINDOW, Stand

KEYS = Keys(KEYED)


def u48(number: int) -> bytes:
    return number.to_bytes(6, "big")


def stored(stand: Stand, signal: Signal) -> bytes | None:
    assert stand.server is not None
    with stand.server.client() as client:
        value = client.get(KEYS.signal(b"s:" + signal.id.encode(), ALICE, ()))
    assert value is None or isinstance(value, bytes)
    return value


def lifetime(stand: Stand, signal: Signal) -> int:
    assert stand.server is not None
    with stand.server.client() as client:
        return int(client.pttl(KEYS.signal(b"s:" + signal.id.encode(), ALICE, ())))


def put(stand: Stand, signal: Signal, value: bytes) -> None:
    assert stand.server is not None
    with stand.server.client() as client:
        client.set(KEYS.signal(b"s:" + signal.id.encode(), ALICE, ()), value)


def test_familiar(served: Stand) -> None:
    """Birth, events, and the members with their times, the longest unseen first."""
    born = served.clock.now_ms
    for member in "aba":
        served.step(Hit(HABITS, ALICE, (), member))
        served.clock.advance(1000)
    expected = b"\x01" + u48(born) + b"\x00\x03" + u48(born + 1000) + KEYS.member("b") + u48(born + 2000)
    assert stored(served, HABITS) == expected + KEYS.member("a")
    assert WINDOW - 1000 < lifetime(served, HABITS) <= WINDOW


def test_level(served: Stand) -> None:
    """Thousandths, the time up to which they have faded, and the ring, the newest first."""
    began = served.clock.now_ms
    served.step(Hit(WALK, ALICE, (), "a", amount=8000, group="g"))
    served.clock.advance(WINDOW + 15)
    served.step(Hit(WALK, ALICE, (), "b", amount=-1000, group="g"))
    ring = KEYS.member("b")[:6] + b"\x00\x00" + KEYS.member("a")[:6] + KEYS.member("g")[:2]
    # One of the 1 024 parts of a half-life lasts 9.77 ms and leaves 3 997 of 4 000.
    assert stored(served, WALK) == b"\x01" + (2997).to_bytes(4, "big") + u48(began + WINDOW + 10) + ring
    assert 24 * WINDOW - 1000 < lifetime(served, WALK) <= 24 * WINDOW - 5


def test_level_without_a_ring(served: Stand) -> None:
    """A level that remembers nobody is 11 bytes."""
    served.step(Hit(RISK, ALICE, (), "a", amount=24_001, group="g"))
    assert stored(served, RISK) == b"\x01" + (24_000).to_bytes(4, "big") + u48(served.clock.now_ms)


def test_budget(served: Stand) -> None:
    """The first reservation and what is used."""
    began = served.clock.now_ms
    served.step(Hit(SPEND, ALICE, amount=70))
    served.clock.advance(WINDOW - 1)
    for amount in (20, 11, -5):
        served.step(Hit(SPEND, ALICE, amount=amount))
    assert stored(served, SPEND) == b"\x01" + u48(began) + (85).to_bytes(4, "big")
    assert WINDOW - 1000 < lifetime(served, SPEND) <= WINDOW


@pytest.mark.parametrize(
    "hit",
    [
        Hit(HABITS, ALICE, (), "a", amount=0), Hit(HABITS, ALICE), Hit(RISK, ALICE, amount=0),
        Hit(RISK, ALICE, amount=-5), Hit(SPEND, ALICE, amount=0), Hit(SPEND, ALICE, amount=-5),
        Hit(SPEND, ALICE, amount=101),
    ],
)  # fmt: skip
def test_nothing_is_stored_for_nothing(served: Stand, hit: Hit) -> None:
    """A step that only reads, takes from nothing or asks for too much leaves no value."""
    served.step(hit)
    assert stored(served, hit.signal) is None


@pytest.mark.parametrize(
    ("hit", "sizes"),
    [
        (Hit(HABITS, ALICE, (), "a"), (1, 9, 15, 22, 24, 9 + 14 * 1025)),
        (Hit(WALK, ALICE, (), "a"), (1, 3, 10, 12, 18)),
        (Hit(SPEND, ALICE), (1, 10, 12, 19)),
        (Hit(TARGETS, ALICE, (), "a"), (14, 16, 1 + 14 * 1025)),
    ],
)
def test_value_of_another_format_or_size_is_empty(served: Stand, hit: Hit, sizes: tuple[int, ...]) -> None:
    """What this version cannot have written is told, taken for empty and replaced."""
    empty = served.read(hit)
    good = stored(served, hit.signal)
    assert good is not None
    bad = [b"", b"\x02" + good[1:], *(b"\x01" + bytes(size - 1) for size in sizes)]
    for number, value in enumerate(bad, start=1):
        put(served, hit.signal, value)
        assert served.read(hit) == empty
        assert getattr(served.store, "resets") == number  # noqa: B009 - only the stores in servers count them
        assert stored(served, hit.signal) == good


def test_group_that_hashes_to_none_is_one(served: Stand) -> None:
    """A group whose two bytes are those of no group has a share like others."""
    name = next(name for name in map(str, range(1_000_000)) if KEYS.member(name)[:2] == b"\x00\x00")
    for member in "abc":
        served.step(Hit(WALK, ALICE, (), member, amount=1000, group=name))
    assert served.read(Hit(WALK, ALICE, amount=0)) == WALK.share
    value = stored(served, WALK)
    assert value is not None
    assert value[11:][6:8] == b"\x00\x01"


def test_member_across_two_entries_is_not_known(served: Stand) -> None:
    """The bytes of a member that lie across the end of one entry and the beginning of the next are not found."""
    now = served.clock.now_ms
    name = next(name for name in map(str, range(10_000)) if KEYS.member(name)[7] == u48(now)[0])
    crossing = u48(now) + b"x" + KEYS.member(name)[:7] + u48(now) + b"y" * 8
    put(served, HABITS, b"\x01" + u48(now) + b"\x00\x02" + crossing)
    assert unpack_familiarity(served.read(Hit(HABITS, ALICE, (), name, amount=0))) == Familiarity(2, False, 0, 2)


def test_nothing_raw_is_stored(served: Stand) -> None:
    """No member and no group is in the server in clear."""
    served.step(Hit(WALK, ALICE, (), "raw", group="raw"), Hit(HABITS, ALICE, (), "raw"), Hit(SPEND, ALICE))
    for signal in (WALK, HABITS, SPEND):
        assert b"raw" not in (stored(served, signal) or b"raw")
