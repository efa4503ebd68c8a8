"""The demonstration's site: certificates, configuration files and the running programs, below one directory."""

import ssl
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from string import Template
from typing import Final, NamedTuple

from authz_server.control.client import Target
from authz_server.demo.agents import ANALYST, BENIGN, DANA, INTRUDER, PLANNER, SCRAPER, STOLEN
from authz_server.demo.pki import Authority
from authz_server.demo.servers import Servers, free_port, socket_ready

EDGE: Final = "spiffe://corp.example/ns/edge/sa/gateway"
"""Envoy's own identity."""
SERVER: Final = "spiffe://corp.example/ns/authz/sa/server"
"""Of authz-server, where it is called over mutual TLS."""
SERVER_NAME: Final = "authz.internal"
HOSTS: Final = ("crm", "files", "vault", "deploy", "dwh", "billing", "payroll", "tools")
_AGENTS: Final = {
    "report-writer": BENIGN,
    "helpdesk-bot": INTRUDER,
    "ci-deploy": STOLEN,
    "planner": PLANNER,
    "analyst": ANALYST,
    "scraper": SCRAPER,
    "dana": DANA,
}


class Site(NamedTuple):
    """A running site."""

    directory: Path
    port: int
    """Where Envoy listens with mTLS."""
    admin_port: int
    control_port: int
    """Where authz-server takes the calls of issuers of tasks and of people."""

    @property
    def control(self) -> Path:
        """The socket for the same, in a directory of its own."""
        return self.directory / "control" / "s"

    @property
    def decisions(self) -> Path:
        """The decision log of authz-server."""
        return self.directory / "decisions.ndjson"

    @property
    def access_log(self) -> Path:
        """Envoy's access log."""
        return self.directory / "access.ndjson"

    def tls(self, principal: str) -> ssl.SSLContext:
        """A client's TLS context with the SVID of a principal."""
        context = ssl.create_default_context(cafile=str(self.directory / "tls" / "ca.crt"))
        context.load_cert_chain(*self._files(principal))
        return context

    def target(self, principal: str) -> Target:
        """How a principal calls authz-server."""
        certificate, key = (path.read_bytes() for path in self._files(principal))
        authority = (self.directory / "tls" / "ca.crt").read_bytes()
        return Target(f"127.0.0.1:{self.control_port}", authority, certificate, key, SERVER_NAME)

    def _files(self, principal: str) -> tuple[Path, Path]:
        name = next(name for name, known in _AGENTS.items() if known == principal)
        return self.directory / "tls" / f"{name}.pem", self.directory / "tls" / f"{name}.key"


def write_certificates(directory: Path, now: float) -> None:
    """Make the CA, the SVIDs of Envoy and of authz-server, and those of everybody who takes part."""
    directory.mkdir(mode=0o700)
    authority = Authority("corp.example", now)
    (directory / "ca.crt").write_bytes(authority.bundle_pem)
    for name, principal in _AGENTS.items():
        authority.issue(principal).write(directory, name)
    authority.issue(SERVER, dns=[SERVER_NAME]).write(directory, "server")
    authority.issue(EDGE, dns=[f"{host}.corp.example" for host in HOSTS]).write(directory, "edge")


def render(name: str, target: Path, values: Mapping[str, object]) -> Path:
    """Write one of the demo's files with its `${…}` parts filled in."""
    text = resources.files("authz_server.demo").joinpath("files", name).read_text(encoding="utf-8")
    target.write_text(Template(text).substitute({key: str(value) for key, value in values.items()}), encoding="utf-8")
    return target


def copy_policies(target: Path) -> None:
    """Copy the demo's policy to where it can be edited."""
    target.mkdir()
    for entry in resources.files("authz_server.demo").joinpath("files", "policies").iterdir():
        (target / entry.name).write_bytes(entry.read_bytes())


def start_site(servers: Servers, now: float) -> Site:
    """Start everything and wait until it serves.

    Args:
        servers: owns the programs.
        now: Unix time in seconds, for the certificates.

    Raises:
        DemoError: a program does not start.
    """
    directory = servers.directory
    write_certificates(directory / "tls", now)
    copy_policies(directory / "policies")
    socket = directory / "run" / "check.sock"
    site = Site(directory, free_port(), free_port(), free_port())
    state = servers.valkey()
    config = render(
        "config.yaml",
        directory / "config.yaml",
        {
            "socket": socket,
            "control": site.control,
            "control_port": site.control_port,
            "state": state,
            "tls": directory / "tls",
            "decisions": site.decisions,
        },
    )
    program = servers.authz("--config", str(config), "--policies", str(directory / "policies"))
    servers.wait("authz-server", program, lambda: socket_ready(socket))
    envoy = render(
        "envoy.yaml",
        directory / "envoy.yaml",
        {
            "listen_port": site.port,
            "admin_port": site.admin_port,
            "upstream_port": servers.upstream(),
            "tls": directory / "tls",
            "socket": socket,
            "access_log": site.access_log,
        },
    )
    servers.envoy(envoy, site.admin_port)
    return site
