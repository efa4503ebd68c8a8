"""The last good stays in force; every outcome is told."""

import pytest

from authz_server.errors import Fault, PolicyError
from authz_server.sources.files import content_digest
from authz_server.sources.reload import Reloader, ReloadOutcome

FAULT = Fault("a.yaml", 3, "rules[0]", "unknown key")


class Bench:
    """A reloader over contents in memory."""

    def __init__(self):
        self.contents = {"a.yaml": b"1"}
        self.published = []
        self.outcomes = []
        self.now = 100.0
        self.broken = None
        self.reloader = Reloader(
            ["/nonexistent"], self.read, self.load, self.published.append, self.outcomes.append, clock=lambda: self.now
        )
        self.looks = "1"
        self.reloader.watcher._fingerprint = lambda *paths: self.looks

    def read(self):
        if isinstance(self.contents, Exception):
            raise self.contents
        return self.contents

    def load(self, contents):
        if contents["a.yaml"] == b"bad":
            raise PolicyError([FAULT])
        if self.broken:
            raise self.broken
        return contents["a.yaml"].decode()

    def change(self, content, at):
        self.contents, self.looks, self.now = content, str(at), at
        for _ in range(2):
            self.reloader.watcher.step()


def digest(content):
    return content_digest({"a.yaml": content})


def test_the_first_load_is_in_the_callers_thread():
    """It publishes, and says so."""
    bench = Bench()
    assert bench.reloader.last_success is None
    assert bench.reloader.load_now() == ReloadOutcome(ok=True, at=100.0, digest=digest(b"1"))
    assert bench.published == ["1"]
    assert (bench.reloader.last_success, bench.reloader.last_error) == (100.0, None)
    assert bench.reloader.digest == digest(b"1")


def test_faults_keep_the_last_good_and_are_told_once():
    """Nothing is published, digest and last success stay, readiness learns the faults and since when."""
    bench = Bench()
    bench.reloader.load_now()
    bench.change({"a.yaml": b"bad"}, 200.0)
    bench.now = 300.0
    for _ in range(50):
        bench.reloader.watcher.step()
    assert bench.published == ["1"]
    assert bench.outcomes[1:] == [ReloadOutcome(ok=False, at=200.0, digest=digest(b"bad"), faults=(FAULT,))]
    assert bench.reloader.last_error == bench.outcomes[1]
    assert (bench.reloader.last_success, bench.reloader.failing_since) == (100.0, 200.0)
    assert bench.reloader.digest == digest(b"1")


def test_a_repair_is_published_and_clears_the_error():
    """Two broken versions in a row fail since the first."""
    bench = Bench()
    bench.reloader.load_now()
    bench.change({"a.yaml": b"bad"}, 200.0)
    bench.change({"a.yaml": b"bad", "b.yaml": b""}, 300.0)
    assert bench.reloader.failing_since == 200.0
    bench.change({"a.yaml": b"2"}, 400.0)
    assert bench.published == ["1", "2"]
    assert (bench.reloader.last_success, bench.reloader.last_error) == (400.0, None)
    assert bench.reloader.failing_since is None


def test_the_same_content_is_not_compiled_again():
    """Touched files, and the return to what is in force after a broken version, publish nothing."""
    bench = Bench()
    bench.reloader.load_now()
    bench.change({"a.yaml": b"1"}, 200.0)
    assert bench.outcomes[-1] == ReloadOutcome(ok=True, at=200.0, digest=digest(b"1"), unchanged=True)
    bench.change({"a.yaml": b"bad"}, 300.0)
    bench.change({"a.yaml": b"1"}, 400.0)
    assert bench.reloader.last_error is None
    assert bench.published == ["1"]


@pytest.mark.parametrize("error", [MemoryError("secret"), RecursionError("secret"), SystemExit("secret")])
def test_whatever_loading_raises_is_reported_and_tried_again(error, caplog):
    """A bug, a lack of memory, a library that exits: the watcher lives, and the same files get another chance."""
    bench = Bench()
    bench.reloader.load_now()
    bench.broken = error
    bench.change({"a.yaml": b"2"}, 200.0)
    assert bench.outcomes[-1] == ReloadOutcome(ok=False, at=200.0, digest=digest(b"2"), error=type(error).__name__)
    bench.broken = None
    for _ in range(3):
        bench.reloader.watcher.step()
    assert bench.published == ["1", "2"]
    assert bench.reloader.last_error is None
    assert "secret" not in caplog.text


def test_unreadable_files_are_tried_again():
    """A directory that is not mounted yet is not the text's fault."""
    bench = Bench()
    bench.contents = PolicyError([Fault("policies", 0, "", "No such file or directory")])
    outcome = bench.reloader.load_now()
    assert (outcome.ok, outcome.digest, outcome.faults[0].file) == (False, "", "policies")
    bench.contents = {"a.yaml": b"1"}
    for _ in range(3):
        bench.reloader.watcher.step()
    assert bench.published == ["1"]


def test_an_interrupt_at_the_first_load_ends_it():
    """Ctrl-C is not an outcome."""
    bench = Bench()
    bench.broken = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        bench.reloader.load_now()


def test_a_publication_that_fails_is_a_failure():
    """What could not be put in force is not counted as in force."""
    bench = Bench()

    def publish(value):
        raise ValueError(value)

    bench.reloader._publish = publish
    assert bench.reloader.load_now().error == "ValueError"
    assert bench.reloader.digest == ""


def test_a_report_that_fails_harms_nothing(caplog):
    """The reload is done all the same."""
    bench = Bench()

    def report(outcome):
        raise ValueError("secret")

    bench.reloader._report = report
    assert bench.reloader.load_now().ok
    assert bench.published == ["1"]
    assert "secret" not in caplog.text
