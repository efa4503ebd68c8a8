"""A server of the control role beside the data roles of a ground, and what operators ask of it."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from authz_server.control.client import ContainmentClient, Target, open_channel
from authz_server.model import Entity
from tests.envoy_site import await_value
from tests.faults.asking import field, step
from tests.faults.forms import now
from tests.faults.harness import Ground
from tests.replica import Replica
from tests.site_pki import agent

NUMBER = 9
"""Of the control role, among the names of servers."""
REACHES_S = 5.0
"""Within which the data roles enforce what was published; the figure says how long it took."""


def write_keys(folder: Path) -> tuple[str, str]:
    """Write the pair of keys of the records; the paths of the private and of the public one."""
    key = Ed25519PrivateKey.generate()
    private, public = folder / "record.key", folder / "record.pub"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return str(private), str(public)


class Control:
    """The control role of a ground whose servers have the data role."""

    def __init__(self, site: Ground, url: str, record_key: str) -> None:
        self._site = site
        self._address = f"unix:{site.directory}/control/s"
        settings = {
            "role": "control",
            "policies": str(site.policies.root),
            "state": url,
            "secrets": {"hash_key": str(site.directory / "hash.key"), "record_key": record_key},
            "containment": {"max_share": "100%", "max_auto": "1000 per 10m"},
            "control": {"listen": [self._address]},
        }
        self.server = Replica(site._servers, site._pki, "native", NUMBER, settings)
        self.start()

    def start(self) -> None:
        """Start it, or start it again after `server.kill()`."""
        self.server.start()
        self.server.await_ready()

    def contain(self, identity: str) -> float:
        """Let an operator contain an identity; how long it took until every replica refused it."""
        with open_channel(Target(self._address)) as channel:
            ContainmentClient(channel).contain(Entity("principal", (agent(identity),)), 600, "a test of faults")
        return self.await_refused(identity)

    def release(self, identity: str) -> None:
        """Let an operator release an identity."""
        with open_channel(Target(self._address)) as channel:
            ContainmentClient(channel).release(Entity("principal", (agent(identity),)), "a test of faults")

    def await_refused(self, *identities: str) -> float:
        """Wait until every replica refuses these as contained; how long that took."""
        begin = now()
        for number in range(len(self._site.replicas)):
            await_value(lambda n=number: self._site.refused(identities, n), REACHES_S)
        return now() - begin


def trap(site: Ground, identity: str, number: int = 0) -> None:
    """Let one replica contain an identity, and wait for nobody."""
    answer = site.ask(step(identity, f"trap-{now()}", path="/v1/trap"), number)
    assert field(answer, "decision") == "quarantine", answer
