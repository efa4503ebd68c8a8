"""Notices that files have changed, by looking: works the same for links that are exchanged, mounts and editors.

A look is a few `stat` per file. A change counts when two looks in a row see the same, so that a copy in progress is not
taken for the result; files that never come to rest are taken as they are after a while, and the reader decides.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from authz_server.sources.files import fingerprint as fingerprint_of

INTERVAL_S: Final = 1.0
SETTLE_S: Final = 0.2
MAX_UNSETTLED: Final = 25
"""Looks in a row that differ, after which the change is taken anyway (5 s with `SETTLE_S`)."""
MAX_BACKOFF_S: Final = 60.0
"""The longest pause before a reaction that raised is tried again on the same files."""
JOIN_S: Final = 5.0

_log = logging.getLogger(__name__)


class Watcher:
    """Calls `on_change` in a thread of its own, once for each change that has come to rest.

    A reaction that raises is tried again, with growing pauses, until it succeeds or the files change; nothing that it
    raises ends the watching.

    Args:
        paths: files and policy directories; they need not exist.
        on_change: the reaction.
        name: of the thread, and in the log.
        interval_s: seconds between looks.
        settle_s: seconds until the second look at a change.
        fingerprint: the look; replaced in tests.
    """

    def __init__(
        self,
        paths: Sequence[str | Path],
        on_change: Callable[[], None],
        *,
        name: str = "watch",
        interval_s: float = INTERVAL_S,
        settle_s: float = SETTLE_S,
        fingerprint: Callable[..., str] = fingerprint_of,
    ) -> None:
        self._paths = tuple(paths)
        self._on_change = on_change
        self._name = name
        self._interval = interval_s
        self._settle = settle_s
        self._fingerprint = fingerprint
        self._done = ""
        self._seen = ""
        self._unsettled = 0
        self._failed = ""
        self._backoff = 0.0
        self._pause = 0.0
        self._stop = threading.Event()
        self._turn = threading.Lock()
        self._thread: threading.Thread | None = None  # noqa: TID251 - see start

    def run_now(self) -> None:
        """React to the files as they are, in the caller's thread: the first reading.

        What changes from here on is noticed, also while the reaction runs. What the reaction raises is the caller's.
        """
        with self._turn:
            seen = self._fingerprint(*self._paths)
            self._on_change()
            self._done = seen

    def step(self) -> float:
        """One look, and the reaction when it is due; seconds until the next look. Never raises."""
        with self._turn:
            try:
                return self._look()
            except Exception as error:  # noqa: BLE001 - whatever it is, the next look may succeed
                _log.error("looking failed: watch=%s cause=%s", self._name, type(error).__name__)
                return self._interval

    def start(self) -> None:
        """Look from now on; without a `run_now` the files as they are count as a change."""
        if self._thread is None:
            # The one thread of the sources; `stop` joins it. A daemon, so that a reaction that hangs ends with us.
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)  # noqa: TID251
            self._thread.start()

    def stop(self) -> None:
        """Stop looking and join the thread; a reaction that runs may end. May be repeated."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(JOIN_S)

    def _run(self) -> None:
        while not self._stop.wait(self.step()):
            pass

    def _look(self) -> float:
        seen = self._fingerprint(*self._paths)
        if seen == self._done:
            self._seen, self._unsettled = seen, 0
            return self._interval
        if seen == self._failed and self._pause > 0:
            self._pause -= self._interval
            return self._interval
        if seen not in {self._seen, self._failed} and self._unsettled < MAX_UNSETTLED:
            self._seen = seen
            self._unsettled += 1
            return self._settle
        self._seen, self._unsettled = seen, 0
        self._react(seen)
        return self._interval

    def _react(self, seen: str) -> None:
        try:
            self._on_change()
        except Exception as error:  # noqa: BLE001 - see the class
            again = seen == self._failed
            self._backoff = min(MAX_BACKOFF_S, self._backoff * 2) if again else self._interval
            self._failed, self._pause = seen, self._backoff
            _log.error("reaction failed: watch=%s cause=%s", self._name, type(error).__name__)
        else:
            self._done, self._failed, self._pause = seen, "", 0.0
