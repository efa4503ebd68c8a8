"""Hot reload: a change is read and compiled aside, published whole, and a broken one leaves the last good in force."""

import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from authz_server.errors import Fault, FaultyTextError
from authz_server.sources.files import content_digest
from authz_server.sources.watch import INTERVAL_S, SETTLE_S, Watcher

T = TypeVar("T")

_log = logging.getLogger(__name__)


class ReloadOutcome(NamedTuple):
    """What came of one reading."""

    ok: bool
    at: float
    """Unix time in seconds."""
    digest: str = ""
    """SHA-256 of what was read; `""` when it could not be read."""
    unchanged: bool = False
    """It is what is in force already; nothing was published."""
    faults: tuple[Fault, ...] = ()
    """Why the text was refused."""
    error: str = ""
    """The type of an exception that is no fault of the text; it is tried again."""


class Reloader(Generic[T]):
    """Keeps what is in force up to date with its files.

    Args:
        paths: files and directories to watch.
        read: their contents by name, as of one moment.
        load: compiles contents; raises PolicyError or ConfigError for faults of the text.
        publish: puts the compiled value in force.
        report: told of every outcome, in the reloading thread; what it raises is logged.
        clock: Unix time in seconds.
        name: of the thread, and in the log.
        interval_s: seconds between looks at the files.
        settle_s: seconds for which a change has to rest.
    """

    def __init__(
        self,
        paths: Sequence[str | Path],
        read: Callable[[], Mapping[str, bytes]],
        load: Callable[[Mapping[str, bytes]], T],
        publish: Callable[[T], None],
        report: Callable[[ReloadOutcome], None],
        *,
        clock: Callable[[], float],
        name: str = "reload",
        interval_s: float = INTERVAL_S,
        settle_s: float = SETTLE_S,
    ) -> None:
        self._read = read
        self._load = load
        self._publish = publish
        self._report = report
        self._clock = clock
        self._name = name
        self._digest = ""
        self._outcome = ReloadOutcome(ok=False, at=0.0, error="unread")
        self._last_success: float | None = None
        self._last_error: ReloadOutcome | None = None
        self._failing_since: float | None = None
        self.watcher = Watcher(paths, self._react, name=name, interval_s=interval_s, settle_s=settle_s)
        """For tests that look by themselves."""

    @property
    def digest(self) -> str:
        """SHA-256 of the contents in force; `""` before the first success."""
        return self._digest

    @property
    def last_success(self) -> float | None:
        """When the files were last found good, as Unix time in seconds."""
        return self._last_success

    @property
    def last_error(self) -> ReloadOutcome | None:
        """Why the files on disk are not in force; None when they are."""
        return self._last_error

    @property
    def failing_since(self) -> float | None:
        """Since when the files on disk are not in force; None when they are."""
        return self._failing_since

    def load_now(self) -> ReloadOutcome:
        """Read and publish in the caller's thread: the first load, or one on demand."""
        with contextlib.suppress(_RetryError):  # the watcher tries it again
            self.watcher.run_now()
        return self._outcome

    def start(self) -> None:
        """Watch from now on."""
        self.watcher.start()

    def stop(self) -> None:
        """Stop watching and join the thread; may be repeated."""
        self.watcher.stop()

    def _react(self) -> None:
        outcome = self._outcome = self._attempt()
        if outcome.ok:
            self._last_success, self._last_error, self._failing_since = outcome.at, None, None
        else:
            self._last_error = outcome
            if self._failing_since is None:
                self._failing_since = outcome.at
        try:
            self._report(outcome)
        except Exception as error:  # noqa: BLE001 - whoever listens badly must not stop the reload
            _log.error("report failed: reload=%s cause=%s", self._name, type(error).__name__)
        if not outcome.ok and (outcome.error or not outcome.digest):
            # Not the text's fault, or not readable: the same files may do the next time.
            raise _RetryError

    def _attempt(self) -> ReloadOutcome:
        at = self._clock()
        digest = ""
        try:
            contents = self._read()
            digest = content_digest(contents)
            if digest == self._digest:
                return ReloadOutcome(ok=True, at=at, digest=digest, unchanged=True)
            self._publish(self._load(contents))
        except FaultyTextError as error:
            return ReloadOutcome(ok=False, at=at, digest=digest, faults=error.faults)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - a panic of a Rust extension is no Exception
            return ReloadOutcome(ok=False, at=at, digest=digest, error=type(error).__name__)
        self._digest = digest
        return ReloadOutcome(ok=True, at=at, digest=digest)


class _RetryError(Exception):
    """Tells the watcher to try the same files again."""
