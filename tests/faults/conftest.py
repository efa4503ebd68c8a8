"""Marks the fault tests, and prints their figures at the end of the session."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults import figures
from tests.faults.forms import LIMIT, LONG_S, long_form, policy
from tests.faults.harness import ground
from tests.faults.proxy import proxy
from tests.faults.scene import Scene
from tests.servers import valkey

HERE = Path(__file__).parent
SLACK_S = 180
OPTIONS = ("--appendonly", "yes", "--repl-diskless-sync-delay", "0")
"""Else a replica waits five seconds for the first data."""


def pytest_collection_modifyitems(items):
    """Every test here starts real servers; the long form may take as long as its faults."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.server)
            if long_form():
                item.add_marker(pytest.mark.timeout(10 * LONG_S + SLACK_S))


def pytest_terminal_summary(terminalreporter):
    """Print the table."""
    if figures.LINES:
        terminalreporter.section("faults")
        for line in figures.table():
            terminalreporter.write_line(line)
        figures.write()


@pytest.fixture(scope="package")
def scene() -> Iterator[Scene]:
    """An Envoy and two servers that reach one store, which writes an append-only file, through a proxy; tests leave it in working order."""
    with ExitStack() as stack:
        store = stack.enter_context(valkey(*OPTIONS, tcp=True))
        between = stack.enter_context(proxy(store.port))
        yield Scene(store, between, stack.enter_context(ground(between.url, envoy=True, text=policy(LIMIT))))
