"""What the Kubernetes API says of pods: pages of a list and events of a watch, read for the few members that matter. Pure.

Kubernetes API concepts, "Efficient detection of changes": a list has a resource version, a watch from that version says
all that changes since, one JSON object a line; a bookmark says that all up to its version was said. What cannot be read
is an error and never skipped: it could have been the pod that still runs.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from authz_server.errors import AuthzError

MAX_LINE: Final = 4 << 20
"""Bytes of one event: etcd holds objects up to 1.5 MiB, and JSON is longer than their stored form."""
MAX_CONTAINERS: Final = 256
"""Of one pod, whose ends are looked at; more is no pod that anybody runs."""
EXPIRED: Final = "expired"
"""The version is older than the server remembers (HTTP 410 Gone): list again."""

_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")
"""RFC 1123 subdomain, which names of namespaces and service accounts are."""
_UID: Final = re.compile(r"[0-9A-Za-z-]{1,64}")
_VERSION: Final = re.compile(r"[0-9A-Za-z._:-]{1,128}")
"""Opaque to clients; in practice a number."""
_REST: Final = re.compile(r"[!-~]{0,4096}")
"""The `continue` of a page: base64 in practice, opaque as well."""
_ENDED: Final = frozenset({"Succeeded", "Failed"})
"""Phases of a pod of which no container runs or will run again (Kubernetes API, PodPhase)."""
_CHANGES: Final = frozenset({"ADDED", "MODIFIED", "DELETED"})
_GONE: Final = 410


class PodError(AuthzError):
    """The API could not be asked, or said what cannot be read.

    Attributes:
        code: a stable snake_case code, such as `expired` or `garbled`.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Pod(NamedTuple):
    """As much of a pod as says whether its service account is at work."""

    uid: str
    namespace: str
    account: str
    """The name of its service account."""
    runs: bool
    """It exists, and its containers run or may run yet."""
    finished: float = 0.0
    """When its last container ended (Unix seconds); 0 when that is not said."""


class Event(NamedTuple):
    """One line of a watch."""

    pod: Pod | None
    """None for a bookmark."""
    version: str
    """From where to watch on."""


class Page(NamedTuple):
    """One page of a list."""

    pods: tuple[Pod, ...]
    version: str
    """Of the whole list: from where to watch."""
    rest: str
    """Asks for the next page; `""` on the last one."""


def split_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of a stream that comes in pieces of any size.

    Raises:
        PodError: `line_too_long`, or `torn` when the stream ends within a line.
    """
    rest = bytearray()
    for chunk in chunks:
        *lines, tail = chunk.split(b"\n")
        for line in lines:
            rest += line
            if rest.strip():
                yield bytes(rest)
            rest.clear()
        rest += tail
        if len(rest) > MAX_LINE:
            raise PodError("line_too_long")
    if rest.strip():
        raise PodError("torn")


def decode_event(line: bytes) -> Event:
    """Read one line of a watch.

    Raises:
        PodError: `expired`; `refused` for any other error of the server's; `garbled` for what is no event.
    """
    if len(line) > MAX_LINE:
        raise PodError("line_too_long")
    found = _object(_parse(line))
    what, content = found.get("type"), _object(found.get("object"))
    if what == "ERROR":
        raise PodError(EXPIRED if content.get("code") == _GONE else "refused")
    version = _version(_object(content.get("metadata")))
    if what == "BOOKMARK":
        return Event(None, version)
    if not isinstance(what, str) or what not in _CHANGES:
        raise PodError("garbled")
    pod = _pod(content)
    return Event(pod if what != "DELETED" else pod._replace(runs=False), version)


def decode_page(body: bytes) -> Page:
    """Read one page of a list.

    Raises:
        PodError: `garbled`.
    """
    found = _object(_parse(body))
    about, items = _object(found.get("metadata")), found.get("items")
    rest = about.get("continue", "")
    # The API writes an empty list of Go as `null`.
    if not isinstance(items, list | None) or not isinstance(rest, str) or _REST.fullmatch(rest) is None:
        raise PodError("garbled")
    return Page(tuple(_pod(_object(each)) for each in items or ()), _version(about), rest)


def _parse(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise PodError("garbled") from None


def _pod(content: Mapping[str, Any]) -> Pod:
    about, spec, status = (_object(content.get(name)) for name in ("metadata", "spec", "status"))
    phase = status.get("phase", "")
    if not isinstance(phase, str):
        raise PodError("garbled")
    return Pod(
        uid=_text(about.get("uid"), _UID),
        namespace=_text(about.get("namespace"), _NAME),
        account=_text(spec.get("serviceAccountName") or "default", _NAME),
        runs=phase not in _ENDED,
        finished=_finished(status),
    )


def _finished(status: Mapping[str, Any]) -> float:
    """When the last container of a pod ended (Unix seconds); 0 unless all that say something say that."""
    statuses = status.get("containerStatuses")
    ends = []
    for each in statuses[:MAX_CONTAINERS] if isinstance(statuses, list) else []:
        try:
            text = each["state"]["terminated"]["finishedAt"]
            ends.append(datetime.fromisoformat(text).timestamp())
        except (KeyError, TypeError, ValueError, OverflowError):
            return 0.0
    return max([0.0, *ends])


def _object(found: Any) -> Mapping[str, Any]:
    if not isinstance(found, dict):
        raise PodError("garbled")
    return found


def _version(about: Mapping[str, Any]) -> str:
    return _text(about.get("resourceVersion"), _VERSION)


def _text(found: Any, form: re.Pattern[str]) -> str:
    if not isinstance(found, str) or form.fullmatch(found) is None:
        raise PodError("garbled")
    return found
