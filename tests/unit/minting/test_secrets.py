"""Fixed secrets of destinations: read from files, and again when they are exchanged."""

import os

import pytest

from authz_server.minting.secrets import LOOK_S, SecretFile, StaticSecrets

CRM = "https://crm.corp.example"


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "secret"
    path.write_text("s3cr3t\n")
    return path


def test_a_secret_is_read_from_its_file(file, clock):
    secrets = StaticSecrets({CRM: SecretFile(file, "Bearer")}, clock)
    assert CRM in secrets
    assert "https://other.example" not in secrets
    assert secrets.value(CRM) == "Bearer s3cr3t"
    assert StaticSecrets({CRM: SecretFile(file)}, clock).value(CRM) == "s3cr3t"


def test_an_exchanged_secret_is_in_use_a_second_later(file, clock):
    secrets = StaticSecrets({CRM: SecretFile(file)}, clock)
    assert secrets.value(CRM) == "s3cr3t"
    fresh = file.with_suffix(".new")
    fresh.write_text("n3w")
    os.replace(fresh, file)  # noqa: PTH105 - as a mounted secret is exchanged
    assert secrets.value(CRM) == "s3cr3t"
    clock.now += LOOK_S
    assert secrets.value(CRM) == "n3w"


def test_a_secret_that_is_gone_is_none(file, clock):
    """An old one must not be used for ever, and one that comes back is."""
    secrets = StaticSecrets({CRM: SecretFile(file)}, clock)
    assert secrets.value(CRM)
    file.unlink()
    clock.now += LOOK_S
    assert secrets.value(CRM) == ""
    file.write_text("again")
    clock.now += LOOK_S
    assert secrets.value(CRM) == "again"


@pytest.mark.parametrize("content", [b"", b"\n", b"two words", b"a\r\nx-other: b", b"x" * 2049, b"\xff", b"a\0b"])
def test_what_is_no_header_value_is_no_secret(tmp_path, clock, content):
    path = tmp_path / "secret"
    path.write_bytes(content)
    assert StaticSecrets({CRM: SecretFile(path)}, clock).value(CRM) == ""
