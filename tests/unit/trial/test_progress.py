"""How far a replay has come."""

import io
import itertools

import pytest
from rich.console import Console

from authz_server.trial.progress import PAUSE_S, Told
from authz_server.trial.trace import Trace
from tests.traces import line, text


@pytest.fixture
def trace(tmp_path):
    (tmp_path / "trace").write_bytes(text(*[line(float(t)) for t in range(100)]))
    with Trace(str(tmp_path / "trace")) as trace:
        yield trace


def told(trace, *, terminal=False, quiet=False, pause=PAUSE_S / 2):
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=100)
    with Told(console, trace, itertools.count(0.0, pause).__next__, quiet=quiet) as tell:
        for steps in (128, 256, 384, 512):
            tell(steps)
    return out.getvalue()


def test_a_log_gets_a_line_now_and_then(trace):
    """With steps, speed and share; not at every word."""
    first, second = told(trace).splitlines()
    assert first.startswith("replay: 256 steps, 51 a second, ")
    assert second.startswith("replay: 512 steps, 51 a second, ")
    assert first.endswith(" % of the trace")


def test_a_terminal_gets_a_bar(trace):
    """Which is gone at the end."""
    list(trace)
    out = told(trace, terminal=True)
    assert "512 steps" in out
    assert "100%" in out
    assert out.endswith("\x1b[2K")


@pytest.mark.parametrize("terminal", [False, True])
def test_quiet_is_quiet(trace, terminal):
    """Whoever looks."""
    assert told(trace, terminal=terminal, quiet=True) == ""


def test_of_a_stream_the_share_is_not_known(trace):
    """It has no size."""
    trace.size = 0
    assert "of the trace" not in told(trace)
    assert told(trace, pause=0.1) == ""
