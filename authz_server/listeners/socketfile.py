"""A Unix socket whose file permissions are the whole authentication of its callers, so nothing about it is left to luck.

- The directory is the server's own and nobody else may write in it: whoever can, can put a socket of theirs in place.
- Two servers never share a path. Binding unlinks whatever is there, so a second server would take the first one's
  callers over in silence; a lock held for life and a trial connection refuse that, and the kernel drops the lock of a
  server that crashed.
- The socket is bound inside a private directory (0700), gets its group and mode there, and is renamed into place: there
  is no moment at which the path exists with other permissions, and a file left by a crash is replaced atomically.
"""

import fcntl
import grp
import os
import socket
import stat
import tempfile
from pathlib import Path
from typing import Final

from authz_server.errors import ConfigError, Fault

SUN_PATH: Final = 107
"""Bytes of a socket's path: `sun_path` of unix(7) less the final NUL."""
_PRIVATE_NAME: Final = "/.12345678/s"
"""What the private directory adds to the directory's path while binding (tempfile's eight characters)."""
DIRECTORY_MODE: Final = 0o750
SOCKET_MODE: Final = 0o660
"""connect(2) needs the right to write; everybody outside the group is refused."""
_TRIAL_S: Final = 1.0
"""A trial connection to a Unix socket is answered by the kernel at once or never."""


def _refuse(path: str, message: str) -> ConfigError:
    return ConfigError([Fault(path, 0, "listen", message)])


class SocketFile:
    """The claim on one socket path: `claim`, bind what it returns, `publish`, and `release` at the end.

    Args:
        path: absolute path of the socket.
        group: name or number of the group that may connect; None keeps what the directory gives.
    """

    def __init__(self, path: str, group: str | int | None = None) -> None:
        self.path = path
        self._group = group
        self._lock = -1
        self._private = ""
        self._inode = (0, 0)

    def claim(self) -> str:
        """Check the directory, make sure that nobody serves the path, and return a private path to bind.

        Raises:
            ConfigError: the path is too long, the directory is not safe, or somebody serves there.
        """
        directory = os.path.dirname(self.path)  # noqa: PTH120 - Path would drop `//` and `.` silently
        self._check_path(directory)
        try:
            gid = self._gid()
            self._open_directory(directory, gid)
            self._acquire()
            self._check_unserved()
            self._private = tempfile.mkdtemp(prefix=".", dir=directory)
        except OSError as error:
            self.release()
            raise _refuse(self.path, error.strerror or "cannot be used") from error
        except ConfigError:
            self.release()
            raise
        return f"{self._private}/s"

    def publish(self) -> None:
        """Give the bound socket its group and mode and move it into place.

        Raises:
            ConfigError: the group cannot be given or the file cannot be moved.
        """
        bound = f"{self._private}/s"
        try:
            gid = self._gid()
            if gid is not None:
                os.chown(bound, -1, gid)
            os.chmod(bound, SOCKET_MODE)  # noqa: PTH101 - beside chown
            seen = os.lstat(bound)
            os.rename(bound, self.path)  # noqa: PTH104
            self._inode = (seen.st_dev, seen.st_ino)
            os.rmdir(self._private)  # noqa: PTH106
            self._private = ""
        except OSError as error:
            self.release()
            raise _refuse(self.path, error.strerror or "cannot be used") from error

    def withdraw(self) -> None:
        """Remove the path, if it is still ours, so that nobody connects any more; existing connections stay."""
        try:
            seen = os.lstat(self.path)
            if (seen.st_dev, seen.st_ino) == self._inode:
                os.unlink(self.path)  # noqa: PTH108
        except OSError:
            pass  # already gone

    def release(self) -> None:
        """Withdraw and give up the claim; may be repeated."""
        self.withdraw()
        if self._private:
            for remove, path in ((os.unlink, f"{self._private}/s"), (os.rmdir, self._private)):
                try:
                    remove(path)
                except OSError:
                    continue
            self._private = ""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _check_path(self, directory: str) -> None:
        if not self.path.startswith("/") or "\0" in self.path or os.path.basename(self.path) in {"", ".", ".."}:  # noqa: PTH119
            raise _refuse(self.path, "a Unix socket needs an absolute path, such as unix:/run/authz/check.sock")
        longest = max(len(os.fsencode(self.path)), len(os.fsencode(directory)) + len(_PRIVATE_NAME))
        if longest > SUN_PATH:
            raise _refuse(self.path, f"the path is {longest - SUN_PATH} bytes too long for a Unix socket")

    def _gid(self) -> int | None:
        if self._group is None or isinstance(self._group, int):
            return self._group
        try:
            return grp.getgrnam(self._group).gr_gid
        except KeyError:
            raise _refuse(self.path, f"there is no group {self._group!r}") from None

    def _open_directory(self, directory: str, gid: int | None) -> None:
        """Create the directory, or check the one that is there. Its parents are the operator's."""
        place = Path(directory)
        try:
            place.mkdir(mode=DIRECTORY_MODE)
        except FileExistsError:
            pass
        else:
            if gid is not None:
                os.chown(directory, -1, gid)
            place.chmod(DIRECTORY_MODE)  # the umask may have narrowed it
        seen = os.lstat(directory)
        if not stat.S_ISDIR(seen.st_mode):
            raise _refuse(directory, "is not a directory")
        if seen.st_uid != os.geteuid():
            raise _refuse(
                directory, f"belongs to uid {seen.st_uid}, who could replace the socket; use a directory of this server"
            )
        if seen.st_mode & 0o022 and not seen.st_mode & stat.S_ISVTX:
            raise _refuse(directory, "others may write in it and so replace the socket; chmod 0750")

    def _acquire(self) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._lock = os.open(f"{self.path}.lock", flags, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _refuse(self.path, "another server listens there") from None

    def _check_unserved(self) -> None:
        """Refuse a path that somebody else's program serves, or that is no socket."""
        try:
            if not stat.S_ISSOCK(os.lstat(self.path).st_mode):
                raise _refuse(self.path, "exists and is no socket")
        except FileNotFoundError:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
            trial.settimeout(_TRIAL_S)
            try:
                trial.connect(self.path)
            except (ConnectionRefusedError, FileNotFoundError):
                return  # left over by a server that crashed
            except OSError:
                pass  # a full backlog or another socket type: somebody is there
        raise _refuse(self.path, "another server listens there")
