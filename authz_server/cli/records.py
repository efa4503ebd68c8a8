"""The containment records in the store, for the `state` commands: opened, written to a file, and published from one."""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final, TypeVar

from authz_server import assembly
from authz_server.cli.stored import Shared
from authz_server.containment.backup import MAX_LINE, export_lines, restore_lines
from authz_server.containment.feed import Feed
from authz_server.containment.held import open_value
from authz_server.containment.pem import read_private_key, read_public_keys
from authz_server.containment.publisher import Publisher
from authz_server.containment.record import Record
from authz_server.containment.registry import MAX_RECORDS, Registry
from authz_server.containment.seal import Opener, SealError, Signer, derived_keys
from authz_server.errors import ConfigError, Fault, StateUnavailableError
from authz_server.state.admin import Kept
from authz_server.state.containment import ContainedSet
from authz_server.state.keys import Keys

READ_S: Final = 60.0
"""For all records of a store: a full registry takes some seconds."""
_T = TypeVar("_T")


def open_held(shared: Shared, kept: Kept) -> Record | None:
    """The containment record of an entity; None without one, or when it is none of this deployment."""
    if kept.held is None:
        return None
    try:
        return open_value(build_opener(shared), kept.held).record
    except SealError:
        return None


def write_backup(shared: Shared, file: Path) -> int:
    """Write the records of the store to a file, which is there as a whole or as it was.

    Returns:
        How many records that were.

    Raises:
        StateUnavailableError: the store did not give all of them.
        ConfigError: the keys cannot be used, or the file cannot be written.
    """
    registry = Registry(ContainedSet())
    _read_all(shared, registry)
    lines = list(export_lines(registry, assembly.clock()))
    fresh = file.with_name(f"{file.name}.new")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as opened:
            opened.writelines(lines)
        fresh.replace(file)
    except OSError as error:
        raise ConfigError([Fault(str(file), 0, "", error.strerror or "cannot be written")]) from None
    return len(lines) - 1


def read_backup(shared: Shared, file: Path) -> Counter[str]:
    """Publish the records of a file.

    Returns:
        How many were `restored`, and how many not for which reason.

    Raises:
        ValueError: it is no backup of this deployment.
        StateUnavailableError: the store did not take all of them; it may be repeated.
        ConfigError: the keys cannot be used, or the file cannot be read.
    """
    registry, keys = Registry(ContainedSet()), Keys(shared.keyed)
    opener = build_opener(shared)
    # What is restored was signed before: this one never signs.
    signer = Signer(derived_keys(shared.keyed)[0], shared.keyed)
    publisher = Publisher(shared.store, signer, opener, keys, registry, clock=assembly.clock, new_id=assembly.new_id)
    _read_all(shared, registry)
    try:
        with file.open(encoding="ascii", errors="replace") as opened:
            return restore_lines(_lines(opened), opener, registry, publisher, assembly.clock())
    except OSError as error:
        raise ConfigError([Fault(str(file), 0, "", error.strerror or "cannot be read")]) from None


def build_opener(shared: Shared) -> Opener:
    """What verifies the records of the deployment: by its configured keys, or by those that its secret gives.

    Raises:
        ConfigError: a key cannot be read.
    """
    secrets = shared.config.secrets
    publics = [
        key
        for number, path in enumerate(secrets.record_public_keys)
        for key in _parse(read_public_keys, path, f"secrets.record_public_keys[{number}]")
    ]
    if secrets.record_key is not None:
        publics.append(_parse(read_private_key, secrets.record_key, "secrets.record_key").public_key())
    return Opener(publics or [derived_keys(shared.keyed)[1]], shared.keyed)


def _parse(parse: Callable[[bytes], _T], path: Path, setting: str) -> _T:
    try:
        return parse(assembly.read_file(path, setting))
    except ValueError as error:
        raise ConfigError([Fault(str(path), 0, setting, str(error))]) from None


def _read_all(shared: Shared, registry: Registry) -> None:
    """Read all records of the store, once and whole."""
    feed = Feed(
        shared.store,
        build_opener(shared),
        Keys(shared.keyed),
        registry,
        clock=assembly.clock,
        monotonic=time.monotonic,
    )
    deadline = time.monotonic() + READ_S
    while not feed.ready:
        feed.poll()
        if feed.failed:
            raise StateUnavailableError(next(iter(feed.failed)))
        if time.monotonic() > deadline:
            raise StateUnavailableError("timeout")


def _lines(opened: IO[str]) -> Iterator[str]:
    """The lines of a file, none of them read further than a record can be long."""
    for number in range(2 * MAX_RECORDS):
        line = opened.readline(MAX_LINE + 1)
        if not line and number:
            return
        yield line
    raise ValueError(f"more than {2 * MAX_RECORDS} lines")
