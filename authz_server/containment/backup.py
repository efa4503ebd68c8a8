"""Records in a file: the source of truth outside of the store, for a store that is lost as a whole.

One line for each record: its sealed form in base64. The file says nothing without the deployment's hash secret, and what
somebody changes in it does not open. To restore is to publish: newer records stay as they are.
"""

from binascii import a2b_base64, b2a_base64
from collections import Counter
from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Final

from authz_server.containment.held import Held, open_record
from authz_server.containment.publisher import Publisher
from authz_server.containment.registry import SAME, Registry
from authz_server.containment.seal import MAX_SEALED, Opener, SealError

HEAD: Final = "authz-server containment 1"
"""The first line."""
MAX_LINE: Final = (MAX_SEALED + 2) // 3 * 4 + 2
"""Characters of a line with its end."""


def export_lines(registry: Registry, now: float) -> Iterator[str]:
    """Write what may not be forgotten at `now` (Unix seconds), releases too, one line each, in the order of versions."""
    yield f"{HEAD}\n"
    kept = [held for held in registry.all() if held.record.end > now]
    for held in sorted(kept, key=attrgetter("record.version", "record.id")):
        yield b2a_base64(held.sealed).decode("ascii")


def read_lines(lines: Iterable[str], opener: Opener) -> Iterator[Held]:
    """Read what `export_lines` wrote.

    Raises:
        ValueError: a line is no record of this deployment; the message names it.
    """
    for number, line in enumerate(lines, 1):
        text = line.rstrip("\r\n")
        if number == 1:
            if text != HEAD:
                raise ValueError(f"line 1: not a backup of containments; one begins with `{HEAD}`")
            continue
        if len(line) > MAX_LINE:
            raise ValueError(f"line {number}: longer than any record")
        try:
            yield open_record(opener, a2b_base64(text, strict_mode=True))
        except SealError as error:
            raise ValueError(f"line {number}: not a record of this deployment ({error.code})") from None
        except ValueError:
            raise ValueError(f"line {number}: not base64") from None


def restore_lines(
    lines: Iterable[str], opener: Opener, registry: Registry, publisher: Publisher, now: float
) -> Counter[str]:
    """Publish the records of a file that are newer than what is held.

    Args:
        lines: of the file; all of them are read before the first is published.
        opener: verifies.
        registry: holds what the store has; whoever restores into a store lets a feed read it first.
        publisher: publishes.
        now: Unix seconds.

    Returns:
        How many were `restored`, and of the others how many for which reason (`old`, `same`, `ahead`, `full`).

    Raises:
        ValueError: a line is no record of this deployment; nothing was published.
        StateUnavailableError: the store did not take one; those before it are published, and all can be restored again.
    """
    counts: Counter[str] = Counter()
    for held in list(read_lines(lines, opener)):
        why = registry.offer(held, now)
        if why in {"", SAME}:  # the same one may have been taken, and not published, by an attempt before
            publisher.restore(held)
        counts[why or "restored"] += 1
    return counts
