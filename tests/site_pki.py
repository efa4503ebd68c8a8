"""Certificates of an end-to-end site: Envoy, authz-server, agents, and two authorities that only Envoy trusts."""

import ssl
import time
from itertools import count
from pathlib import Path

from authz_server.demo.pki import Authority, Svid
from authz_server.demo.site import EDGE, HOSTS

DAY_S = 24 * 3600.0
SERVER = "spiffe://corp.example/ns/authz/sa/server"
SERVER_NAME = "authz.internal"


def agent(name: str) -> str:
    """Name a principal of the namespace that the tests' policy lets work."""
    return f"spiffe://corp.example/ns/agents/sa/{name}"


class SitePki:
    """Issues what the site and its clients present; files lie below one directory.

    `own` is the authority of the site. `foreign` is the authority of another trust domain, and `forged` claims the name
    of the site's: Envoy trusts both at its lenient listener, authz-server neither.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700)
        self.directory = directory
        self._numbers = count()
        begin = time.time() - DAY_S  # old enough for leaves that have expired
        self.authorities = {
            "own": Authority("corp.example", begin),
            "foreign": Authority("other.example", begin),
            "forged": Authority("corp.example", begin),
        }
        bundles = [authority.bundle_pem for authority in self.authorities.values()]
        (directory / "ca.crt").write_bytes(bundles[0])
        (directory / "all.crt").write_bytes(b"".join(bundles))
        (directory / "callers.crt").write_bytes(bundles[0])
        self.issue(EDGE, dns=[f"{host}.corp.example" for host in HOSTS]).write(directory, "edge")
        self.renew_server()

    @property
    def bundle(self) -> Path:
        """The trust bundle of the site, as a file."""
        return self.directory / "ca.crt"

    @property
    def callers(self) -> Path:
        """The anchors of those who may open a connection to the server, as a file; at first the bundle."""
        return self.directory / "callers.crt"

    def renew_server(self) -> None:
        """Write a new certificate and key of the server over the old ones."""
        self.issue(SERVER, dns=[SERVER_NAME]).write(self.directory, "server")

    def issue(
        self, principal: str, authority: str = "own", *, dns: tuple[str, ...] | list[str] = (), age_s: float = 3600.0,
        lifetime_s: float = DAY_S,
    ) -> Svid:  # fmt: skip
        """Issue an SVID that began `age_s` seconds ago and holds for `lifetime_s` from then."""
        return self.authorities[authority].issue(principal, dns, lifetime_s, time.time() - age_s)

    def client(self, principal: str = "", authority: str = "own", *, alpn: tuple[str, ...] = ()) -> ssl.SSLContext:
        """Give a client's TLS context with a new SVID of the principal; without a principal it has no certificate."""
        context = ssl.create_default_context(cafile=str(self.bundle))
        context.check_hostname = False  # Envoy's certificate is checked against the bundle; its names are not tested
        if principal:
            files = self.issue(principal, authority).write(self.directory, f"client{next(self._numbers)}")
            context.load_cert_chain(*files)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context
