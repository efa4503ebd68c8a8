"""The sites that the end-to-end tests share: each door once, started when the first test asks."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.envoy_site import DOORS, Site, site

POLICY = Path(__file__).with_name("policy.yaml")


def _plain(directory: Path) -> Path:
    folder = directory / "policies"
    folder.mkdir()
    shutil.copy(POLICY, folder)
    return folder


@pytest.fixture(scope="session")
def native_site() -> Iterator[Site]:
    """A site with one replica behind a Unix socket; tests share it and bring principals of their own."""
    with site("native", _plain) as found:
        yield found


@pytest.fixture(scope="session")
def grpcio_site() -> Iterator[Site]:
    """The same behind mutual TLS."""
    with site("grpcio", _plain) as found:
        yield found


@pytest.fixture(params=DOORS)
def alone(request) -> Site:
    """Each of the two."""
    return request.getfixturevalue(f"{request.param}_site")
