"""The command line. Every setting of `serve` can also stand in the configuration file or in an `AUTHZ_…` variable."""

import logging
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from authz_server import __version__
from authz_server.errors import AuthzError, FaultyTextError

app = typer.Typer(
    name="authz-server",
    help="External authorization for Envoy and Istio that interrupts intrusion chains inline.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
policy_app = typer.Typer(help="Look after a policy directory.", no_args_is_help=True)
app.add_typer(policy_app, name="policy")

EXIT_FAULTY: Final = 1
"""What was asked about is not in order: a policy with faults, a request that is denied, a demonstration that failed."""
EXIT_USAGE: Final = 2
"""The question itself could not be read."""

_errors = Console(stderr=True, highlight=False, soft_wrap=True)

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", envvar="AUTHZ_CONFIG", help="Server configuration (YAML): trust, listeners, state."),
]
PoliciesOption = Annotated[
    Path | None,
    typer.Option("--policies", envvar="AUTHZ_POLICIES", help="Policy directory, such as a mounted ConfigMap."),
]
LevelOption = Annotated[
    str, typer.Option("--log-level", envvar="AUTHZ_LOG_LEVEL", help="debug, info, warning or error.")
]


@app.callback()
def common(
    context: typer.Context,
    *,
    debug: Annotated[
        bool, typer.Option("--debug", envvar="AUTHZ_DEBUG", help="Show tracebacks of unexpected errors.")
    ] = False,
) -> None:
    """Options of every command."""
    context.obj = debug


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


@app.command()
def serve(
    *,
    config: ConfigOption = None,
    policies: PoliciesOption = None,
    listen: Annotated[
        list[str] | None,
        typer.Option(
            "--listen",
            envvar="AUTHZ_LISTEN",
            help="unix:PATH or HOST:PORT; may be repeated. Default: unix:/tmp/authz-server/check.sock",
        ),
    ] = None,
    state: Annotated[
        str | None,
        typer.Option("--state", envvar="AUTHZ_STATE", help="memory, redis://…, rediss://… or unix://… Default: memory"),
    ] = None,
    state_budget: Annotated[
        str | None,
        typer.Option(
            "--state-budget",
            envvar="AUTHZ_STATE_BUDGET",
            help="How long a decision may wait for the store. Default: 10ms",
        ),
    ] = None,
    replicas: Annotated[
        int | None,
        typer.Option(
            "--replicas",
            envvar="AUTHZ_REPLICAS",
            help="Replicas that share the load, for limits without the store. Default: 1",
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option("--threads", envvar="AUTHZ_THREADS", help="Decision threads of each listener. Default: 2"),
    ] = None,
    probes: Annotated[
        str | None,
        typer.Option(
            "--probes", envvar="AUTHZ_PROBES", help="HOST:PORT of the HTTP probes /healthz and /readyz. Default: none"
        ),
    ] = None,
    drain: Annotated[
        str | None,
        typer.Option(
            "--drain", envvar="AUTHZ_DRAIN", help="How long to go on serving as NOT_SERVING after SIGTERM. Default: 5s"
        ),
    ] = None,
    audit: Annotated[
        str | None,
        typer.Option(
            "--audit",
            envvar="AUTHZ_AUDIT",
            help="File of the decision records (NDJSON), or - for standard output. Default: none",
        ),
    ] = None,
    hash_key: Annotated[
        str | None,
        typer.Option(
            "--hash-key", envvar="AUTHZ_HASH_KEY", help="File with the secret of the keyed hashes; replicas share it."
        ),
    ] = None,
    max_body: Annotated[
        str | None,
        typer.Option(
            "--max-body", envvar="AUTHZ_MAX_BODY", help="Largest body that is read, such as 64KiB. Default: 64KiB"
        ),
    ] = None,
    insecure_plaintext: Annotated[
        bool,
        typer.Option(
            "--insecure-plaintext",
            envvar="AUTHZ_INSECURE_PLAINTEXT",
            help="Let anybody who reaches a TCP address ask. For trials only.",
        ),
    ] = False,
    log_level: LevelOption = "info",
) -> None:
    """Serve Envoy's ext_authz API until SIGTERM."""
    from authz_server.app import run  # noqa: PLC0415 - other commands start without servers

    overrides: dict[str, Any] = {
        "policies": str(policies) if policies is not None else None,
        "listen": tuple(_listen(address, insecure=insecure_plaintext) for address in listen) if listen else None,
        "state": state,
        "state_budget": state_budget,
        "replicas": replicas,
        "threads": threads,
        "probes": probes,
        "drain": drain,
        "audit": {"file": audit} if audit is not None else None,
        "secrets": {"hash_key": hash_key} if hash_key is not None else None,
        "max_body": max_body,
    }
    _log(log_level)
    run(_config(config, overrides))


def _listen(address: str, *, insecure: bool) -> dict[str, Any]:
    return {"address": address, "insecure_plaintext": insecure and not address.startswith("unix:")}


def _config(path: Path | None, overrides: dict[str, Any]) -> Any:
    from authz_server.assembly import read_file  # noqa: PLC0415 - as above
    from authz_server.config import load_config  # noqa: PLC0415

    data = read_file(path, "--config") if path is not None else b""
    return load_config(str(path) if path is not None else "defaults", data, overrides)


@policy_app.command()
def lint(directory: Annotated[Path, typer.Argument(help="The policy directory.")]) -> None:
    """List every fault and warning of a policy directory; exit 1 when there are faults."""
    from authz_server.inspection import lint_policy  # noqa: PLC0415 - as above

    report = lint_policy(directory)
    for warning in report.warnings:
        typer.echo(f"warning: {warning}")
    typer.echo(report.summary)


@app.command()
def check(
    *,
    request: Annotated[
        str, typer.Option("--request", help="A CheckRequest in protobuf or JSON: a file, or - for standard input.")
    ],
    config: ConfigOption = None,
    policies: PoliciesOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the decision record as JSON.")] = False,
) -> None:
    """Decide one CheckRequest and print the verdict with its reasons; exit 1 when it is not allowed. Nothing is counted anywhere."""
    from authz_server.inspection import check_request  # noqa: PLC0415 - as above

    data = sys.stdin.buffer.read() if request == "-" else _read_argument(Path(request))
    settings = _config(config, {"policies": str(policies) if policies is not None else None, "state": "memory"})
    _log("error")
    allowed = check_request(settings, data, Console(highlight=False, soft_wrap=True), as_json=as_json)
    raise typer.Exit(0 if allowed else EXIT_FAULTY)


def _read_argument(path: Path) -> bytes:
    from authz_server.assembly import read_file  # noqa: PLC0415 - as above

    return read_file(path, "--request")


@app.command()
def demo(
    *,
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running and print commands to try.")] = False,
    pace: Annotated[float, typer.Option("--pace", min=0, max=10, help="Seconds between two steps.")] = 0.12,
) -> None:
    """Watch a benign agent and an intruder through a real Envoy; exit 0 only if the one finished and the other did not."""
    try:
        from authz_server.demo.run import run_demo  # noqa: PLC0415 - an extra that production does not have
        from authz_server.demo.servers import DemoError  # noqa: PLC0415
    except ImportError as error:
        _errors.print(f"error: the demo needs more packages ({error.name}): pip install 'authz-server[demo]'")
        raise typer.Exit(EXIT_USAGE) from None
    try:
        raise typer.Exit(run_demo(_wide_console(), keep=keep, pace_s=pace))
    except DemoError as error:
        _errors.print(f"[bold red]error:[/] {error}")
        raise typer.Exit(EXIT_FAULTY) from None


def _wide_console() -> Console:
    """A console for tables: as wide as the terminal, and wide enough when there is none."""
    console = Console()
    return console if console.is_terminal else Console(width=124)


def _log(level: str) -> None:
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise typer.BadParameter(
            f"{level!r} is no log level; use debug, info, warning or error", param_hint="--log-level"
        )
    logging.basicConfig(level=number, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")


def main() -> None:
    """Run the command line; an operator's mistake is a message and a status, never a traceback."""
    try:
        app()
    except FaultyTextError as error:
        for fault in error.faults:
            _errors.print(str(fault), markup=False)
        word = "fault" if len(error.faults) == 1 else "faults"
        _errors.print(f"error: {len(error.faults)} {word}; nothing was started")
        sys.exit(EXIT_FAULTY)
    except AuthzError as error:
        _errors.print(f"error: {error}", markup=False)
        sys.exit(EXIT_FAULTY)
    except Exception as error:
        if "--debug" in sys.argv:
            raise
        _errors.print(f"error: unexpected {type(error).__name__}; run with --debug and report it", markup=False)
        sys.exit(EXIT_FAULTY)
