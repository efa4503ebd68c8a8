"""How the commands of operators reach the control listener, and how they say what came of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console

from authz_server.cli.common import EXIT_FAULTY, errors
from authz_server.cli.given import check_text
from authz_server.printable import printable

if TYPE_CHECKING:
    import grpc

    from authz_server.control.client import Target

WIDTH = 176
"""Columns of a table that goes to a file or another program."""
_PEM: Final = b"-----BEGIN "

ControlOption = Annotated[
    str,
    typer.Option("--control", envvar="AUTHZ_CONTROL", help="The control listener: unix:PATH, or HOST:PORT with TLS."),
]
CertificateOption = Annotated[
    Path | None,
    typer.Option("--cert", envvar="AUTHZ_CONTROL_CERT", help="PEM of the X.509-SVID by which the server knows you."),
]
KeyOption = Annotated[
    Path | None, typer.Option("--key", envvar="AUTHZ_CONTROL_KEY", help="PEM of the private key of --cert.")
]
AuthorityOption = Annotated[
    Path | None,
    typer.Option("--ca", envvar="AUTHZ_CONTROL_CA", help="PEM of the authorities that may have issued the server's."),
]
ServerNameOption = Annotated[
    str,
    typer.Option(
        "--server-name",
        envvar="AUTHZ_CONTROL_SERVER_NAME",
        help="DNS name in the server's certificate. Default: the host of --control",
    ),
]
SidecarOption = Annotated[
    bool,
    typer.Option(
        "--mesh-sidecar", envvar="AUTHZ_CONTROL_MESH_SIDECAR", help="The sidecar of this machine does the TLS."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@contextmanager
def calling(target: "Target") -> Iterator["grpc.Channel"]:
    """Open a channel for a block; what is refused in it is told to the operator, and ends the command with status 1."""
    from authz_server.control.client import ControlUnreachableError, open_channel  # noqa: PLC0415 - needs grpc
    from authz_server.control.service import CallRefusedError  # noqa: PLC0415 - as above

    try:
        with open_channel(target) as channel:
            yield channel
    except CallRefusedError as error:
        errors.print(f"refused ({printable(error.code)}): {printable(error.text)}", markup=False)
        raise typer.Exit(EXIT_FAULTY) from None
    except ControlUnreachableError as error:
        errors.print(f"error: {printable(str(error))}", markup=False)
        raise typer.Exit(EXIT_FAULTY) from None


def read_target(
    address: str,
    certificate: Path | None,
    key: Path | None,
    authority: Path | None,
    server_name: str,
    *,
    mesh_sidecar: bool,
) -> "Target":
    """The control listener that the options name.

    Raises:
        typer.BadParameter: they contradict each other, or leave something out.
        ConfigError: a file cannot be read, or holds no PEM.
    """
    from authz_server.control.client import Target  # noqa: PLC0415 - needs grpc
    from authz_server.listeners.doors import UNIX, host_port  # noqa: PLC0415 - as above

    check_text("--control", address)
    check_text("--server-name", server_name)
    given = [path for path in (certificate, key, authority) if path is not None]
    if address.startswith(UNIX):
        if given or mesh_sidecar:
            raise typer.BadParameter("a Unix socket takes none of --cert, --key, --ca, --mesh-sidecar")
        return Target(address)
    if host_port(address) is None:
        raise typer.BadParameter(f"{address!r} is neither unix:PATH nor HOST:PORT", param_hint="--control")
    if mesh_sidecar:
        if given:
            raise typer.BadParameter("is instead of --cert, --key and --ca", param_hint="--mesh-sidecar")
        return Target(address)
    if certificate is None or key is None or authority is None:
        raise typer.BadParameter("HOST:PORT needs --cert, --key and --ca, or --mesh-sidecar", param_hint="--control")
    return Target(
        address,
        _read_pem(authority, "--ca"),
        _read_pem(certificate, "--cert"),
        _read_pem(key, "--key"),
        server_name,
    )


def _read_pem(path: Path, option: str) -> bytes:
    """The PEM in a file: without authorities a channel would be in plaintext, and without a key gRPC ends the process.

    Raises:
        ConfigError: it cannot be read, or there is none.
    """
    from authz_server.assembly import read_file  # noqa: PLC0415 - other commands start without it
    from authz_server.errors import ConfigError, Fault  # noqa: PLC0415 - as above

    found = read_file(path, option)
    if _PEM not in found:
        raise ConfigError([Fault(str(path), 0, option, "holds no PEM")])
    return found


def table_console() -> Console:
    """A console for tables: as wide as the terminal, and wide enough when there is none."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=WIDTH)
