"""`authz-server state inspect`, `export`, `reset`, `backup` and `restore`: the shared store, beside running servers."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from authz_server.cli.common import EXIT_FAULTY, ConfigOption, EnvironmentOption, PoliciesOption, errors
from authz_server.cli.stored import (
    CredentialOption,
    KeyOption,
    LineageOption,
    PrincipalOption,
    Shared,
    SourceOption,
    TaskOption,
    ask_first,
    chosen_entities,
    shared_store,
)
from authz_server.printable import printable

if TYPE_CHECKING:
    from authz_server.containment.record import Record
    from authz_server.model import Entity
    from authz_server.reports.kept import Instance
    from authz_server.state.admin import Kept

state_app = typer.Typer(help="Look into the store that the servers share.", no_args_is_help=True)


@state_app.command()
def inspect(
    *,
    principal: PrincipalOption = None,
    source: SourceOption = None,
    credential: CredentialOption = None,
    task: TaskOption = None,
    lineage: LineageOption = None,
    key: KeyOption = None,
    config: ConfigOption = None,
    policies: PoliciesOption = None,
    environment: EnvironmentOption = None,
) -> None:
    """Say what is kept about an entity: each signal's reading, what it means, the limits of rules, and when it fades."""
    entities = chosen_entities(
        principal=principal, source=source, credential=credential, task=task, lineage=lineage, key=key
    )
    with shared_store(config, _overrides(policies, environment)) as shared:
        found = _look(shared, entities)
    from authz_server.cli.state_show import kept_lines  # noqa: PLC0415 - other commands start without it

    for number, (kept, instances, record) in enumerate(found):
        if number and not _is_something(kept):
            continue  # another spelling, under which nothing is kept
        for line in kept_lines(kept, instances, record):
            typer.echo(line)


@state_app.command()
def export(
    *,
    principal: PrincipalOption = None,
    source: SourceOption = None,
    credential: CredentialOption = None,
    task: TaskOption = None,
    lineage: LineageOption = None,
    key: KeyOption = None,
    config: ConfigOption = None,
    policies: PoliciesOption = None,
    environment: EnvironmentOption = None,
) -> None:
    """Print the same as JSON, with the stored values; apart from the entity itself it holds hashes only."""
    entities = chosen_entities(
        principal=principal, source=source, credential=credential, task=task, lineage=lineage, key=key
    )
    with shared_store(config, _overrides(policies, environment)) as shared:
        from authz_server.cli.state_show import record_as_json  # noqa: PLC0415 - other commands start without it
        from authz_server.reports.kept import kept_as_json  # noqa: PLC0415 - other commands start without it

        found = [
            {**kept_as_json(kept, instances), "containment": record_as_json(record)}
            for kept, instances, record in _look(shared, entities)
            if _is_something(kept)
        ]
    typer.echo(json.dumps(found, indent=2))


@state_app.command()
def reset(
    *,
    principal: PrincipalOption = None,
    source: SourceOption = None,
    credential: CredentialOption = None,
    task: TaskOption = None,
    lineage: LineageOption = None,
    key: KeyOption = None,
    signal: Annotated[
        list[str] | None, typer.Option("--signal", help="Only this signal; may be repeated. Default: all")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; else it is only said what would be deleted.")] = False,
    config: ConfigOption = None,
    policies: PoliciesOption = None,
    environment: EnvironmentOption = None,
) -> None:
    """Forget what the signals know about an entity. Its containment stays: that is for `release`."""
    entities = chosen_entities(
        principal=principal, source=source, credential=credential, task=task, lineage=lineage, key=key
    )
    with shared_store(config, _overrides(policies, environment)) as shared:
        from authz_server.state.admin import StateAdmin  # noqa: PLC0415 - other commands start without it
        from authz_server.state.keys import Keys  # noqa: PLC0415 - as above

        found = [(kept, _selected(instances, signal)) for kept, instances, _ in _look(shared, entities)]
        names = sorted({each.signal or each.stored.id for _, instances in found for each in instances})
        if not names:
            typer.echo("nothing to delete")
            return
        ask_first(f"would delete {', '.join(names)}", yes=yes)
        admin = StateAdmin(shared.store, Keys(shared.keyed))
        deleted = sum(
            admin.reset(kept, {each.stored.id for each in instances}) for kept, instances in found if instances
        )
    typer.echo(f"deleted {deleted} values: {', '.join(names)}")


@state_app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="Where to write: the signed records, sealed with the servers' secret.")],
    *,
    config: ConfigOption = None,
) -> None:
    """Write every containment and release of the store to a file, against the loss of the store as a whole."""
    from authz_server.cli.records import write_backup  # noqa: PLC0415 - other commands start without it

    with shared_store(config, {}) as shared:
        count = write_backup(shared, file)
    typer.echo(f"{count} records written to {printable(str(file))}")


@state_app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="What `state backup` wrote.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; it may contain and release.")] = False,
    config: ConfigOption = None,
) -> None:
    """Publish the records of a file; whatever the store holds that is newer stays. Needs the rights of the control role."""
    from authz_server.cli.records import read_backup  # noqa: PLC0415 - other commands start without it

    ask_first(f"would publish the records of {printable(str(file))}", yes=yes)
    with shared_store(config, {}) as shared:
        try:
            counts = read_backup(shared, file)
        except ValueError as error:
            errors.print(f"error: {printable(str(error))}; nothing was published", markup=False)
            raise typer.Exit(EXIT_FAULTY) from None
    typer.echo(
        ", ".join(f"{counts[word]} {word}" for word in sorted(counts, key=lambda word: (word != "restored", word)))
    )


def _overrides(policies: Path | None, environment: Path | None) -> dict[str, Any]:
    return {
        "policies": str(policies) if policies is not None else None,
        "environment": str(environment) if environment is not None else None,
    }


def _look(shared: Shared, entities: Sequence["Entity"]) -> list[tuple["Kept", tuple["Instance", ...], "Record | None"]]:
    from authz_server import assembly  # noqa: PLC0415 - other commands start without it
    from authz_server.cli.records import open_held  # noqa: PLC0415 - as above
    from authz_server.reports.kept import describe_kept  # noqa: PLC0415 - as above
    from authz_server.state.admin import StateAdmin  # noqa: PLC0415 - as above
    from authz_server.state.keys import Keys  # noqa: PLC0415 - as above

    snapshot = assembly.build_holder(shared.config, shared.keyed).compile(assembly.read_policy(shared.config))
    admin = StateAdmin(shared.store, Keys(shared.keyed))
    found = [admin.inspect(entity) for entity in entities]
    return [(kept, describe_kept(snapshot, kept), open_held(shared, kept)) for kept in found]


def _selected(instances: Sequence["Instance"], names: Sequence[str] | None) -> list["Instance"]:
    return [each for each in instances if not names or each.signal in names or each.stored.id in names]


def _is_something(kept: "Kept") -> bool:
    return bool(kept.signals or kept.guards or kept.others or kept.flag is not None or kept.held is not None)
