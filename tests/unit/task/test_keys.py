"""Signing keys: what a file holds, which key signs when, and what is published."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from authz_server.errors import ConfigError
from authz_server.model import Invalid
from authz_server.task.jwk import read_jwks
from authz_server.task.keys import KeyFile, SigningKeys, read_signing_keys
from authz_server.task.token import TokenVerifier, issue
from tests.jose import CLAIMS, DOMAIN, ISSUER, KEYED, NOW, signing_key

DAY = 86_400.0


def pem(private=None, encryption=None, form=PrivateFormat.PKCS8):
    private = private or ec.generate_private_key(ec.SECP256R1())
    return private.private_bytes(Encoding.PEM, form, encryption or NoEncryption())


FIRST, SECOND, THIRD = pem(), pem(), pem(ed25519.Ed25519PrivateKey.generate())


def read(*files):
    return read_signing_keys([KeyFile(*file) for file in files])


def kids(*pems):
    return [read(("a", each, 0.0)).signer(0.0).public.kid for each in pems]


@pytest.mark.parametrize("text", [FIRST, THIRD, pem(form=PrivateFormat.TraditionalOpenSSL)])
def test_a_file_is_a_key(text):
    """EC in both PEM forms, and Ed25519; the only one signs at once."""
    key = read(("2026-11-01.pem", text, NOW)).signer(NOW)
    one = TokenVerifier({key.public.kid: key.public}, ISSUER, DOMAIN, KEYED)
    assert one.verify(issue(CLAIMS, key), NOW) == CLAIMS


def public(private):
    return private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


FAULTY = {
    "empty": (b"", "one PEM block is expected, found 0"),
    "text": (b"secret", "one PEM block is expected, found 0"),
    "two": (FIRST + SECOND, "one PEM block is expected, found 2"),
    "parameters": (b"-----BEGIN EC PARAMETERS-----\nBggq\n-----END EC PARAMETERS-----\n" + FIRST, "found 2"),
    "public": (public(ec.generate_private_key(ec.SECP256R1())), "found a public one"),
    "encrypted": (pem(encryption=BestAvailableEncryption(b"x")), "is encrypted"),
    "broken": (FIRST.replace(b"MIG", b"MIH"), "this is no private key in PEM"),
    "rsa": (pem(rsa.generate_private_key(65537, 2048)), "another kind than EC"),
    "p384": (pem(ec.generate_private_key(ec.SECP384R1())), "not with ES384"),
    "p224": (pem(ec.generate_private_key(ec.SECP224R1())), "the curve secp224r1"),
    "k256": (pem(ec.generate_private_key(ec.SECP256K1())), "the curve secp256k1"),
    "large": (FIRST + b"\n" * 20_000, "at most 16384 bytes"),
    "nul": (b"\0" + b"-----BEGIN PRIVATE KEY-----\0", "this is no private key in PEM"),
}


@pytest.mark.parametrize("fault", FAULTY)
def test_a_faulty_file_is_named(fault):
    """With what is expected; nothing of its text is quoted."""
    text, message = FAULTY[fault]
    with pytest.raises(ConfigError, match=message) as raised:
        read(("a.pem", FIRST, 0.0), ("b.pem", text, 0.0))
    assert [each.file for each in raised.value.faults] == ["b.pem"]
    assert "secret" not in str(raised.value)


def test_all_faults_are_told_at_once():
    """And a key that stands in two files is one of them: it could not be taken back."""
    with pytest.raises(ConfigError) as raised:
        read(("a.pem", FIRST, 0.0), ("b.pem", FIRST, 0.0), ("c.pem", b"", 0.0))
    assert [(each.file, each.message.partition(";")[0]) for each in raised.value.faults] == [
        ("b.pem", "the same key as in a.pem"),
        ("c.pem", "one PEM block is expected, found 0"),
    ]


def test_there_are_some_keys_and_not_too_many():
    """A token service without a key would issue nothing, and one with many keeps what it forgot."""
    for files in ([], [(f"{number}.pem", FIRST, 0.0) for number in range(17)]):
        with pytest.raises(ConfigError, match="1 to 16 signing keys"):
            read(*files)
    with pytest.raises(ValueError, match="has a key"):
        SigningKeys([])
    with pytest.raises(ValueError, match="not negative"):
        SigningKeys([(signing_key(), 0.0)], lead_s=-1)


def test_a_new_key_is_published_before_it_signs():
    """So that every verifier has seen it; the former one verifies while its file is there."""
    first, second = kids(FIRST, SECOND)
    keys = read(("2026-10.pem", FIRST, NOW - DAY), ("2026-11.pem", SECOND, NOW))
    assert [keys.signer(NOW + after).public.kid for after in (0, 599, 600, DAY)] == [first, first, second, second]
    assert set(keys.verifying) == {first, second}


def test_the_order_is_that_of_the_names():
    """However old the files are: a restored backup has the times of its restoration."""
    first, second = kids(FIRST, SECOND)
    keys = read(("2026-11.pem", SECOND, NOW - 2 * DAY), ("2026-10.pem", FIRST, NOW - DAY))
    assert keys.signer(NOW).public.kid == second
    assert set(keys.verifying) == {first, second}


def test_files_that_are_written_anew_together():
    """Kubernetes writes all files of a Secret anew when one is added: the one before the last signs on meanwhile."""
    first, second, third = kids(FIRST, SECOND, THIRD)
    keys = read(("1.pem", FIRST, NOW), ("2.pem", SECOND, NOW), ("3.pem", THIRD, NOW))
    assert [keys.signer(NOW + after).public.kid for after in (0, 599, 600)] == [second, second, third]
    assert set(keys.verifying) == {first, second, third}


def test_a_replica_that_starts_later_signs_what_the_others_verify():
    """To it the files are new, so that it begins with the key before the last one."""
    files = (("1.pem", FIRST), ("2.pem", SECOND))
    old, new = (read(*((*file, at) for file in files)) for at in (NOW - DAY, NOW))
    token = issue(CLAIMS, new.signer(NOW))
    assert new.signer(NOW).public.kid != old.signer(NOW).public.kid
    assert TokenVerifier(old.verifying, ISSUER, DOMAIN, KEYED).verify(token, NOW) == CLAIMS


def test_a_token_outlives_the_rotation():
    """Signed by the former key, verified with what is published after it."""
    keys = read(("1.pem", FIRST, NOW - DAY), ("2.pem", SECOND, NOW - 599))
    token = issue(CLAIMS, keys.signer(NOW))
    assert keys.signer(NOW + 2).public.kid != keys.signer(NOW).public.kid
    published = read_jwks(json.dumps({"keys": [key.jwk() for key in keys.verifying.values()]}).encode())
    assert TokenVerifier(published, ISSUER, DOMAIN, KEYED).verify(token, NOW + 2) == CLAIMS
    later = TokenVerifier(read(("2.pem", SECOND, NOW)).verifying, ISSUER, DOMAIN, KEYED)
    assert later.verify(token, NOW + 2) == Invalid("token_unknown_key")


def test_nothing_private_is_published_or_shown():
    """Neither in the key set nor when a key is printed."""
    keys = read(("1.pem", FIRST, 0.0), ("2.pem", THIRD, 0.0))
    for each in [key.jwk() for key in keys.verifying.values()]:
        assert {"d", "k", "p", "q"}.isdisjoint(each)
        assert (each["use"], each["alg"]) in {("sig", "ES256"), ("sig", "Ed25519")}
    secret = signing_key().key.as_dict(private=True)["d"]
    assert secret not in repr(signing_key()) + str(signing_key()) + repr([signing_key()])
