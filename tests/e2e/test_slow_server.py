"""A server that answers late: waited for within Envoy's timeout, and never a way in."""

import os
import signal
import threading
from importlib import resources
from pathlib import Path
from string import Template

import pytest
import yaml

from tests.envoy_config import ext_authz
from tests.site_pki import agent

_PLACES = {"listen_port": 1, "admin_port": 2, "upstream_port": 3, "tls": "/tls", "socket": "/s", "access_log": "/a"}
SIDECAR = Path(__file__).parents[2] / "k8s/overlays/sidecar/envoy/envoy.yaml"


@pytest.mark.e2e
@pytest.mark.server
def test_a_pause_is_waited_for(alone):
    """A server that stands still for 300 ms, as in a full collection or on a crowded node, costs time and nothing else."""
    process = alone.server.process
    with alone.client(agent("patient")) as client:
        assert client.get("/v1/things/7").status_code == 200
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)  # it may answer until all its threads have stopped
        awake = threading.Timer(0.3, process.send_signal, [signal.SIGCONT])
        awake.start()
        try:
            answer = client.get("/v1/things/7")
        finally:
            awake.join()
    assert answer.status_code == 200
    assert answer.elapsed.total_seconds() > 0.2


def _shipped():
    demo = resources.files("authz_server.demo").joinpath("files", "envoy.yaml").read_text(encoding="utf-8")
    yield pytest.param(Template(demo).substitute(_PLACES), id="demo")
    yield pytest.param(SIDECAR.read_text(encoding="utf-8"), id="sidecar")


@pytest.mark.parametrize("text", list(_shipped()))
def test_a_shipped_envoy_waits_for_one_try_as_long_as_for_the_call(text):
    """`max_interval` is the timeout of a try as well (Envoy source/common/http/utility.cc, convertCoreToRouteRetryPolicy)."""
    service = ext_authz(yaml.safe_load(text)["static_resources"]["listeners"][0])["grpc_service"]
    one_try, whole = service["retry_policy"]["retry_back_off"]["max_interval"], service["timeout"]
    assert float(one_try.removesuffix("s")) >= float(whole.removesuffix("s"))
