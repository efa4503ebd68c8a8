"""`authz-server contain`, `release` and `contained`: whom operators stop, over gRPC to the control listener."""

import json
from typing import TYPE_CHECKING, Annotated

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
from authz_server.cli.given import check_text
from authz_server.printable import printable

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

    from authz_server.model import Entity
    from authz_server.proto.authz.v1.containment_pb2 import Contained

FOREVER = "forever"
_EntityArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="ENTITY...",
        help="A SPIFFE ID or an IP address; or a type and its parts: principal ID, source IP, credential ID, task ID, "
        "lineage ISSUER ORIGINATOR, instance PRINCIPAL IP, pair PRINCIPAL CREDENTIAL, destination PRINCIPAL ID.",
        show_default=False,
    ),
]
_ReasonOption = Annotated[str, typer.Option("--reason", help="Why, such as the number of the incident.")]


def contain(
    entity: _EntityArgument,
    *,
    control: ControlOption,
    reason: _ReasonOption,
    duration: Annotated[str, typer.Option("--for", help="How long: 15m, 1h, 7d, or forever (until it is released).")],
    critical: Annotated[bool, typer.Option("--critical", help="Its release takes two operators.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Although the configuration says never to contain it, as of gateways.")
    ] = False,
    cert: CertificateOption = None,
    key: KeyOption = None,
    ca: AuthorityOption = None,
    server_name: ServerNameOption = "",
    mesh_sidecar: SidecarOption = False,
) -> None:
    """Deny every step of an entity on all replicas; exit 1 when that is refused."""
    found, seconds = _entity(entity), _seconds(duration)
    check_text("--reason", reason)
    with calling(read_target(control, cert, key, ca, server_name, mesh_sidecar=mesh_sidecar)) as channel:
        from authz_server.control.client import ContainmentClient  # noqa: PLC0415 - needs grpc

        held = ContainmentClient(channel).contain(found, seconds, reason, critical=critical, force=force)
    typer.echo(f"contained {_shown(held)} {_until(held)} (record {printable(held.id)})")


def release(
    entity: _EntityArgument,
    *,
    control: ControlOption,
    reason: _ReasonOption,
    cert: CertificateOption = None,
    key: KeyOption = None,
    ca: AuthorityOption = None,
    server_name: ServerNameOption = "",
    mesh_sidecar: SidecarOption = False,
) -> None:
    """Let a contained entity go on; of a critical one the first operator asks, and another one releases."""
    found = _entity(entity)
    check_text("--reason", reason)
    with calling(read_target(control, cert, key, ca, server_name, mesh_sidecar=mesh_sidecar)) as channel:
        from authz_server.control.client import ContainmentClient  # noqa: PLC0415 - needs grpc

        record = ContainmentClient(channel).release(found, reason)
    typer.echo(f"released {printable(' '.join((found.type, *found.parts)))} (record {printable(record)})")


def contained(
    *,
    control: ControlOption,
    as_json: JsonOption = False,
    cert: CertificateOption = None,
    key: KeyOption = None,
    ca: AuthorityOption = None,
    server_name: ServerNameOption = "",
    mesh_sidecar: SidecarOption = False,
) -> None:
    """List what is contained, the first to end first."""
    with calling(read_target(control, cert, key, ca, server_name, mesh_sidecar=mesh_sidecar)) as channel:
        from authz_server.control.client import ContainmentClient  # noqa: PLC0415 - needs grpc

        found = sorted(ContainmentClient(channel).listing(), key=_end)
    if as_json:
        typer.echo(json.dumps([_as_json(held) for held in found], indent=2))
        return
    if not found:
        typer.echo("nothing is contained")
        return
    table = Table("entity", "until", "why", "who", "since", box=None, pad_edge=False)
    for held in found:
        table.add_row(*(Text(cell, overflow="fold") for cell in _row(held)))
    table_console().print(table)


def _entity(words: list[str]) -> "Entity":
    """A type and its parts, or a SPIFFE ID or an IP address alone.

    Raises:
        typer.BadParameter: no step could ever carry it.
    """
    from authz_server.containment.entities import canonical_entity  # noqa: PLC0415 - other commands start without it
    from authz_server.model import Entity  # noqa: PLC0415 - as above

    if len(words) == 1:
        kind = "principal" if words[0].startswith(("spiffe://", "legacy:")) else "source"
        words = [kind, *words]
    try:
        return canonical_entity(Entity(words[0], tuple(words[1:])))
    except ValueError as error:
        raise typer.BadParameter(printable(str(error)), param_hint="ENTITY") from None


def _seconds(text: str) -> int | None:
    if text == FOREVER:
        return None
    from authz_server.config.values import duration  # noqa: PLC0415 - pydantic is not needed otherwise

    try:
        seconds = duration(text)
    except ValueError as error:
        raise typer.BadParameter(f"{error}, or {FOREVER}", param_hint="--for") from None
    if seconds < 1 or seconds % 1:
        raise typer.BadParameter("a containment lasts whole seconds, at least one", param_hint="--for")
    return int(seconds)


def _row(held: "Contained") -> tuple[str, ...]:
    why = [printable(held.reason)]
    if held.rule:
        why.insert(0, f"rule {printable(held.rule)}")
    if held.critical:
        why.append("critical: its release takes two operators")
    if held.release_asked_by:
        why.append(f"{printable(held.release_asked_by)} asks for its release")
    until = _moment(held.until) if held.HasField("until") else "it is released"
    since = _moment(held.since) if held.HasField("since") else "not signed yet"
    return _shown(held), until, "\n".join(filter(None, why)), printable(held.author), since


def _shown(held: "Contained") -> str:
    return printable(" ".join((held.entity.type, *held.entity.parts)))


def _until(held: "Contained") -> str:
    return f"until {_moment(held.until) if held.HasField('until') else 'it is released'}"


def _moment(time: "Timestamp") -> str:
    return f"{time.ToDatetime():%Y-%m-%d %H:%M:%SZ}"


def _end(held: "Contained") -> tuple[bool, int]:
    return not held.HasField("until"), held.until.ToNanoseconds()


def _as_json(held: "Contained") -> dict[str, object]:
    return {
        "id": held.id,
        "entity": {"type": held.entity.type, "parts": list(held.entity.parts)},
        "since": held.since.ToMilliseconds() / 1000 if held.HasField("since") else None,
        "until": held.until.ToMilliseconds() / 1000 if held.HasField("until") else None,
        "reason": held.reason,
        "rule": held.rule,
        "author": held.author,
        "critical": held.critical,
        "release_asked_by": held.release_asked_by,
    }
