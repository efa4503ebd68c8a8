"""Threads are joined within a bound."""

import threading
import time

from authz_server.listeners.threads import join_all, start_thread


def test_threads_are_joined_within_a_common_time():
    """All have ended: true; one hangs: false, after the time and not after a multiple of it."""
    release = threading.Event()
    assert join_all([start_thread("quick", lambda: None) for _ in range(3)])
    hanging = [start_thread("hanging", release.wait) for _ in range(4)]
    begin = time.monotonic()
    assert not join_all(hanging, 0.2)
    assert time.monotonic() - begin < 0.6
    release.set()
    assert join_all(hanging)
    assert all(thread.daemon for thread in hanging)
