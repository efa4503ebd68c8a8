"""Servers that several tests share; each test that needs an empty one flushes it or starts its own."""

from collections.abc import Iterator

import pytest

from tests.servers import Server, has_redis, redis, valkey


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[Server]:
    """A running Valkey."""
    with valkey() as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Server]:
    """A running Redis, where one is installed."""
    if not has_redis():
        pytest.skip("no redis-server is installed")
    with redis() as server:
        yield server
