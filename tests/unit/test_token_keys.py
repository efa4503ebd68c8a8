"""The keys of tokens: derived, or out of a directory that is looked at again."""

import os

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from authz_server import token_keys
from authz_server.config import load_config
from authz_server.errors import ConfigError
from authz_server.keyhash import KeyedHash
from authz_server.token_keys import build_token_keys, token_settings
from tests.steps import KEYED

NOW = 1_900_000_000.0


def pem():
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def configure(text, **more):
    return load_config("c.yaml", text.encode(), more)


def test_whom_tokens_are_for_and_who_issues_them():
    found = token_settings(configure("tasks: {audience: corp.example}\n"))
    assert (found.issuer, found.audience, found.life_s) == ("https://authz.corp.example", "corp.example", 300)
    found = token_settings(configure("tasks: {audience: corp.example, issuer: 'https://x', token_life: 60s}\n"))
    assert (found.issuer, found.life_s) == ("https://x", 60)
    assert token_settings(configure("trust: {domains: [{name: a.test, bundle: b}]}\n")).audience == "a.test"


def test_tasks_are_for_somebody():
    """Without a trust domain there are no tokens, and tasks cannot be configured."""
    assert build_token_keys(configure(""), KEYED) is None
    with pytest.raises(ConfigError, match=r"tasks\.audience"):
        build_token_keys(configure("tasks: {}\n"), KEYED)


def test_replicas_with_one_secret_derive_one_key():
    config = configure("tasks: {audience: a.test}\n")
    one, two = build_token_keys(config, KEYED), build_token_keys(config, KeyedHash(b"o" * 32))
    assert one.jwks() == build_token_keys(config, KEYED).jwks() != two.jwks()
    assert one.signer(NOW).public.alg == "ES256"
    assert "d" not in one.jwks()["keys"][0]


def test_the_data_role_signs_nothing():
    keys = "secrets: {hash_key: h, record_public_keys: [p]}\n"
    found = build_token_keys(configure(f"role: data\nstate: redis://a\ntasks: {{audience: a.test}}\n{keys}"), KEYED)
    with pytest.raises(RuntimeError):
        found.signer(NOW)
    assert found.jwks() == {"keys": []}


def test_a_directory_of_keys_is_looked_at_again(tmp_path, monkeypatch):
    """A new key verifies at once; what cannot be read changes nothing."""
    monkeypatch.setattr(token_keys, "LOOK_S", 0)
    (tmp_path / "2026-01.pem").write_bytes(pem())
    config = configure(f"tasks: {{audience: a.test}}\nsecrets: {{signing_keys: {tmp_path}}}\n")
    found = build_token_keys(config, KEYED)
    first = found.signer(NOW).public.kid
    (tmp_path / "2026-02.pem").write_bytes(pem())
    os.utime(tmp_path / "2026-02.pem", (NOW, NOW))
    found.refresh()
    assert found.signer(NOW).public.kid == first
    assert len(found.jwks()["keys"]) == 2
    assert found.signer(NOW + 600).public.kid != first
    (tmp_path / "2026-03.pem").write_text("rubbish")
    found.refresh()
    assert len(found.jwks()["keys"]) == 2


def test_a_directory_without_a_good_key_is_a_fault(tmp_path):
    config = configure(f"tasks: {{audience: a.test}}\nsecrets: {{signing_keys: {tmp_path}}}\n")
    with pytest.raises(ConfigError):
        build_token_keys(config, KEYED)
