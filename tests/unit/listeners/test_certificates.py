"""The TLS files are used when they fit together, and followed when they change."""

import time

import pytest

from authz_server.demo.pki import Authority
from authz_server.errors import ConfigError
from authz_server.listeners import certificates
from authz_server.listeners.certificates import CertificateFiles
from authz_server.listeners.doors import ServerTls


class Files:
    """A server's certificate, key and callers' anchors."""

    def __init__(self, directory):
        self.directory = directory
        self.authority = Authority("test.example", time.time())
        self.issue()
        (directory / "ca.pem").write_bytes(self.authority.bundle_pem)
        names = [str(directory / name) for name in ("server.pem", "server.key", "ca.pem")]
        self.tls = ServerTls(*names, lambda pem: None)

    def issue(self):
        self.authority.issue("spiffe://test.example/ns/a/sa/b").write(self.directory, "server")


@pytest.fixture
def files(tmp_path):
    """Files that fit together."""
    return Files(tmp_path)


def test_unchanged_files_are_not_read_again(files, monkeypatch):
    """What gRPC has stays."""
    found = CertificateFiles(files.tls)
    monkeypatch.setattr(certificates, "_content", None)
    assert found.fetch() is None
    assert (found.reloads, found.error) == (0, "")


def test_changed_files_are_taken_over_once(files):
    """At the next handshake, and then kept."""
    found = CertificateFiles(files.tls)
    files.issue()
    assert found.fetch() is not None
    assert found.fetch() is None
    assert found.reloads == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("server.key", None),
        ("server.pem", b"not PEM"),
        ("server.key", b""),
        ("ca.pem", b""),
        ("ca.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        ("ca.pem", "missing"),
        ("server.pem", "large"),
    ],
)
def test_files_that_do_not_fit_are_not_used(files, name, content, caplog):
    """A foreign key, no PEM, an empty or missing file, a huge one: an error at the start, the last good ones later."""
    found = CertificateFiles(files.tls)
    good = (files.directory / name).read_bytes()
    path = files.directory / name
    if content is None:
        Files(files.directory).issue()
        key = path.read_bytes()
        files.issue()
        path.write_bytes(key)
    elif content == "missing":
        path.unlink()
    else:
        path.write_bytes(b"x" * (certificates.MAX_PEM + 1) if content == "large" else content)
    assert found.fetch() is None
    assert found.fetch() is None
    assert found.error
    assert "PRIVATE" not in found.error
    assert len(caplog.records) == 1
    with pytest.raises(ConfigError):
        CertificateFiles(files.tls)
    path.write_bytes(good)
    if content is None:
        files.issue()
        (files.directory / "ca.pem").write_bytes(files.authority.bundle_pem)
    assert found.fetch() is not None
    assert found.error == ""


def test_files_that_change_while_they_are_read_are_read_again(files, monkeypatch):
    """The set that was checked is the set that gRPC gets."""
    content, changes = certificates._content, []

    def changing(path):
        if not changes:
            changes.append(path)
            files.issue()
        return content(path)

    monkeypatch.setattr(certificates, "_content", changing)
    found = CertificateFiles(files.tls)
    assert found.fetch() is None
    assert changes


def test_an_encrypted_key_is_refused_without_asking(files):
    """A server has nobody to type a passphrase."""
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        BestAvailableEncryption,
        Encoding,
        PrivateFormat,
        load_pem_private_key,
    )

    path = files.directory / "server.key"
    key = load_pem_private_key(path.read_bytes(), None)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"passphrase")))
    with pytest.raises(ConfigError, match="encrypted"):
        CertificateFiles(files.tls)
