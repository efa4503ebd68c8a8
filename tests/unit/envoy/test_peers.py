"""Both ends of a connection as plain text."""

import pytest
from envoy.service.auth.v3.attribute_context_pb2 import AttributeContext

from authz_server.envoy import peers
from authz_server.envoy.peers import MAX_CERTIFICATE, MAX_PRINCIPAL, checked_id, peer_address, peer_texts
from authz_server.errors import DecodeError

Peer = AttributeContext.Peer


def socket_peer(address):
    peer = Peer()
    peer.address.socket_address.address = address
    peer.address.socket_address.port_value = 4001
    return peer


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("0:0:0:0:0:ffff:a01:203", "10.1.2.3"),
        ("2001:DB8::0001", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
    ],
)
def test_addresses(text, address):
    """One machine has one address."""
    assert peer_address(socket_peer(text)) == address


@pytest.mark.parametrize(
    "text",
    ["", "localhost", "10.1.2", "10.1.2.3:80", "010.1.2.3", "1.2.3.4\n", "[::1]", "%eth0", "fe80::1%" + "x" * 60],
)
def test_no_addresses(text):
    """A socket address that is no IP address is refused."""
    peer = Peer()
    peer.address.socket_address.address = text
    peer.address.socket_address.port_value = 1
    with pytest.raises(DecodeError) as caught:
        peer_address(peer)
    assert caught.value.code == "address_invalid"


def test_pipes_and_internal_listeners():
    """They have no IP address."""
    pipe, internal = Peer(), Peer()
    pipe.address.pipe.path = "/run/x.sock"
    internal.address.envoy_internal_address.server_listener_name = "connect_originate"
    assert peer_address(pipe) == peer_address(internal) == peer_address(Peer()) == ""


def test_memory_is_bounded():
    """A scan over addresses does not fill memory."""
    for number in range(6000):
        peer_address(socket_peer(f"10.7.{number // 250}.{number % 250}"))
    assert len(peers._memo) <= peers._MEMO_SIZE


def texts(principal="", certificate="", local=""):
    return peer_texts(Peer(principal=principal, certificate=certificate), Peer(principal=local))


def refusal(**arguments):
    with pytest.raises(DecodeError) as caught:
        texts(**arguments)
    return caught.value.code


def test_texts_are_copied():
    """Nothing is judged here."""
    found = ("spiffe://corp.example/ns/a/sa/b", "-----BEGIN%20CERTIFICATE-----%0A", "spiffe://corp.example/x")
    assert texts(*found) == found
    assert texts() == ("", "", "")


def test_subjects_of_any_script():
    """A principal may be a subject with blanks and letters beyond ASCII."""
    subject = "CN=B\u00fccher & S\u00f6hne, O=Corp"
    assert texts(principal=subject, certificate="x", local=subject) == (subject, "x", subject)


@pytest.mark.parametrize("text", ["a\nb", "a\0", "\x1b[2J", "a\x7f", "a\x9b"])
def test_control_characters(text):
    """They would forge log lines and comparisons."""
    assert refusal(principal=text) == "principal_control_character"
    assert refusal(local=text) == "principal_control_character"
    assert refusal(certificate=text) == "certificate_invalid"


def test_certificates_are_escaped():
    """Envoy escapes blanks and line ends, so there are none."""
    assert refusal(certificate="-----BEGIN CERTIFICATE-----") == "certificate_invalid"
    assert refusal(certificate="\u00e9") == "certificate_invalid"


def test_lengths():
    """Principals and certificates are bounded."""
    assert texts("a" * MAX_PRINCIPAL, "b" * MAX_CERTIFICATE)
    assert refusal(principal="a" * (MAX_PRINCIPAL + 1)) == "principal_too_long"
    assert refusal(local="a" * (MAX_PRINCIPAL + 1)) == "principal_too_long"
    assert refusal(certificate="a" * (MAX_CERTIFICATE + 1)) == "certificate_too_long"


def test_stream_ids():
    """A number, a trace parent, or nothing."""
    for stream in ("", "7391546120839123", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"):
        assert checked_id(stream) == stream
    for stream in ("a b", "a\n", "\u00e9", "1" * 257):
        with pytest.raises(DecodeError):
            checked_id(stream)
