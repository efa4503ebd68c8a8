"""Nobody else can take the path, at no moment does it stand open, and what a crash left is replaced."""

import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from authz_server.errors import ConfigError
from authz_server.listeners import socketfile
from authz_server.listeners.socketfile import SocketFile


@pytest.fixture
def directory():
    """A short path: a Unix socket's may have 107 bytes."""
    path = tempfile.mkdtemp(dir="/tmp")
    yield Path(path)
    shutil.rmtree(path)


def bind(path):
    """Listen at `path`, as the fronts do."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()
    return server


def mode(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


def names(directory):
    return sorted(path.name for path in directory.iterdir())


def refused(file):
    with pytest.raises(ConfigError) as error:
        file.claim()
    return str(error.value)


def test_the_socket_appears_with_its_permissions(directory):
    """It is bound where only the owner can reach it, whatever the umask, and moved when it is ready."""
    path = str(directory / "door/s")
    file = SocketFile(path, os.getgid())
    before = os.umask(0)
    try:
        private = file.claim()
        with bind(private):
            assert mode(Path(private).parent) == 0o700
            assert not os.path.lexists(path)
            file.publish()
            assert (mode(path), mode(directory / "door")) == (0o660, 0o750)
            assert names(directory / "door") == ["s", "s.lock"]
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(path)
            file.release()
            file.release()
        assert names(directory / "door") == ["s.lock"]
        assert mode(directory / "door/s.lock") == 0o600
    finally:
        os.umask(before)


def test_a_narrow_umask_does_not_lock_the_group_out(directory):
    """The directory is 0750 all the same."""
    before = os.umask(0o077)
    try:
        file = SocketFile(str(directory / "door/s"))
        file.claim()
    finally:
        os.umask(before)
    assert mode(directory / "door") == 0o750
    file.release()
    assert names(directory / "door") == ["s.lock"]


def test_a_path_is_claimed_once(directory):
    """Also before the first one has bound anything, and again after its release."""
    first, second = SocketFile(str(directory / "s")), SocketFile(str(directory / "s"))
    directory.chmod(0o750)
    first.claim()
    assert "another server listens there" in refused(second)
    first.release()
    second.claim()
    second.release()


def test_the_claim_of_a_process_that_died_is_free(directory):
    """The kernel gives the lock back, and the stale socket is replaced."""
    path = str(directory / "door/s")
    script = f"""
import os, socket
from authz_server.listeners.socketfile import SocketFile
file = SocketFile({path!r})
server = socket.socket(socket.AF_UNIX)
server.bind(file.claim())
file.publish()
os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 9
    stale = os.lstat(path).st_ino
    file = SocketFile(path)
    with bind(file.claim()):
        file.publish()
        assert os.lstat(path).st_ino != stale
        file.release()


def test_another_programs_live_socket_is_not_taken_over(directory):
    """One that answers, one whose backlog is full, and one of another type."""
    path = str(directory / "s")
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_UNIX, kind) as other:
            other.bind(path)
            if kind == socket.SOCK_STREAM:
                other.listen(0)
            assert "another server listens there" in refused(SocketFile(path))
            if kind == socket.SOCK_STREAM:
                held = [socket.socket(socket.AF_UNIX) for _ in range(3)]
                for client in held:
                    client.setblocking(False)
                    client.connect_ex(path)
                assert "another server listens there" in refused(SocketFile(path))
                for client in held:
                    client.close()
            assert os.path.lexists(path)
        Path(path).unlink()


@pytest.mark.parametrize("kind", ["file", "directory", "link"])
def test_what_is_no_socket_is_not_removed(directory, kind):
    """An operator's typing error must not delete anything."""
    path = directory / "s"
    if kind == "file":
        path.write_text("mine")
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to("elsewhere")
    assert "is no socket" in refused(SocketFile(str(path)))
    assert os.path.lexists(path)


@pytest.mark.parametrize(
    ("bits", "message"),
    [
        (0o770, "others may write"),
        (0o757, "others may write"),
        (0o777, "others may write"),
        (0o1777, ""),
        (0o755, ""),
        (0o700, ""),
    ],
)
def test_a_directory_in_which_others_write_is_refused(directory, bits, message):
    """Unless it is sticky, in which case they cannot replace what is ours."""
    place = directory / "door"
    place.mkdir()
    place.chmod(bits)
    file = SocketFile(str(place / "s"))
    if message:
        assert message in refused(file)
    else:
        file.claim()
        file.release()


def test_a_foreign_directory_is_refused(directory, monkeypatch):
    """Its owner can put another socket in place."""
    place = directory / "door"
    place.mkdir(mode=0o750)
    monkeypatch.setattr(socketfile.os, "geteuid", lambda: os.getuid() + 1)
    assert f"belongs to uid {os.getuid()}" in refused(SocketFile(str(place / "s")))


def test_a_link_in_place_of_the_directory_is_refused(directory):
    """Whoever owns the link chooses the directory."""
    (directory / "real").mkdir(mode=0o750)
    (directory / "door").symlink_to("real")
    assert "is not a directory" in refused(SocketFile(str(directory / "door/s")))


def test_a_lock_that_is_a_link_is_not_followed(directory):
    """It could create a file anywhere."""
    (directory / "s.lock").symlink_to(directory / "created")
    refused(SocketFile(str(directory / "s")))
    assert not (directory / "created").exists()


@pytest.mark.parametrize("path", ["", "s", "./s", "/tmp/", "/tmp/.", "/tmp/..", "/tmp/a\0b", "/tmp/" + "x" * 103])
def test_paths_that_cannot_be_bound_are_refused(path):
    """Relative ones, ones without a name, and ones longer than the kernel's 107 bytes."""
    assert "listen" in refused(SocketFile(path))


def test_the_longest_path_is_bound(directory):
    """107 bytes, as unix(7) has it."""
    path = f"{directory}/{'x' * (107 - len(str(directory)) - 1)}"
    file = SocketFile(path)
    with bind(file.claim()):
        file.publish()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
    file.release()
    assert "1 bytes too long" in refused(SocketFile(path + "x"))


def test_an_unknown_group_and_a_missing_parent_are_refused(directory):
    """Both say what is wrong, and leave nothing claimed."""
    path = str(directory / "s")
    assert "no group 'no-such-group'" in refused(SocketFile(path, "no-such-group"))
    assert "No such file" in refused(SocketFile(str(directory / "a/b/s")))
    file = SocketFile(path)
    file.claim()
    file.release()


def test_a_release_leaves_a_successors_socket_alone(directory):
    """Only the file that we put there is removed."""
    path = str(directory / "s")
    file = SocketFile(path)
    with bind(file.claim()):
        file.publish()
        Path(path).unlink()
        with bind(path):
            file.release()
            assert os.path.lexists(path)
