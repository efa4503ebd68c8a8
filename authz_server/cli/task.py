"""`authz-server task …`: declared work, opened, renewed, handed on and ended over gRPC to the control listener."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

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
from authz_server.cli.common import EXIT_FAULTY, errors
from authz_server.cli.given import check_id, check_text, is_token, read_pairs, read_seconds, read_token
from authz_server.cli.task_shown import as_json, end_of, lines_of, moment, table_of
from authz_server.printable import printable

if TYPE_CHECKING:
    from authz_server.proto.authz.v1.tasks_pb2 import TaskToken

MAX_STEPS: Final = 1_000_000
"""The largest budget that a token can carry."""
SECRET: Final = "the token is a secret: keep it out of logs and command lines, and show it in the header txn-token of its agent alone"  # noqa: S105 - words about one

task_app = typer.Typer(help="Open, renew, hand on and end declared work.", no_args_is_help=True)

_IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The task's id, 32 hexadecimal digits.")]
_AgentOption = Annotated[str, typer.Option("--agent", help="The SPIFFE ID that is to work.")]
_TokenOnlyOption = Annotated[bool, typer.Option("--token-only", help="Print the token alone, for a script.")]
_TokenFileOption = Annotated[
    Path | None, typer.Option("--token-file", help="File with the agent's token. Default: standard input.")
]


@task_app.command("open")
def open_task(
    *,
    control: ControlOption,
    template: Annotated[str, typer.Option("--template", help="An entry of the policy's `tasks`.")],
    agent: _AgentOption,
    actions: Annotated[
        list[str] | None, typer.Option("--actions", help="Patterns narrower than the template's, with commas or again.")
    ] = None,
    steps: Annotated[
        int, typer.Option("--steps", min=0, max=MAX_STEPS, help="A smaller budget. Default: the template's.")
    ] = 0,
    ttl: Annotated[str, typer.Option("--ttl", help="A shorter life: 90s, 10m, 1h. Default: the template's.")] = "",
    purpose: Annotated[str, typer.Option("--purpose", help="What for, for people.")] = "",
    context: Annotated[
        list[str] | None, typer.Option("--context", metavar="NAME=VALUE", help="For records; may be repeated.")
    ] = None,
    originator: Annotated[str, typer.Option("--originator", help="On whose behalf. Default: yours.")] = "",
    token_only: _TokenOnlyOption = False,
    cert: CertificateOption = None,
    key: KeyOption = None,
    ca: AuthorityOption = None,
    server_name: ServerNameOption = "",
    mesh_sidecar: SidecarOption = False,
) -> None:
    """Open a task and print the token of its agent; exit 1 when that is refused."""
    patterns = tuple(part for text in actions or () for part in text.split(",") if part)
    pairs, seconds = read_pairs(context or []), read_seconds(ttl)
    for name, text in (("--template", template), ("--agent", agent), ("--purpose", purpose)):
        check_text(name, text)
    check_text("--originator", originator)
    check_text("--actions", *patterns)
    with calling(read_target(control, cert, key, ca, server_name, mesh_sidecar=mesh_sidecar)) as channel:
        from authz_server.control.task_client import TaskClient  # noqa: PLC0415 - needs grpc
        from authz_server.taskbook.opening import OpenTask  # noqa: PLC0415 - other commands start without it

        asked = OpenTask(template, agent, originator, patterns, steps, seconds, purpose, pairs)
        issued = TaskClient(channel).open(asked)
    _print(issued, token_only=token_only)


@task_app.command()
def replace(
    *,
    control: ControlOption,
    token_file: _TokenFileOption = None,
    token_only: _TokenOnlyOption = False,
    cert: CertificateOption = None,
    key: KeyOption = None,
    ca: AuthorityOption = None,
    server_name: ServerNameOption = "",
    mesh_sidecar: SidecarOption = False,
) -> None:
    """Renew the token of the calling agent, as long as the policy still wants its task; exit 1 when that is refused."""
    token = read_token(token_file)
    with calling(read_target(control, cert, key, ca, server_name, mesh_sidecar=mesh_sidecar)) as channel:
        from authz_server.control.task_client import TaskClient  # noqa: PLC0415 - needs grpc

        issued = TaskClient(channel).replace(token)
    _print(issued, token_only=token_only)


@task_app.command()
def delegate(
    *,
    control: ControlOption,
    agent: _AgentOption,
    token_file: _TokenFileOption = None,
    token_only: _TokenOnlyOption = False,
    cert: CertificateOption = None,
    key: KeyOption = None,
    ca: AuthorityOption = None,
    server_name: ServerNameOption = "",
    mesh_sidecar: SidecarOption = False,
) -> None:
    """Hand the calling agent's task on to one more agent and print the token of that one; exit 1 when that is refused."""
    check_text("--agent", agent)
    token = read_token(token_file)
    with calling(read_target(control, cert, key, ca, server_name, mesh_sidecar=mesh_sidecar)) as channel:
        from authz_server.control.task_client import TaskClient  # noqa: PLC0415 - needs grpc

        issued = TaskClient(channel).delegate(token, agent)
    _print(issued, token_only=token_only)


@task_app.command()
def end(
    task: _IdArgument,
    *,
    control: ControlOption,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the record.")],
    cert: CertificateOption = None,
    key: KeyOption = None,
    ca: AuthorityOption = None,
    server_name: ServerNameOption = "",
    mesh_sidecar: SidecarOption = False,
) -> None:
    """End a task everywhere and for good."""
    check_id(task)
    check_text("--reason", reason)
    with calling(read_target(control, cert, key, ca, server_name, mesh_sidecar=mesh_sidecar)) as channel:
        from authz_server.control.task_client import TaskClient  # noqa: PLC0415 - needs grpc

        ended = TaskClient(channel).end(task, reason)
    typer.echo(f"task {printable(ended.id)} {end_of(ended)}")


@task_app.command()
def show(
    task: _IdArgument,
    *,
    control: ControlOption,
    in_json: JsonOption = False,
    cert: CertificateOption = None,
    key: KeyOption = None,
    ca: AuthorityOption = None,
    server_name: ServerNameOption = "",
    mesh_sidecar: SidecarOption = False,
) -> None:
    """Show one task that concerns you; operators see all."""
    check_id(task)
    with calling(read_target(control, cert, key, ca, server_name, mesh_sidecar=mesh_sidecar)) as channel:
        from authz_server.control.task_client import TaskClient  # noqa: PLC0415 - needs grpc

        found = TaskClient(channel).find(task)
    typer.echo(json.dumps(as_json(found), indent=2) if in_json else "\n".join(lines_of(found)))


@task_app.command("list")
def list_tasks(
    *,
    control: ControlOption,
    everything: Annotated[bool, typer.Option("--all", help="Those that ended within the last hour, too.")] = False,
    in_json: JsonOption = False,
    cert: CertificateOption = None,
    key: KeyOption = None,
    ca: AuthorityOption = None,
    server_name: ServerNameOption = "",
    mesh_sidecar: SidecarOption = False,
) -> None:
    """List the open tasks that concern you, the newest first; operators see all."""
    with calling(read_target(control, cert, key, ca, server_name, mesh_sidecar=mesh_sidecar)) as channel:
        from authz_server.control.task_client import TaskClient  # noqa: PLC0415 - needs grpc

        found = [each for each in TaskClient(channel).listing() if everything or not each.HasField("ended")]
    if in_json:
        typer.echo(json.dumps([as_json(each) for each in found], indent=2))
    elif not found:
        typer.echo("no task" if everything else "no task is open")
    else:
        table_console().print(table_of(found))


def _print(issued: "TaskToken", *, token_only: bool) -> None:
    """Print a token: alone, or with what it is for and a warning on standard error."""
    if not is_token(issued.token):
        errors.print("error: the server's answer holds no token")
        raise typer.Exit(EXIT_FAULTY)
    if not token_only:
        typer.echo("\n".join(lines_of(issued.task)))
        typer.echo(f"\ntoken of {printable(issued.agent)}, until {moment(issued.expires)}:")
        errors.print(f"warning: {SECRET}")
    typer.echo(issued.token)
