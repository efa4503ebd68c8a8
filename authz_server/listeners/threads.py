"""The one place where the listeners start threads; all of them are joined by the listener that started them."""

import threading
import time
from collections.abc import Callable, Iterable

Thread = threading.Thread  # noqa: TID251 - this module is the permitted place
JOIN_S = 2.0
"""How long a stopping listener waits for its threads after its door is closed; a decision takes milliseconds."""


def start_thread(name: str, target: Callable[[], None]) -> Thread:
    """Start `target` in a thread of its own.

    The thread is a daemon, so that a decision that hangs cannot keep a process alive that has been told to stop.
    """
    thread = Thread(target=target, name=name, daemon=True)
    thread.start()
    return thread


def join_all(threads: Iterable[Thread], seconds: float = JOIN_S) -> bool:
    """Join `threads` within `seconds` altogether; false when one is still running."""
    end = time.monotonic() + seconds
    alive = False
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
        alive = alive or thread.is_alive()
    return not alive
