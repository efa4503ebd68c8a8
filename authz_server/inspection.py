"""What the command line shows of a policy and of one decision, without serving anything."""

import json
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from authz_server import assembly, record
from authz_server.config import Config
from authz_server.envoy.text import read_check_request
from authz_server.errors import ConfigError, DecodeError, Fault
from authz_server.keyhash import KeyedHash
from authz_server.model import Call, Caller, CallerKind
from authz_server.policy.compiler import compile_policy
from authz_server.policy.snapshot import Snapshot
from authz_server.record import DecisionEvent
from authz_server.rehearsal import rehearse
from authz_server.sources.files import read_directory
from authz_server.state.memory import MemoryStore
from authz_server.verdict import Decision


class LintReport(NamedTuple):
    """What `policy lint` prints of a sound policy."""

    warnings: tuple[Fault, ...]
    summary: str


def compile_directory(directory: Path, environment: Path | None = None) -> Snapshot:
    """Compile a policy directory with its environment file.

    Raises:
        PolicyError: with every fault, of the platform's files and of all teams.
        ConfigError: the environment file cannot be read.
    """
    adapted = None if environment is None else (str(environment), assembly.read_file(environment, "--env"))
    # No step is decided here, so any secret does: `enforce` shares do not show.
    return compile_policy(read_directory(directory), KeyedHash(bytes(16)), (), adapted)


def lint_policy(directory: Path, environment: Path | None = None) -> LintReport:
    """Compile a policy directory and try it on built-in requests.

    Raises:
        PolicyError: with every fault.
        ConfigError: the environment file cannot be read.
    """
    snapshot = compile_directory(directory, environment)
    now = assembly.clock()
    warnings = [*snapshot.warnings, *rehearse(snapshot, now), *_ended(snapshot, now)]
    return LintReport(tuple(warnings), _summary(snapshot, len(warnings)))


def _ended(snapshot: Snapshot, now: float) -> list[Fault]:
    """Exceptions whose time is over: they lift nothing any more and can be taken out."""
    return [
        entry.where.fault("this exception has expired; take it out", "expires")
        for entry in snapshot.text.exceptions
        if 0 < entry.expires <= now
    ]


def _summary(snapshot: Snapshot, warnings: int) -> str:
    rules, actions = len(snapshot.rules.rules), len(snapshot.catalogue.actions)
    return f"ok: {rules} rules, {actions} actions, {warnings} warnings, digest {snapshot.digest}"


def check_request(config: Config, data: bytes, console: Console, *, as_json: bool) -> bool:
    """Decide one request against fresh counters and print the verdict.

    Args:
        config: trust, policies and limits; its store and listeners are not used.
        data: a CheckRequest in protobuf or JSON.
        console: where the verdict goes.
        as_json: the decision record instead of text.

    Returns:
        Whether the request is allowed.

    Raises:
        ConfigError: the configuration cannot be used, or the request is no CheckRequest.
        PolicyError: the policy has faults.
    """
    try:
        payload = read_check_request(data)
    except DecodeError as error:
        message = f"{error.code}: expected envoy.service.auth.v3.CheckRequest, binary or as JSON"
        raise ConfigError([Fault("request", 0, "", message)]) from None
    keyed = assembly.build_keyed_hash(config)
    policy = assembly.build_holder(config, keyed)
    policy.publish(policy.compile(assembly.read_policy(config)))
    verifier = assembly.build_verifier(config)
    events: list[DecisionEvent] = []
    engine = assembly.build_engine(
        config, keyed, policy, MemoryStore(keyed, assembly.clock_ms), events.append, verifier=verifier
    )
    # As the socket of a proxy on this machine would ask: there is nobody else whose word could be checked.
    engine.decide([Call(payload, Caller(CallerKind.SOCKET, "command line"), None)])
    deciding = events[-1]  # of several calls in one body
    built = record.build(deciding)
    if as_json:
        console.print_json(json.dumps(built))
    else:
        _print(console, built)
    return deciding.verdict.decision is Decision.ALLOW


def _print(console: Console, built: dict[str, object]) -> None:
    colour = "green" if built["decision"] == "allow" else "red"
    console.print(f"[bold {colour}]{built['decision']}[/] ({built['reason']})")
    for name in ("rule", "detail", "action", "principal", "policy_digest"):
        if built[name]:
            console.print(f"  {name}: {built[name]}", markup=False)
    for match in built["matched"]:  # type: ignore[attr-defined]
        error = f" ({match['error']})" if "error" in match else ""
        console.print(f"  matched {match['rule']}: {match['effect']}{error}", markup=False)
    for name, reading in built["readings"].items():  # type: ignore[attr-defined]
        console.print(f"  signals.{name} = {reading['value']} (limit {reading['limit']})", markup=False)
