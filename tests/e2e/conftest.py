"""The sites that the end-to-end tests share: each door once, started when the first test asks."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.configmap import ConfigMap
from tests.envoy_site import DOORS, Site, site

POLICY = Path(__file__).with_name("policy.yaml")


def _mounted(directory: Path) -> Path:
    folder = directory / "policies"
    folder.mkdir()
    ConfigMap(folder).write(POLICY.read_text(encoding="utf-8"))
    return folder


def _plain(directory: Path) -> Path:
    folder = directory / "policies"
    folder.mkdir()
    shutil.copy(POLICY, folder)
    return folder


@pytest.fixture(scope="session")
def plain_policy() -> Callable[[Path], Path]:
    """Writes the policy of these tests into a site's directory."""
    return _plain


@pytest.fixture(scope="package")
def native_site() -> Iterator[Site]:
    """A site with one replica behind a Unix socket; tests share it and bring principals of their own."""
    with site("native", _plain) as found:
        yield found


@pytest.fixture(scope="package")
def grpcio_site() -> Iterator[Site]:
    """The same behind mutual TLS."""
    with site("grpcio", _plain) as found:
        yield found


@pytest.fixture(params=DOORS)
def alone(request) -> Site:
    """Each of the two."""
    return request.getfixturevalue(f"{request.param}_site")


@pytest.fixture(scope="package")
def native_pair() -> Iterator[Site]:
    """A site whose Envoy asks two replicas in turn, which share a Valkey and a mounted policy."""
    with site("native", _mounted, replicas=2, shared=True) as found:
        yield found


@pytest.fixture(scope="package")
def grpcio_pair() -> Iterator[Site]:
    """The same behind mutual TLS."""
    with site("grpcio", _mounted, replicas=2, shared=True) as found:
        yield found


@pytest.fixture(params=DOORS)
def pair(request) -> Site:
    """Each of the two, with both replicas in service; a test that stops one starts it again."""
    found: Site = request.getfixturevalue(f"{request.param}_pair")
    for replica in found.replicas:
        assert replica.process is not None
        if replica.process.poll() is not None:
            replica.start()
            replica.await_ready()
    found.await_healthy(len(found.replicas))
    return found
