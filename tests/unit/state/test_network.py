"""What all networks share."""

from threading import Thread

from authz_server.errors import StateUnavailableError
from authz_server.state.network import Command, Tally, is_error


def test_tally_counts_by_code() -> None:
    """Threads count into it, and what was read does not change any more."""
    tally = Tally()
    threads = [Thread(target=lambda: [tally.count("oom") for _ in range(1000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    read = tally.read()
    tally.count("moved", 3)
    assert read == {"oom": 4000}
    assert tally.read() == {"oom": 4000, "moved": 3}


def test_command() -> None:
    """A command needs a key and its parts only."""
    assert Command(b"k", (b"GET", b"k")).read is None


def test_errors_among_replies() -> None:
    """An error is told from everything that a server answers."""
    assert is_error(StateUnavailableError("oom"))
    assert not any(map(is_error, (None, b"OOM", 1, [])))
