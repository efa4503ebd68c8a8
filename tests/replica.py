"""One authz-server as its own process, with what a test may ask it directly."""

import copy
import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import yaml
from envoy.service.auth.v3.external_auth_pb2 import CheckResponse

from authz_server.demo.servers import Servers, free_port
from authz_server.demo.site import EDGE
from authz_server.listeners.base import CHECK_METHOD
from tests.site_pki import SERVER_NAME, SitePki

STOP_S = 30.0
Metadata = tuple[tuple[str, str], ...]


class Replica:
    """A server that can be started, stopped and asked."""

    def __init__(self, servers: Servers, pki: SitePki, door: str, number: int, common: Mapping[str, Any]) -> None:
        """Write its configuration; `common` holds the settings of all replicas."""
        directory = servers.directory
        self.name = f"authz{number}"
        self.door = door
        self.address = f"unix:{directory}/{self.name}/s" if door == "native" else f"127.0.0.1:{free_port()}"
        self.logs = f"unix:{directory}/{self.name}/logs" if door == "native" else f"127.0.0.1:{free_port()}"
        self.control = f"unix:{directory}/{self.name}-control/s"
        """Where operators call, if there are any, and below over mutual TLS."""
        self.control_tls = f"127.0.0.1:{free_port()}"
        self.probes = f"127.0.0.1:{free_port()}"
        self.decisions = directory / f"{self.name}.ndjson"
        self.logfile = directory / f"{self.name}.log"
        self.config = directory / f"{self.name}.yaml"
        self.process: subprocess.Popen[bytes] | None = None
        self._servers = servers
        self._pki = pki
        trust: dict[str, Any] = {"domains": [{"name": "corp.example", "bundle": str(pki.bundle)}]}
        more: dict[str, Any] = {}
        files = {
            "certificate": pki.directory / "server.pem",
            "key": pki.directory / "server.key",
            "client_ca": pki.callers,
        }
        tls = {"tls": {name: str(path) for name, path in files.items()}}
        if door == "grpcio":
            trust["proxies"] = [EDGE]
            more = tls
        if door == "token":
            more = {"caller_token": str(directory / "token")}
        settings = {
            "listen": [{"address": self.address, **more}],
            "access_logs": {"listen": [{"address": self.logs, **copy.deepcopy(more)}]},  # YAML aliases are refused
            "trust": trust,
            "probes": self.probes,
            "drain": "100ms",
            "state_budget": "2s",  # a loaded machine must not look like an outage of the store
            "audit": {"file": str(self.decisions)},
            **common,
        }
        if "operators" in common:
            settings["control"] = {"listen": [self.control, {"address": self.control_tls, **copy.deepcopy(tls)}]}
        self.config.write_text(yaml.safe_dump(settings), encoding="utf-8")

    def start(self) -> None:
        """Start it, or start it again."""
        command = [sys.executable, "-m", "authz_server", "serve", "--config", str(self.config)]
        self.process = self._servers.start(self.name, command)

    def await_ready(self) -> None:
        """Wait until its readiness probe succeeds."""
        assert self.process is not None
        self._servers.wait(self.name, self.process, lambda: self._probe() == httpx.codes.OK)

    def _probe(self) -> int:
        try:
            return httpx.get(f"http://{self.probes}/readyz").status_code
        except httpx.TransportError:
            return 0

    def readiness(self) -> dict[str, Any]:
        """Give the detail of the readiness probe."""
        detail: dict[str, Any] = httpx.get(f"http://{self.probes}/readyz").json()
        return detail

    def terminate(self) -> None:
        """Ask it to stop, as Kubernetes does; it drains first."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """Wait for its end; its exit status."""
        assert self.process is not None
        return self.process.wait(STOP_S)

    def kill(self) -> None:
        """Kill it without a warning."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def log(self) -> str:
        """Give what it wrote to its standard error so far."""
        return self.logfile.read_text(encoding="utf-8")

    def records(self) -> list[dict[str, Any]]:
        """Give the records of its decisions so far."""
        if not Path(self.decisions).exists():
            return []
        lines = self.decisions.read_text(encoding="utf-8").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    @contextmanager
    def channel(self, caller: str = EDGE, authority: str = "own", address: str = "") -> Iterator[grpc.Channel]:
        """Open a channel to its listener, as Envoy would, or to another address; on mTLS with an SVID of the caller."""
        address = address or self.address
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.ssl_target_name_override", SERVER_NAME)]
        if self.door != "grpcio":
            opened = grpc.insecure_channel(address, options)
        else:
            svid = self._pki.issue(caller, authority)
            credentials = grpc.ssl_channel_credentials(self._pki.bundle.read_bytes(), svid.key_pem, svid.chain_pem)
            opened = grpc.secure_channel(address, credentials, options)
        with opened:
            yield opened

    def check(self, payload: bytes, caller: str = EDGE, metadata: Metadata = ()) -> Any:
        """Ask for one decision; the CheckResponse."""
        with self.channel(caller) as opened:
            answer = opened.unary_unary(CHECK_METHOD)(payload, timeout=STOP_S, metadata=metadata)
            return CheckResponse.FromString(answer)
