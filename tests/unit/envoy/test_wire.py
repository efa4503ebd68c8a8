"""The demand for a fast protobuf runtime."""

import os
import subprocess
import sys

import pytest

from authz_server.envoy.wire import demand_compiled_runtime


@pytest.mark.parametrize("kind", ["upb", "cpp"])
def test_compiled_runtimes(kind):
    """Both compiled runtimes serve."""
    demand_compiled_runtime(kind)


def test_pure_python_runtime():
    """With the slow runtime the import fails, and says what to do."""
    environment = {**os.environ, "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"}
    command = [sys.executable, "-c", "import authz_server.envoy.wire"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "unset PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION" in run.stderr
