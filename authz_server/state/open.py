"""Opens the store that a setting names."""

import random
import time
from collections.abc import Callable

from authz_server.keyhash import KeyedHash
from authz_server.state.base import Store
from authz_server.state.memory import MemoryStore
from authz_server.state.redis import BUDGET_MS, RedisStore
from authz_server.state.topology import SCHEMES


def open_store(
    url: str,
    keyed: KeyedHash,
    *,
    clock_ms: Callable[[], int],
    budget_ms: float = BUDGET_MS,
    monotonic: Callable[[], float] = time.monotonic,
    jitter: Callable[[], float] = random.random,
    on_epoch: Callable[[bytes], None] | None = None,
) -> Store:
    """Open a store; no connection is made before the first call.

    Args:
        url: `memory`, or one of `SCHEMES` and what follows it.
        keyed: the hash of the deployment.
        clock_ms: the wall clock, Unix time in milliseconds.
        budget_ms: how long a batch may wait for the store.
        monotonic: seconds, for that budget.
        jitter: numbers in [0, 1) that spread the probes of a store that is down.
        on_epoch: see `RedisStore`; the memory store has nothing to tell.

    Raises:
        ValueError: the setting names no store that this version can use. The message does not repeat it: it may hold a
            password.
    """
    if url == "memory":
        return MemoryStore(keyed, clock_ms)
    if url.startswith(SCHEMES):
        return RedisStore(
            url, keyed, clock_ms=clock_ms, monotonic=monotonic, jitter=jitter, budget_ms=budget_ms, on_epoch=on_epoch
        )
    raise ValueError(f"state: names no store; use memory, {', '.join(SCHEMES)}")
