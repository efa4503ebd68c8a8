"""The reloader over a mounted ConfigMap with the real compiler, while others read what is in force."""

import threading
import time

import pytest

from authz_server.errors import PolicyError
from authz_server.keyhash import KeyedHash
from authz_server.policy.compiler import compile_policy
from authz_server.sources.files import content_digest, read_directory
from authz_server.sources.reload import Reloader

KEYED = KeyedHash(b"test secret of 16+ bytes")
PLATFORM = """\
version: 1
actions:
  - {name: things.read, match: {method: GET, path: /v1/things}, kind: read}
rules:
  - {name: allow-%s, match: {principal: "spiffe://test.example/**", action: things.read}, then: allow}
"""


class ConfigMap:
    """A directory as the kubelet mounts it."""

    def __init__(self, root):
        self.root = root
        self.version = 0

    def write(self, **contents):
        self.version += 1
        data = self.root / f"..version_{self.version}"
        data.mkdir()
        for name, text in contents.items():
            (data / f"{name}.yaml").write_text(text)
            if not (self.root / f"{name}.yaml").is_symlink():
                (self.root / f"{name}.yaml").symlink_to(f"..data/{name}.yaml")
        (self.root / "..data_tmp").symlink_to(data.name)
        (self.root / "..data_tmp").rename(self.root / "..data")


class Service:
    """What is in force, and how it came."""

    def __init__(self, root):
        self.outcomes = []
        self.current = None
        self.told = threading.Condition()
        self.reloader = Reloader(
            [root],
            lambda: read_directory(root),
            lambda contents: compile_policy(contents, KEYED),
            self.publish,
            self.report,
            clock=time.time,
            interval_s=0.02,
            settle_s=0.02,
        )

    def publish(self, snapshot):
        self.current = snapshot

    def report(self, outcome):
        with self.told:
            self.outcomes.append(outcome)
            self.told.notify_all()

    def wait(self, number):
        with self.told:
            assert self.told.wait_for(lambda: len(self.outcomes) >= number, 20)


@pytest.fixture
def mounted(tmp_path):
    """A mounted ConfigMap and a reloader that watches it."""
    mount = ConfigMap(tmp_path)
    mount.write(platform=PLATFORM % "one")
    service = Service(tmp_path)
    assert service.reloader.load_now().ok
    service.reloader.start()
    yield mount, service
    service.reloader.stop()
    assert "reload" not in {thread.name for thread in threading.enumerate()}


def test_versions_follow_the_mount_and_broken_ones_are_left_out(mounted):
    """Good, broken, good: the broken one is reported with file and line, and never in force."""
    mount, service = mounted
    first = service.current
    mount.write(platform=PLATFORM % "two" + "ruels: []\n")
    service.wait(2)
    broken = service.outcomes[1]
    assert not broken.ok
    assert [(fault.file, fault.line) for fault in broken.faults] == [("platform.yaml", 6)]
    assert service.current is first
    assert service.reloader.last_error == broken
    mount.write(platform=PLATFORM % "three")
    service.wait(3)
    assert service.outcomes[2].ok
    assert service.current is not first
    assert service.reloader.last_error is None


def test_each_reader_sees_one_whole_version(mounted):
    """Under exchanges as fast as they go, what is published was on disk together."""
    mount, service = mounted
    for number in range(30):
        mount.write(platform=PLATFORM % f"p{number}", other=f"version: 1\nvars: {{v: p{number}}}\n")
        contents = read_directory(mount.root)
        seen = contents["platform.yaml"].decode().partition("allow-")[2].partition(",")[0]
        assert contents["other.yaml"].decode().endswith(f"v: {seen}}}\n")
    deadline = time.monotonic() + 20
    while service.reloader.digest != content_digest(read_directory(mount.root)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert all(outcome.ok for outcome in service.outcomes)


def test_a_directory_that_vanishes_keeps_the_policy_and_heals(mounted):
    """Unmounted and mounted again: reported, retried, and in force the whole time."""
    mount, service = mounted
    aside = mount.root.parent / "aside"
    mount.root.rename(aside)
    service.wait(2)
    assert not service.outcomes[1].ok
    assert service.current is not None
    with pytest.raises(PolicyError):
        read_directory(mount.root)
    aside.rename(mount.root)
    deadline = time.monotonic() + 20
    while service.reloader.last_error:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert service.outcomes[-1].unchanged
