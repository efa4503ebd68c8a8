"""Which listener stands behind an entry of `listen`, and whom its door takes for the caller."""

import time

import pytest

from authz_server import doorway
from authz_server.config import load_config
from authz_server.demo.pki import Authority
from authz_server.errors import ConfigError
from authz_server.identity.svid import SvidVerifier, parse_bundle
from authz_server.listeners.grpcio import GrpcioListener
from authz_server.listeners.native import NativeListener
from authz_server.model import Caller, CallerKind

EDGE = "spiffe://corp.example/ns/edge/sa/gateway"
SELF = "spiffe://corp.example/ns/authz/sa/server"


def build(text):
    config = load_config("config.yaml", f"listen: [{text}]\n".encode(), {})
    return doorway.build_listener(config.listen[0], config, lambda calls: [], lambda: None, lambda caller: True)


@pytest.fixture
def files(tmp_path):
    authority = Authority("corp.example", time.time())
    authority.issue(SELF).write(tmp_path, "server")
    (tmp_path / "ca.pem").write_bytes(authority.bundle_pem)
    return f"{{certificate: {tmp_path}/server.pem, key: {tmp_path}/server.key, client_ca: {tmp_path}/ca.pem}}"


def test_plaintext_doors_get_the_native_front_and_tls_gets_grpcio(files, tmp_path):
    """`auto` takes the native front where there is no TLS; `grpcio` can be asked for."""
    (tmp_path / "token").write_text("0" * 32)
    assert type(build("unix:/run/authz/s")) is NativeListener
    assert type(build("{address: 'unix:/run/authz/s', server: grpcio}")) is GrpcioListener
    assert type(build("{address: '127.0.0.1:0', mesh_sidecar: true}")) is NativeListener
    assert type(build(f"{{address: '127.0.0.1:0', caller_token: {tmp_path}/token}}")) is NativeListener
    assert type(build(f"{{address: '127.0.0.1:0', tls: {files}}}")) is GrpcioListener


def test_without_the_native_front_grpcio_serves_everything(monkeypatch):
    """On a platform without its wheel every door still has a server."""
    monkeypatch.setattr(doorway, "NativeListener", None)
    assert type(build("unix:/run/authz/s")) is GrpcioListener


@pytest.mark.parametrize("server", ["auto", "grpcio"])
def test_an_open_port_is_refused(server):
    """A TCP address without a door is a fault of the configuration, whoever serves it."""
    with pytest.raises(ConfigError, match="insecure-plaintext"):
        build(f"{{address: '127.0.0.1:0', server: {server}}}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds 0 secrets"),
        (b"\n \n", "holds 0 secrets"),
        (b"a" * 32 + b"\n" + b"b" * 32 + b"\n" + b"c" * 32, "holds 3 secrets"),
        (b"hunter2", "32 to 4096"),
        (b"\xff" * 40, "printable ASCII"),
    ],
)
def test_a_file_without_a_usable_caller_secret_is_refused(tmp_path, content, message):
    """None, too many, too short, not ASCII: the file is named and the secret is not shown."""
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        build(f"{{address: '127.0.0.1:0', caller_token: {tmp_path}/token}}")
    assert str(tmp_path / "token") in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_two_caller_secrets_are_accepted_while_they_are_exchanged(tmp_path):
    """One a line, with blank lines between."""
    (tmp_path / "token").write_text(f"{'a' * 32}\n\n{'b' * 32}\n")
    assert type(build(f"{{address: '127.0.0.1:0', caller_token: {tmp_path}/token}}")) is NativeListener


def test_a_peer_is_who_its_certificate_proves():
    """The SPIFFE ID of a valid SVID; anything else is an invalid caller with a reason, never an absent one."""
    now = time.time()
    own, other = Authority("corp.example", now), Authority("corp.example", now)
    verifier = SvidVerifier([parse_bundle("corp.example", own.bundle_pem)])
    identify = doorway.peer_caller(lambda: verifier)
    assert identify(own.issue(EDGE).cert_pem) == Caller(CallerKind.MTLS, EDGE)
    for pem in (other.issue(EDGE).cert_pem, own.bundle_pem, b"", b"x", own.issue(EDGE).cert_pem * 2):
        found = identify(pem)
        assert (found.kind, found.id, found.valid) == (CallerKind.MTLS, "", False)
        assert found.reason


def test_a_peer_is_judged_by_the_bundle_of_the_moment():
    """Without a trust domain nobody is believed; as soon as there is one, it counts."""
    authority = Authority("corp.example", time.time())
    current = [None]
    identify = doorway.peer_caller(lambda: current[0])
    leaf = authority.issue(EDGE).cert_pem
    assert identify(leaf) == Caller(CallerKind.MTLS, "", valid=False, reason="caller_untrusted")
    current[0] = SvidVerifier([parse_bundle("corp.example", authority.bundle_pem)])
    assert identify(leaf).id == EDGE


def test_behind_a_sidecar_the_caller_is_the_one_element_that_it_wrote():
    """By and URI, as Istio writes them."""
    assert doorway.sidecar_caller(f'By={SELF};Hash={"a" * 64};Subject="";URI={EDGE}') == Caller(
        CallerKind.SIDECAR, EDGE
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "caller_absent"),
        (f"By={SELF};URI={EDGE},By={SELF};URI={EDGE}", "xfcc_elements"),
        (f"URI={EDGE}", "xfcc_elements"),
        (f'By={SELF};Hash={"a" * 64};Subject="CN=x"', "xfcc_uri"),
        (f"By={SELF};URI=https://edge.example", "caller_absent"),
        (f"By={SELF};URI=spiffe://corp.example", "caller_absent"),
        ("nonsense", None),
    ],
)
def test_anything_else_behind_a_sidecar_is_an_invalid_caller(text, reason):
    """Two elements, none, or one without a workload: somebody else had a hand in it."""
    found = doorway.sidecar_caller(text)
    assert (found.kind, found.id, found.valid) == (CallerKind.SIDECAR, "", False)
    assert found.reason == reason or (reason is None and found.reason)
