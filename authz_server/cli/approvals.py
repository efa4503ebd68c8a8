"""`authz-server approvals`, `approve` and `deny`: what people grant, over gRPC to the control listener."""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.table import Table
from rich.text import Text

from authz_server.cli.calling import (
    AuthorityOption,
    CertificateOption,
    ControlOption,
    JsonOption,
    KeyOption,
    ServerNameOption,
    SidecarOption,
    calling,
    read_target,
    table_console,
)
from authz_server.cli.given import check_id, check_text
from authz_server.cli.task_shown import moment
from authz_server.printable import printable

if TYPE_CHECKING:
    from authz_server.proto.authz.v1.approvals_pb2 import Approval, AskedApproval

MAX_SHOWN: Final = 3072
"""Characters of each part of a step: all that the server gives, since an approver must not grant what is cut off."""
_IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The approval's id, as `approvals` shows it.")]
_ReasonOption = Annotated[str, typer.Option("--reason", help="Why, for the record.")]


def approvals(
    *,
    control: ControlOption,
    in_json: JsonOption = False,
    cert: CertificateOption = None,
    key: KeyOption = None,
    ca: AuthorityOption = None,
    server_name: ServerNameOption = "",
    mesh_sidecar: SidecarOption = False,
) -> None:
    """List the steps that wait for your approval, the oldest first."""
    with calling(read_target(control, cert, key, ca, server_name, mesh_sidecar=mesh_sidecar)) as channel:
        from authz_server.control.approval_client import ApprovalClient  # noqa: PLC0415 - needs grpc

        found = ApprovalClient(channel).pending()
    if in_json:
        typer.echo(json.dumps([_as_json(asked) for asked in found], indent=2))
    elif not found:
        typer.echo("nothing waits for your approval")
    else:
        table = Table("approval", "who", "step", "why", "answer by", box=None, pad_edge=False)
        for asked in found:
            table.add_row(*(Text(cell, overflow="fold") for cell in _row(asked)))
        table_console().print(table)


def approve(
    approval: _IdArgument,
    *,
    control: ControlOption,
    reason: _ReasonOption = "",
    cert: CertificateOption = None,
    key: KeyOption = None,
    ca: AuthorityOption = None,
    server_name: ServerNameOption = "",
    mesh_sidecar: SidecarOption = False,
) -> None:
    """Let a step pass when it is made again; exit 1 when you may not."""
    check_id(approval)
    check_text("--reason", reason)
    with calling(read_target(control, cert, key, ca, server_name, mesh_sidecar=mesh_sidecar)) as channel:
        from authz_server.control.approval_client import ApprovalClient  # noqa: PLC0415 - needs grpc

        found = ApprovalClient(channel).approve(approval, reason)
    typer.echo(_said(found))


def deny(
    approval: _IdArgument,
    *,
    control: ControlOption,
    reason: _ReasonOption = "",
    cert: CertificateOption = None,
    key: KeyOption = None,
    ca: AuthorityOption = None,
    server_name: ServerNameOption = "",
    mesh_sidecar: SidecarOption = False,
) -> None:
    """Let the challenge of a step stand; nobody is asked about it again for a while."""
    check_id(approval)
    check_text("--reason", reason)
    with calling(read_target(control, cert, key, ca, server_name, mesh_sidecar=mesh_sidecar)) as channel:
        from authz_server.control.approval_client import ApprovalClient  # noqa: PLC0415 - needs grpc

        found = ApprovalClient(channel).deny(approval, reason)
    typer.echo(_said(found))


def _said(found: "Approval") -> str:
    rules = ", ".join(map(printable, found.rules))
    return f"{printable(found.state)} {printable(found.id)} until {moment(found.until)} (rules {rules})"


def _row(asked: "AskedApproval") -> tuple[str, ...]:
    who = [_all_of(asked.principal)]
    if asked.originator and asked.originator != asked.principal:
        who.append(f"on behalf of {_all_of(asked.originator)}")
    if asked.task:
        who.append(f"task {_all_of(asked.task)} {_all_of(asked.task_id)}")
    return _all_of(asked.id), "\n".join(who), "\n".join(_step(asked)), "\n".join(_why(asked)), moment(asked.until)


def _step(asked: "AskedApproval") -> Iterable[str]:
    yield f"{_all_of(asked.action)} at {_all_of(asked.destination)}" if asked.destination else _all_of(asked.action)
    query = f"?{_all_of(asked.query)}" if asked.query else ""
    yield f"{_all_of(asked.method)} {_all_of(asked.host)}{_all_of(asked.path)}{query}"
    if asked.arguments:
        yield _all_of(asked.arguments)


def _why(asked: "AskedApproval") -> Iterable[str]:
    for rule in asked.rules:
        reason = f": {_all_of(rule.reason)}" if rule.reason else ""
        yield f"rule {_all_of(rule.name)}{reason} ({', '.join(map(_all_of, rule.groups))})"
    yield f"for {asked.uses} {'step' if asked.uses == 1 else 'steps'} within {asked.expires_seconds} s"


def _all_of(text: str) -> str:
    return printable(text, MAX_SHOWN)


def _as_json(asked: "AskedApproval") -> dict[str, object]:
    texts = ("id", "principal", "task", "task_id", "originator", "action", "destination", "method", "host", "path")
    found: dict[str, object] = {name: getattr(asked, name) for name in (*texts, "query", "arguments", "uses")}
    return found | {
        "expires_seconds": asked.expires_seconds,
        "rules": [{"name": each.name, "reason": each.reason, "groups": list(each.groups)} for each in asked.rules],
        "asked": asked.asked.ToMilliseconds() / 1000,
        "until": asked.until.ToMilliseconds() / 1000,
    }
