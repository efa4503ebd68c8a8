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


@pytest.fixture(scope="session", params=DOORS)
def alone(request) -> Iterator[Site]:
    """A site with one replica; tests share it and bring principals of their own."""
    with site(request.param, _plain) as found:
        yield found
