"""Whom a running server trusts follows the files: agents by the bundle, proxies by the anchors and the bundle."""

import grpc
import pytest
from envoy.service.auth.v3.external_auth_pb2 import CheckResponse

from authz_server.demo.site import EDGE
from authz_server.listeners.base import CHECK_METHOD
from tests.envoy_site import await_value
from tests.site_pki import agent
from tests.stand import outcome, replace, step
from tests.stand import stand as running_stand

pytestmark = pytest.mark.server


@pytest.fixture
def stand():
    with running_stand() as found:
        yield found


def joined(pki, *names):
    """The roots of several authorities as one file."""
    return b"".join(pki.authorities[name].bundle_pem for name in names)


def test_trust_follows_the_bundle(stand):
    """A second authority is trusted as soon as the bundle has it, the first one no more when it has gone."""
    server, pki = stand.start(), stand.pki
    old, new = (pki.issue(agent("a"), authority).cert_pem for authority in ("own", "forged"))

    def ask(certificate):
        return outcome(server.check(step(certificate=certificate)))

    assert ask(old) == (200, "")
    assert ask(new) == (401, "svid_untrusted_chain")
    replace(pki.bundle, joined(pki, "own", "forged"))
    await_value(lambda: ask(new) == (200, ""))
    assert ask(old) == (200, "")
    replace(pki.bundle, joined(pki, "forged"))
    await_value(lambda: ask(old) == (401, "svid_untrusted_chain"))
    assert ask(new) == (200, "")


def test_a_broken_bundle_leaves_the_last_one_in_force(stand):
    """Garbage, an empty file and the roots of another domain are reported; trust stays as it was."""
    server, pki = stand.start(), stand.pki
    leaf, stranger = (pki.issue(agent("a"), authority).cert_pem for authority in ("own", "forged"))
    good = pki.bundle.read_bytes()
    garbage = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    for content in (garbage, b"", joined(pki, "forged", "foreign"), None):
        replace(pki.bundle, content)
        await_value(lambda: server.readiness()["bundles"] == "failing")
        assert outcome(server.check(step(certificate=leaf))) == (200, "")
        assert outcome(server.check(step(certificate=stranger))) == (401, "svid_untrusted_chain")
        assert server.readiness()["ready"] is True
        replace(pki.bundle, good)
        await_value(lambda: server.readiness()["bundles"] == "ok")
    assert "belongs to trust domain other.example" in server.log()
    assert "bundles reload refused" in server.log()
    assert "Traceback" not in server.log()


def test_callers_follow_anchors_and_bundle(stand):
    """A proxy of a new authority is let in by the anchors and believed by the bundle: it needs both."""
    server, pki = stand.start("grpcio"), stand.pki

    def ask():
        with server.channel(EDGE, "forged") as opened:
            try:
                return outcome(CheckResponse.FromString(opened.unary_unary(CHECK_METHOD)(step(), timeout=10)))
            except grpc.RpcError as error:
                return error.code()

    assert ask() is grpc.StatusCode.UNAVAILABLE
    replace(pki.callers, joined(pki, "own", "forged", "foreign"))
    await_value(lambda: ask() == (403, "caller_invalid"))
    replace(pki.bundle, joined(pki, "own", "forged"))
    await_value(lambda: ask() == (200, ""))
    assert server.check(step()).status.code == 0


def test_half_a_rotation_of_tls_files_shows_in_the_readiness(stand):
    """A new certificate without its key: the old pair goes on, and `tls: failing` says so until the key comes."""
    server, pki = stand.start("grpcio"), stand.pki
    old = (pki.directory / "server.key").read_bytes()
    pki.renew_server()
    new = (pki.directory / "server.key").read_bytes()
    replace(pki.directory / "server.key", old)
    assert server.check(step()).status.code == 0
    assert (server.readiness()["tls"], server.readiness()["ready"]) == ("failing", True)
    replace(pki.directory / "server.key", new)
    assert server.check(step(1)).status.code == 0
    assert server.readiness()["tls"] == "ok"
