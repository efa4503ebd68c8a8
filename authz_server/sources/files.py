"""A policy directory as bytes: all of one version, or a fault.

A ConfigMap is mounted as links (`rules.yaml` → `..data/rules.yaml`, `..data` → `..2026_08_22_10_00_00.1`), and the kubelet
exchanges `..data` at any moment (Kubernetes, `pkg/volume/util/atomic_writer.go`); git-sync does the same one level
higher. A read that spans such an exchange would mix two versions, so the directory is looked at before and after.

Links are followed only to places inside the directory, so that whoever may add a file to it cannot have the server read,
and quote in its messages, any other file.
"""

import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from authz_server.errors import Fault, PolicyError

SUFFIXES: Final = (".yaml", ".yml")
CASES: Final = (".cases.yaml", ".cases.yml")
"""Cases that try the policy out; they stand beside it and are not part of it."""
MAX_FILES: Final = 1024
"""Policy files of a directory; each team has a few."""
MAX_FILE_BYTES: Final = 4 * 1024 * 1024
"""One file: four times what a ConfigMap can hold; some ten thousand rules."""
MAX_TOTAL_BYTES: Final = 32 * 1024 * 1024
"""All files together: what can be parsed and compiled within a minute."""
MAX_DEPTH: Final = 8
"""Folders below the directory; the language knows two (`teams/<team>/`). It also ends loops of links."""
MAX_ENTRIES: Final = 16_384
"""Names looked at, whatever they are: bounds the work on a directory that was mounted by mistake."""
ENVIRONMENTS: Final = frozenset({"env"})
"""Folders at the top that hold one file per environment, of which the operator names one."""
TRIES: Final = 5
PAUSE_S: Final = 0.05
"""Between two tries: an exchange of links takes microseconds, a copy by hand somewhat longer."""

Identity = tuple[int, int, int, int, int]
"""Device, inode, size, time of modification and of change (ns): differs whenever the content may."""


class _Found(NamedTuple):
    name: str
    path: str
    """Where it really lies."""
    identity: Identity


def read_directory(
    root: str | Path,
    *,
    exclude: frozenset[str] = ENVIRONMENTS,
    sleep: Callable[[float], None] = time.sleep,
) -> Mapping[str, bytes]:
    """Read all policy files (`*.yaml`, `*.yml`) of a directory and its folders, as of one moment.

    Names that begin with a dot are not policy: editors, git and the kubelet put them there.

    Args:
        root: the directory; it may itself be a link.
        exclude: folders at the top that are left out.
        sleep: waits between tries.

    Returns:
        The content of each file by its path relative to `root`, with `/`, in the order of these paths.

    Raises:
        PolicyError: the directory is missing or exceeds a bound, a file is unreadable, special or lies elsewhere, or
            the directory changed during each of `TRIES` readings.
    """
    fault = _fault(str(root), f"changed during each of {TRIES} readings")
    for attempt in range(TRIES):
        if attempt:
            sleep(PAUSE_S)
        try:
            before = _scan(root, exclude)
            contents = {found.name: _content(found) for found in before}
            if _scan(root, exclude) == before:
                return contents
        except _ChangedError:
            continue
        except PolicyError as error:  # an exchange leaves links to nothing for a moment, so faults have to persist
            fault = error
    raise fault


def read_file(path: str | Path, limit: int = MAX_FILE_BYTES) -> bytes:
    """Read one regular file whole.

    Raises:
        PolicyError: it is missing, unreadable, special or larger than `limit` bytes.
    """
    try:
        return _content(_Found(str(path), str(path), _identity(os.stat(path))), limit)  # noqa: PTH116 - beside fstat
    except OSError as error:
        raise _fault(str(path), error.strerror or "cannot be read") from error
    except _ChangedError:
        raise _fault(str(path), "changed while it was read") from None


def fingerprint(*paths: str | Path) -> str:
    """What changes whenever the files at `paths`, or below them, may have changed.

    Cheap: nothing is read. A path that is missing or faulty has a fingerprint as well, so that its repair is seen.

    Args:
        paths: files and policy directories.
    """
    digest = hashlib.blake2b(digest_size=16)
    for path in paths:
        digest.update(repr((str(path), _appearance(path))).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def content_digest(contents: Mapping[str, bytes]) -> str:
    """SHA-256 over names and contents, 64 hexadecimal digits; the same content has the same digest everywhere."""
    digest = hashlib.sha256()
    for name in sorted(contents):
        for part in (name.encode("utf-8", "surrogateescape"), contents[name]):
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
    return digest.hexdigest()


class _ChangedError(Exception):
    """A file is not the one that was found a moment ago."""


def _fault(file: str, message: str) -> PolicyError:
    return PolicyError([Fault(file, 0, "", message)])


def _identity(seen: os.stat_result) -> Identity:
    return seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns


def _appearance(path: str | Path) -> object:
    try:
        seen = os.stat(path)  # noqa: PTH116
        if stat.S_ISDIR(seen.st_mode):
            return os.path.realpath(path), _scan(path, ENVIRONMENTS)
        return os.path.realpath(path), _identity(seen)
    except OSError as error:
        return error.errno
    except PolicyError as error:
        return error.faults


def _scan(root: str | Path, exclude: frozenset[str]) -> tuple[_Found, ...]:
    """All policy files in the order of their names, with where they really lie and what they are.

    The real path of each file is part of the result, so an exchanged link differs even between equal files.
    """
    real = os.path.realpath(root)
    try:
        found = list(_walk(real, real, "", exclude, _Budget()))
    except OSError as error:
        raise _fault(str(root), f"{error.strerror or 'cannot be read'}") from error
    if len(found) > MAX_FILES:
        raise _fault(str(root), f"more than {MAX_FILES} policy files")
    total = sum(entry.identity[2] for entry in found)
    if total > MAX_TOTAL_BYTES:
        raise _fault(str(root), f"more than {MAX_TOTAL_BYTES} bytes of policy")
    return tuple(sorted(found))


class _Budget:
    """How many names may still be looked at."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MAX_ENTRIES

    def spend(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise _fault(".", f"more than {MAX_ENTRIES} names; is this a policy directory?")


def _walk(root: str, folder: str, prefix: str, exclude: frozenset[str], budget: _Budget) -> Iterator[_Found]:
    with os.scandir(folder) as entries:
        for entry in entries:
            budget.spend()
            name = prefix + entry.name
            if entry.name.startswith(".") or name in exclude:
                continue
            is_policy = entry.name.endswith(SUFFIXES) and not entry.name.endswith(CASES)
            if is_policy and not entry.name.isprintable():
                raise _fault(ascii(name), "the name has characters that cannot be shown")
            try:
                seen = entry.stat()  # follows links
            except OSError as error:
                if is_policy:
                    raise _fault(name, error.strerror or "cannot be read") from error
                continue
            if not is_policy and not stat.S_ISDIR(seen.st_mode):
                continue
            path = _place(root, entry.path, name)
            if stat.S_ISDIR(seen.st_mode):
                if name.count("/") >= MAX_DEPTH:
                    raise _fault(name, f"more than {MAX_DEPTH} folders deep")
                yield from _walk(root, path, f"{name}/", exclude, budget)
            elif stat.S_ISREG(seen.st_mode):
                yield _Found(name, path, _identity(seen))
            else:
                raise _fault(name, "is no regular file")


def _place(root: str, path: str, name: str) -> str:
    """Where `path` really lies, which must be below `root`."""
    real = os.path.realpath(path)
    if not real.startswith(root.rstrip("/") + "/"):
        raise _fault(name, "is a link to a place outside of the policy directory")
    return real


def _content(found: _Found, limit: int = MAX_FILE_BYTES) -> bytes:
    """The bytes of a file that is still the one that was found."""
    if found.identity[2] > limit:
        raise _fault(found.name, f"larger than {limit} bytes")
    try:
        # O_NONBLOCK: what has become a named pipe since must not hang the reader.
        descriptor = os.open(found.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise _ChangedError from None
    except OSError as error:
        raise _fault(found.name, error.strerror or "cannot be read") from error
    with os.fdopen(descriptor, "rb") as file:
        seen = os.fstat(descriptor)
        if not stat.S_ISREG(seen.st_mode):
            raise _fault(found.name, "is no regular file")
        if _identity(seen) != found.identity:
            raise _ChangedError
        content = file.read(limit + 1)
    if len(content) != found.identity[2]:
        raise _ChangedError
    return content
