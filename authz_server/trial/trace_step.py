"""One line of a trace to a step: what is to be decided, and the truth about it that only the scores may know.

The first line may be the site's own sections instead.
"""

from base64 import b64decode
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, Final, NamedTuple

from authz_server.model import Outcome
from authz_server.policy.facts import STAGES
from authz_server.policy.tree import shown
from authz_server.trial.described import PSEUDO_HEADERS, Described
from authz_server.trial.trace_fields import FieldError, Fields, kind, unknown

ATTACK: Final = "attack"
BENIGN: Final = "benign"
LABELS: Final = (ATTACK, BENIGN)

MAX_NAME: Final = 256
"""Characters of a chain's name, and of a task's template and id: they are kept for the whole replay, and printed."""
MAX_T: Final = 10 * 366 * 86_400
"""Seconds from the start of a trace: ten years, so that every moment of it is a date."""
MAX_AFTER: Final = 3600
"""Seconds until a destination's answer: proxies give up long before an hour, and what is awaited is held."""
MAX_STATUS: Final = 999
"""HTTP statuses have three digits (RFC 9110 15); 0 is no answer."""
MAX_BYTES: Final = 1 << 53
"""Of an answer's body: up to here numbers of JSON are exact (RFC 8259 6)."""
MAX_LINES: Final = 128
"""Header lines of a request: as many as the decoder reads."""

_STEP: Final = frozenset(
    {"t", "label", "chain", "stage", "objective", "source", "destination", "request", "task", "outcome"}
)
_FIRST: Final = frozenset({"policy"})
_SECTIONS: Final = frozenset({"vars", "actions", "tasks"})
_SOURCE: Final = frozenset({"principal", "address"})
_DESTINATION: Final = frozenset({"principal", "service"})
_REQUEST: Final = frozenset({"method", "host", "path", "headers", "body"})
_BODY: Final = frozenset({"base64"})
_TASK: Final = frozenset({"template", "id"})
_OUTCOME: Final = frozenset({"status", "bytes", "after"})
_NOTHING: Final[dict[str, Any]] = {}


class TaskName(NamedTuple):
    """The task whose token a step carries."""

    template: str
    id: str


class TraceStep(NamedTuple):
    """One step of a trace."""

    line: int
    """Of the trace, from 1."""
    t: float
    """Seconds from the start of the trace."""
    label: str
    """`attack` or `benign`: what its chain is."""
    chain: str
    stage: str
    """A stage of an intrusion, or `""` for a step that is harmless in itself."""
    objective: bool
    """An intruder who is let do this has got what the chain is for."""
    described: Described
    """Without its task, which depends on the policy."""
    task: TaskName | None


class SitePolicy(NamedTuple):
    """What a site adds to a policy for its trace; the entries are for the compiler to judge."""

    vars: dict[str, Any]
    actions: list[Any]
    tasks: list[Any]


def read_site(record: dict[str, Any]) -> SitePolicy:
    """Read a first line that has `policy`.

    Raises:
        FieldError: it has something else too, or sections that are not the site's.
    """
    inner = Fields(Fields(record, "", _FIRST).required("policy"), "policy", _SECTIONS)
    found: list[Any] = []
    empty: tuple[Any, ...] = ({}, [], [])
    for name, default in zip(SitePolicy._fields, empty, strict=True):
        value = inner.value(name, default)
        if type(value) is not type(default):
            raise FieldError(inner.place(name), f"{kind(default)} is expected, not {kind(value)}")
        found.append(value)
    return SitePolicy(*found)


def read_step(record: Any, line: int) -> TraceStep:
    """Read one line that was parsed from JSON.

    Args:
        record: the value.
        line: its number.

    Raises:
        FieldError: at the first field that cannot be used.
    """
    top = Fields(record, "", _STEP)
    top.required("t")
    t = top.number("t", MAX_T)
    stage = top.text("stage")
    if stage and stage not in STAGES:
        raise FieldError("stage", unknown("stage", stage, STAGES))
    label = top.name("label", MAX_NAME)
    if label not in LABELS:
        raise FieldError("label", unknown("label", label, LABELS))
    return TraceStep(
        line,
        t,
        label,
        top.name("chain", MAX_NAME),
        stage,
        top.flag("objective"),
        _described(top),
        _task(top.required("task")) if "task" in top else None,
    )


def _described(top: Fields) -> Described:
    request = Fields(top.required("request"), "request", _REQUEST)
    for name in ("method", "host", "path"):
        request.required(name)
    source = Fields(top.value("source", _NOTHING), "source", _SOURCE)
    destination = Fields(top.value("destination", _NOTHING), "destination", _DESTINATION)
    address = source.text("address")
    if address and not _is_address(address):
        raise FieldError("source.address", f"`{shown(address)}` is no IP address")
    outcome, after_s = _outcome(top.required("outcome")) if "outcome" in top else (None, 0.0)
    return Described(
        method=request.text("method"),
        host=request.text("host"),
        path=request.text("path"),
        headers=_headers(request.value("headers", _NOTHING)),
        body=_body(request.required("body")) if "body" in request else None,
        principal=source.text("principal"),
        address=address,
        destination_principal=destination.text("principal"),
        service=destination.text("service"),
        outcome=outcome,
        after_s=after_s,
    )


def _headers(value: Any) -> tuple[tuple[str, str], ...]:
    """The lines: a name has one value, or a list of them."""
    if type(value) is not dict:
        raise FieldError("request.headers", f"a mapping is expected, not {kind(value)}")
    lines: list[tuple[str, str]] = []
    for name, given in value.items():
        if not name or name.lower() in PSEUDO_HEADERS:
            raise FieldError("request.headers", f"`{shown(name)}`: `method`, `host` and `path` say what stands there")
        if type(given) is str:
            lines.append((name, given))
        elif type(given) is list and given and all(type(each) is str for each in given):
            lines += [(name, each) for each in given]
        else:
            message = f"text or a list of texts is expected, not {kind(given)}"
            raise FieldError(f"request.headers.{shown(name)}", message)
    if len(lines) > MAX_LINES:
        raise FieldError("request.headers", f"at most {MAX_LINES} lines are expected, not {len(lines)}")
    return tuple(lines)


def _body(value: Any) -> bytes:
    """The bytes of a text, or of what is written in base64 because it is none."""
    if type(value) is str:
        return value.encode()
    fields = Fields(value, "request.body", _BODY)
    fields.required("base64")
    text = fields.text("base64")
    try:
        return b64decode(text, validate=True)
    except ValueError:
        raise FieldError("request.body.base64", "is no base64 (RFC 4648 4)") from None


def _task(value: Any) -> TaskName:
    fields = Fields(value, "task", _TASK)
    return TaskName(fields.name("template", MAX_NAME), fields.name("id", MAX_NAME))


def _outcome(value: Any) -> tuple[Outcome, float]:
    fields = Fields(value, "outcome", _OUTCOME)
    fields.required("status")
    status = fields.whole("status", MAX_STATUS)
    return Outcome(status, fields.whole("bytes", MAX_BYTES), failed=status == 0), fields.number("after", MAX_AFTER)


@lru_cache(4096)
def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
