"""Records in a file."""

from collections.abc import Callable

import pytest

from authz_server.containment.backup import HEAD, export_lines, restore_lines
from authz_server.errors import StateUnavailableError
from authz_server.state.names import FEED
from tests.servers import Server
from tests.unit.containment.fleet import ALICE, BOB, EVE, NOW, Clock, Lossy, Replica, record, release

Make = Callable[..., Replica]


@pytest.fixture
def lines(replica: Make) -> list[str]:
    """Of a deployment with one contained, one released and one ended."""
    one = replica(store=None)
    one.publisher.publish(record(ALICE))
    one.publisher.publish(record(BOB))
    one.publisher.publish(release(BOB, at=NOW + 1))
    one.publisher.publish(record(EVE, lasts=1))
    return list(export_lines(one.registry, NOW + 2))


def restore(one: Replica, lines: list[str]) -> dict[str, int]:
    return restore_lines(lines, one.opener, one.registry, one.publisher, NOW + 2)


def test_restores(replica: Make, lines: list[str], lossy: Lossy, clock: Clock) -> None:
    """An empty store gets everything back that may not be forgotten, releases too; once more changes nothing."""
    one = replica()
    assert restore(one, lines) == {"restored": 2}
    assert restore(one, lines) == {"same": 2}
    late = Replica(lossy, clock)
    late.feed.poll()
    assert late.holds(ALICE)
    assert late.registry.find(BOB).kind == "release"


def test_says_nothing(lines: list[str]) -> None:
    """The file holds no identity in clear."""
    assert lines[0] == f"{HEAD}\n"
    assert "alice" not in "".join(lines)
    assert all(line.endswith("\n") for line in lines)


def test_newer_ones_stay(replica: Make, lines: list[str]) -> None:
    """An old backup releases nobody and contains nobody who was released since."""
    one = replica()
    one.publisher.publish(record(BOB, at=NOW + 1.5))
    one.publisher.publish(release(ALICE, at=NOW + 1.5))
    assert restore(one, lines) == {"old": 2}
    assert one.holds(BOB)
    assert not one.holds(ALICE)


def test_store_that_fails(replica: Make, lines: list[str], lossy: Lossy, server: Server) -> None:
    """After a failure the whole file is restored again."""
    one = replica()
    lossy.down = True
    with pytest.raises(StateUnavailableError):
        restore(one, lines)
    lossy.down = False
    restore(one, lines)
    with server.client() as client:
        assert client.xlen(FEED) == 2


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda lines: lines[1:], "line 1: not a backup"),
        (lambda lines: [lines[0], "???\n"], "line 2: not base64"),
        (lambda lines: [*lines, "QUJD\n"], "line 4: not a record of this deployment"),
        (lambda lines: [lines[0], "A" * 40_000], "line 2: longer than any record"),
    ],
)
def test_spoilt_file(replica: Make, lines: list[str], server: Server, spoil, text: str) -> None:
    """A file with one wrong line is refused as a whole, with the line named."""
    with pytest.raises(ValueError, match=text):
        restore(replica(), spoil(lines))
    with server.client() as client:
        assert not client.exists(FEED)
