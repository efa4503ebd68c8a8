"""No door admits anybody by mistake."""

import hashlib

import pytest

from authz_server.errors import ConfigError
from authz_server.listeners.doors import (
    Door,
    ServerTls,
    bound_address,
    check_door,
    fixed_caller,
    host_port,
    peer_identity,
    sidecar_identity,
    token_digest,
    token_matches,
)
from authz_server.model import Caller, CallerKind

SECRET = "0123456789abcdef0123456789abcdef"
DIGEST = hashlib.sha256(SECRET.encode()).digest()
TLS = ServerTls("c", "k", "a", lambda pem: Caller(CallerKind.MTLS, ""))
SIDECAR = {"sidecar_caller": lambda text: Caller(CallerKind.SIDECAR, text)}
WAYS = {"caller_token": {"caller_token_sha256": (DIGEST,)}, "mesh_sidecar": SIDECAR, "tls": {"tls": TLS}}


@pytest.mark.parametrize("way", [*WAYS.values(), {"insecure": True}])
def test_an_address_has_one_way_in(way):
    """A secret, a sidecar, TLS, or the wish to be open."""
    check_door(Door("127.0.0.1:0", **way))


def test_a_socket_has_its_permissions():
    """And nothing else."""
    check_door(Door("unix:/run/authz/s", group="envoy"))


@pytest.mark.parametrize(
    ("door", "message"),
    [
        (Door("127.0.0.1:0"), "caller_token or tls, or mesh_sidecar .*--insecure-plaintext"),
        (Door("127.0.0.1:0", **WAYS["caller_token"], **SIDECAR), "caller_token and mesh_sidecar exclude"),
        (Door("127.0.0.1:0", **WAYS["tls"], insecure=True), "tls and insecure exclude"),
        (Door("127.0.0.1:0", caller_token_sha256=(DIGEST, SECRET.encode()[:31])), "SHA-256"),
        (Door("127.0.0.1:0", group="envoy", insecure=True), "group is for Unix"),
        (Door("unix:/run/authz/s", insecure=True), "insecure is for HOST:PORT"),
        (Door("unix:/run/authz/s", **WAYS["tls"]), "tls is for HOST:PORT"),
        *[
            (Door(address, insecure=True), "unix:/PATH or HOST:PORT")
            for address in (
                "",
                ":",
                ":80",
                "host",
                "host:",
                "host:65536",
                "host:1\n",
                "[::1]",
                "::1:80",
                "unix:",
                "a b:1",
            )
        ],
        (Door("unix-abstract:x", insecure=True), "unix:/PATH or HOST:PORT"),
    ],
)
def test_other_doors_are_refused(door, message):
    """Open ones, ambiguous ones and malformed ones; the message tells the ways out."""
    with pytest.raises(ConfigError, match=message):
        check_door(door)


@pytest.mark.parametrize(
    ("address", "expected"),
    [("127.0.0.1:0", ("127.0.0.1", 0)), ("[::1]:65535", ("[::1]", 65535)), ("localhost:80", ("localhost", 80))],
)
def test_host_and_port(address, expected):
    """IPv6 stands in brackets."""
    assert host_port(address) == expected


def test_the_callers_that_do_not_depend_on_the_call():
    """A socket, a secret, nobody; with TLS and a sidecar each call says who it is."""
    assert fixed_caller(Door("unix:/s"), "unix:/s") == Caller(CallerKind.SOCKET, "unix:/s")
    assert fixed_caller(Door("h:0", **WAYS["caller_token"]), "h:5") == Caller(CallerKind.TOKEN, "h:5")
    assert fixed_caller(Door("h:0", insecure=True), "h:5") == Caller(CallerKind.INSECURE, "h:5")
    assert fixed_caller(Door("h:0", **WAYS["tls"]), "h:5") is None
    assert fixed_caller(Door("h:0", **SIDECAR), "h:5") is None
    assert (bound_address(Door("[::1]:0"), 5), bound_address(Door("unix:/s"), 1)) == ("[::1]:5", "unix:/s")


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        ([f"Bearer {SECRET}"], True),
        ([f"bearer {SECRET}"], True),
        (["Bearer " + "f" * 32], True),
        ([f"Bearer {SECRET}", "Bearer other"], True),
        (["Bearer other", f"Bearer {SECRET}"], False),
        ([f"Bearer  {SECRET}"], False),
        ([f"Bearer {SECRET} "], False),
        ([f"Basic {SECRET}"], False),
        ([SECRET], False),
        (["Bearer "], False),
        (["Bearer \udcff"], False),
        ([f"Bearer {SECRET}".encode()], False),
        ([], False),
    ],
)
def test_the_caller_secret(authorization, expected):
    """Only the first line counts, exactly."""
    digests = (DIGEST, hashlib.sha256(b"f" * 32).digest())
    assert token_matches(digests, [("a", "b"), *(("authorization", value) for value in authorization)]) is expected


@pytest.mark.parametrize(
    "token", ["", "short" * 6, "x" * 4097, "0123456789abcdef 0123456789abcdef", "é" * 32, "a\n" * 16]
)
def test_weak_caller_secrets_are_refused(token):
    """Short ones could be searched; others cannot stand in a header."""
    with pytest.raises(ValueError, match="caller token"):
        token_digest(token)


def test_the_digest_of_a_caller_secret():
    """SHA-256 of its text."""
    assert token_digest(SECRET) == DIGEST


class Panic(BaseException):
    """What a Rust extension raises."""


@pytest.mark.parametrize("error", [ValueError("secret"), Panic("secret")])
def test_an_identity_that_cannot_be_read_is_invalid(error, caplog):
    """Never an exception, never a valid caller, and its text is not in the log."""

    def broken(value):
        raise error

    assert sidecar_identity(broken, []) == Caller(CallerKind.SIDECAR, "", valid=False, reason="caller_unreadable")
    assert peer_identity(broken, b"") == Caller(CallerKind.MTLS, "", valid=False, reason="caller_unreadable")
    assert sidecar_identity(None, []).valid is False
    assert "secret" not in caplog.text


def test_several_xfcc_lines_are_one_list():
    """In their order; bytes are no XFCC."""
    metadata = [("x-forwarded-client-cert", "a"), ("x", "y"), ("x-forwarded-client-cert", "b")]
    assert sidecar_identity(lambda text: Caller(CallerKind.SIDECAR, text), metadata).id == "a,b"
