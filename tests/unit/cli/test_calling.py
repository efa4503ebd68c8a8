"""How the commands reach the control listener: with everything that TLS takes, or not at all."""

import pytest

from authz_server.cli.calling import read_target
from authz_server.errors import ConfigError

PEM = b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"
FILES = ("cert", "key", "ca")


@pytest.fixture
def files(tmp_path):
    for name in FILES:
        (tmp_path / name).write_bytes(PEM)
    return {name: tmp_path / name for name in FILES}


def target(files):
    return read_target("authz:9003", files["cert"], files["key"], files["ca"], "", mesh_sidecar=False)


def test_all_three_are_read(files):
    found = target(files)
    assert (found.ca, found.certificate, found.key) == (PEM, PEM, PEM)


@pytest.mark.parametrize("held", [b"", b"\n", b"\x30\x82"], ids=["nothing", "a blank", "DER"])
@pytest.mark.parametrize("name", FILES)
def test_a_file_without_pem_is_refused_by_name(files, name, held):
    """A token would go to an unknown server in plaintext; a key that is missing would end the process."""
    files[name].write_bytes(held)
    with pytest.raises(ConfigError) as caught:
        target(files)
    assert str(caught.value.faults[0]) == f"{files[name]}: --{name}: holds no PEM"
