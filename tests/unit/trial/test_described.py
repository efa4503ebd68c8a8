"""A described step becomes the check that Envoy would send."""

import pytest

from authz_server.envoy.credentials import CredentialSource
from authz_server.envoy.decode import Decoder, DecodeSettings
from authz_server.errors import DecodeError
from authz_server.keyhash import KeyedHash
from authz_server.model import BodyState
from authz_server.trial.described import Described, encode_check

AGENT = "spiffe://corp.example/ns/agents/sa/a1"


def decode(step, serial=1):
    keyed = KeyedHash(b"test secret of 16+ bytes")
    decoder = Decoder(DecodeSettings(keyed, (CredentialSource("authorization", ("bearer",)),)))
    return decoder.decode(encode_check(step, serial))


def described(**changes):
    return Described(**{"host": "crm.corp.example", "principal": AGENT, "address": "10.1.2.3", **changes})


def test_every_part_arrives_where_the_decoder_reads_it():
    """Line, peers, service and further context."""
    found = decode(
        described(
            path="/v1/things?page=2",
            destination_principal="spiffe://corp.example/ns/crm/sa/api",
            service="crm",
            context={"tenant": "north"},
        )
    )
    assert (found.method, found.host, found.path, found.query) == ("GET", "crm.corp.example", "/v1/things", "page=2")
    assert (found.source_principal, found.source_address) == (AGENT, "10.1.2.3")
    assert found.destination_principal == "spiffe://corp.example/ns/crm/sa/api"
    assert found.context == {"authz.service": "crm", "tenant": "north"}


def test_lines_may_repeat_a_name_in_any_case():
    """Each is a line of its own, as Envoy sends them, under the name in small letters."""
    found = decode(described(headers=(("X-Tag", "a"), ("x-tag", "b"), ("Authorization", "Bearer abc"))))
    assert found.repeated["x-tag"] == ("a", "b")
    assert len(found.credentials) == 1


def test_bytes_that_are_no_text_stay_what_they_are():
    """A value that stands for raw bytes is sent as them, and refused as they would be."""
    with pytest.raises(DecodeError, match="header_not_utf8"):
        decode(described(headers=(("x-tag", b"\xff".decode("utf-8", "surrogateescape")),)))


@pytest.mark.parametrize(
    ("changes", "state", "body"),
    [
        ({}, BodyState.ABSENT, b""),
        ({"body": b""}, BodyState.ABSENT, b""),
        ({"body": b"{}"}, BodyState.COMPLETE, b"{}"),
        ({"body": b"{}", "headers": (("Content-Length", "70000"),)}, BodyState.PARTIAL, b"{}"),
        ({"method": "POST"}, BodyState.UNAVAILABLE, b""),
        ({"method": "POST", "body": b""}, BodyState.ABSENT, b""),
    ],
)
def test_a_body_is_as_whole_as_its_length_says(changes, state, body):
    """Without a length of its own it has that of its bytes; without a body nothing is said about one."""
    found = decode(described(**changes))
    assert (found.body_state, found.body) == (state, body)


def test_without_an_address_the_peer_is_a_pipe():
    """As when a proxy is reached through a Unix socket."""
    assert not decode(described(address="")).source_address


def test_only_who_has_no_identity_comes_by_the_route_of_legacy_callers():
    """A caller with one must never be taken for a legacy one."""
    assert decode(described(principal="")).context == {"authz.legacy": "true"}
    assert decode(described()).context == {}


def test_two_equal_steps_are_two():
    """By the id of the stream: otherwise the second would be Envoy's retry of the first."""
    step = described()
    assert encode_check(step, 1) != encode_check(step, 2)
    assert (decode(step, 1).id, decode(step, 2).id) == ("1", "2")
