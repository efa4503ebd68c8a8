"""Changes are noticed once they rest, and no reaction ends the watching."""

import itertools
import threading

from authz_server.sources.watch import MAX_BACKOFF_S, MAX_UNSETTLED, Watcher


class Files:
    """A fingerprint that a test sets, and a reaction that it lets fail."""

    def __init__(self):
        self.now = "v1"
        self.reactions = []
        self.fail = False
        self.watcher = Watcher(["x"], self.react, fingerprint=lambda *paths: self.now, interval_s=1.0, settle_s=0.2)

    def react(self):
        self.reactions.append(self.now)
        if self.fail:
            raise ValueError("secret")

    def steps(self, number):
        return [self.watcher.step() for _ in range(number)]


def test_a_change_counts_when_it_rests():
    """The second equal look reacts, once; a further change in between starts anew."""
    files = Files()
    files.watcher.run_now()
    assert files.reactions == ["v1"]
    assert files.steps(3) == [1.0, 1.0, 1.0]
    files.now = "v2"
    assert files.steps(1) == [0.2]
    files.now = "v3"
    assert files.steps(1) == [0.2]
    assert files.reactions == ["v1"]
    assert files.steps(3) == [1.0, 1.0, 1.0]
    assert files.reactions == ["v1", "v3"]


def test_a_change_that_is_taken_back_is_none():
    """What is in force again needs no reaction."""
    files = Files()
    files.watcher.run_now()
    files.now = "v2"
    files.steps(1)
    files.now = "v1"
    files.steps(3)
    assert files.reactions == ["v1"]


def test_without_a_first_run_the_files_are_a_change():
    """Starting to watch reads them."""
    files = Files()
    files.steps(3)
    assert files.reactions == ["v1"]


def test_a_change_during_the_first_run_is_noticed():
    """The look is taken before the reading."""
    files = Files()
    files.react_once, first = files.react, []

    def react():
        if not first:
            first.append(1)
            files.now = "v2"
        files.react_once()

    files.watcher._on_change = react
    files.watcher.run_now()
    files.steps(2)
    assert files.reactions == ["v2", "v2"]


def test_files_that_never_rest_are_taken_in_the_end():
    """A process that writes all the time cannot keep a change out for ever."""
    files = Files()
    files.watcher.run_now()
    for number in range(MAX_UNSETTLED + 1):
        files.now = f"w{number}"
        files.steps(1)
    assert files.reactions == ["v1", f"w{MAX_UNSETTLED}"]


def test_a_failed_reaction_is_tried_again_with_growing_pauses(caplog):
    """1, 2, 4 … looks apart up to a minute, until it succeeds; what it raised is not in the log."""
    files = Files()
    files.watcher.run_now()
    files.now, files.fail = "v2", True
    turns = []
    for turn in range(400):
        before = len(files.reactions)
        files.steps(1)
        if len(files.reactions) > before:
            turns.append(turn)
    gaps = [later - earlier for earlier, later in itertools.pairwise(turns)]
    assert gaps[:6] == [2, 3, 5, 9, 17, 33]
    assert set(gaps[6:]) == {MAX_BACKOFF_S + 1}
    files.fail = False
    files.steps(70)
    done = len(files.reactions)
    files.steps(200)
    assert len(files.reactions) == done
    assert "ValueError" in caplog.text
    assert "secret" not in caplog.text


def test_a_new_change_does_not_wait_for_the_pause():
    """The next version may be the repair."""
    files = Files()
    files.watcher.run_now()
    files.now, files.fail = "v2", True
    files.steps(20)
    files.now, files.fail = "v3", False
    files.steps(2)
    assert files.reactions[-1] == "v3"


def test_a_look_that_fails_is_no_end(caplog):
    """Whatever the look raises, the next one comes."""

    def look(*paths):
        raise RuntimeError("secret")

    watcher = Watcher(["x"], lambda: None, fingerprint=look)
    assert [watcher.step(), watcher.step()] == [1.0, 1.0]
    assert "secret" not in caplog.text


def test_the_thread_reacts_to_real_files_and_is_joined(tmp_path):
    """A file that appears, in a thread that ends with the watcher."""
    path, reacted = tmp_path / "cert.pem", threading.Event()
    watcher = Watcher([path], reacted.set, name="watch-test", interval_s=0.01, settle_s=0.01)
    watcher.run_now()
    reacted.clear()
    watcher.start()
    watcher.start()
    assert not reacted.wait(0.1)
    path.write_bytes(b"1")
    assert reacted.wait(10)
    watcher.stop()
    watcher.stop()
    assert "watch-test" not in {thread.name for thread in threading.enumerate()}
