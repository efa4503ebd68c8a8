"""A snapshot decides built-in requests before it is published: what fails on a plain request must not meet a live one. Pure."""

from collections.abc import Iterator
from typing import Final

from authz_server.errors import Fault, PolicyError
from authz_server.model import ABSENT, Absent, BodyState, Principal, Request
from authz_server.pdp import Decided, begin, conclude
from authz_server.policy.entries import ActionEntry
from authz_server.policy.names import TOOL, fill
from authz_server.policy.snapshot import Snapshot
from authz_server.signals import Readings
from authz_server.verdict import Verdict

MAX_SAMPLES: Final = 512
"""Entries of the catalogue that are rehearsed, 0.2 ms each: a reload is not to take longer for it than for compiling."""

_CALLER: Final = Principal(
    "spiffe://rehearsal.invalid/ns/none/sa/none", "rehearsal.invalid", "none", "none", "principal"
)
_ANY: Final = "rehearsal"
_ADDRESS: Final = "192.0.2.1"
"""Of the range for documentation (RFC 5737)."""


def rehearse(snapshot: Snapshot, now: float) -> list[Fault]:
    """Decide a plain request of every entry of the catalogue, of an unknown workload and of nobody.

    Args:
        snapshot: compiled and not in force.
        now: Unix time in seconds.

    Returns:
        Warnings about restricting rules whose condition cannot be evaluated on a plain request: they would deny it.

    Raises:
        PolicyError: a decision ended in an exception; the snapshot must not be published.
    """
    warnings: dict[str, Fault] = {}
    for entry, request in _samples(snapshot):
        for caller in (_CALLER, ABSENT):
            verdict = _decide(snapshot, request, caller, now)
            for match in verdict.matched:
                if match.error == "evaluation_error" and match.rule not in warnings:
                    warnings[match.rule] = _warning(snapshot, match.rule, entry)
    return list(warnings.values())


def _decide(snapshot: Snapshot, request: Request, caller: Principal | Absent, now: float) -> Verdict:
    try:
        begun = begin(snapshot, request, caller, now)
        if isinstance(begun, Decided):
            return begun.verdict
        return conclude(begun, Readings((0,) * len(begun.hits))).verdict
    except Exception as error:
        message = f"a plain request to `{request.host}{request.path}` cannot be decided: {type(error).__name__}"
        raise PolicyError([Fault("policy", 0, "", message)]) from error


def _warning(snapshot: Snapshot, name: str, entry: ActionEntry | None) -> Fault:
    what = f"a plain request of `{entry.name}`" if entry is not None else "a request that no action fits"
    message = f"its condition cannot be evaluated on {what}, which is then denied; narrow `match`, or give a default with `orValue`"
    where = next((rule.where for rule in snapshot.text.rules if rule.name == name), None)
    return where.fault(message, "when") if where is not None else Fault("policy", 0, "", message)


def _samples(snapshot: Snapshot) -> Iterator[tuple[ActionEntry | None, Request]]:
    yield None, _request("GET", "rehearsal.invalid", "/", {}, b"")
    for entry in snapshot.text.actions[:MAX_SAMPLES]:
        match = entry.match
        if match.upgrade:
            continue
        headers = {name: patterns[0].replace("*", _ANY) for name, patterns in match.header}
        method = match.method[0] if match.method else "GET"
        path = _path(match.path[0]) if match.path else "/"
        body = b""
        if match.grpc_service or match.grpc_method:
            method = "POST"
            headers["content-type"] = "application/grpc"
            path = f"/{_first(match.grpc_service)}/{_first(match.grpc_method)}"
        elif entry.body or match.mcp_method or match.mcp_tool or match.a2a_method or TOOL in entry.name:
            method = match.method[0] if match.method else "POST"
            headers["content-type"] = "application/json"
            body = _call(_first(match.mcp_tool or match.a2a_method or match.mcp_method), tool=bool(match.mcp_tool))
        yield entry, _request(method, _first(match.host), path, headers, body)


def _first(patterns: tuple[str, ...]) -> str:
    return fill(patterns[0], _ANY).replace("*", _ANY) if patterns else _ANY


def _path(pattern: str) -> str:
    segments = (_ANY if part.startswith(("{", "*")) else part for part in pattern.split("/"))
    return "/".join(segments)


def _call(name: str, *, tool: bool) -> bytes:
    """A JSON-RPC call, which is a JSON document for whoever reads no calls."""
    if tool:
        params = f'{{"name":"{name}","arguments":{{}}}}'
        return f'{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}'.encode()
    return f'{{"jsonrpc":"2.0","id":1,"method":"{name}","params":{{}}}}'.encode()


def _request(method: str, host: str, path: str, headers: dict[str, str], body: bytes) -> Request:
    return Request(
        protocol="http",
        method=method,
        path=path,
        raw_path=path,
        query="",
        host=host,
        headers=headers,
        repeated={},
        body=body,
        body_state=BodyState.COMPLETE if body else BodyState.ABSENT,
        upgrade="",
        source_address=_ADDRESS,
        source_principal="",
        source_certificate="",
        destination_address="",
        destination_principal="",
        destination_service="",
        context={},
        metadata={},
        credentials=(),
        spoofed=(),
        id="",
    )
