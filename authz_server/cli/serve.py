"""`authz-server serve`."""

from typing import Annotated, Any

import typer

from authz_server.cli.common import ConfigOption, EnvironmentOption, LevelOption, PoliciesOption, load, set_up_logging


def serve(
    *,
    config: ConfigOption = None,
    policies: PoliciesOption = None,
    environment: EnvironmentOption = None,
    listen: Annotated[
        list[str] | None,
        typer.Option(
            "--listen",
            envvar="AUTHZ_LISTEN",
            help="unix:PATH or HOST:PORT; may be repeated. Default: unix:/tmp/authz-server/check.sock",
        ),
    ] = None,
    role: Annotated[
        str | None,
        typer.Option(
            "--role",
            envvar="AUTHZ_ROLE",
            help="data decides, control signs and takes operators' calls, all is both. Default: all",
        ),
    ] = None,
    control: Annotated[
        str | None,
        typer.Option("--control", envvar="AUTHZ_CONTROL", help="unix:PATH where operators call. Default: none"),
    ] = None,
    state: Annotated[
        str | None,
        typer.Option(
            "--state",
            envvar="AUTHZ_STATE",
            help="memory, redis://…, rediss://…, unix://…, redis+sentinel://… or redis+cluster://… Default: memory",
        ),
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
        "environment": str(environment) if environment is not None else None,
        "listen": tuple(_listen(address, insecure=insecure_plaintext) for address in listen) if listen else None,
        "role": role,
        "control": {"listen": (control,)} if control is not None else None,
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
    set_up_logging(log_level)
    run(load(config, overrides))


def _listen(address: str, *, insecure: bool) -> dict[str, Any]:
    return {"address": address, "insecure_plaintext": insecure and not address.startswith("unix:")}
