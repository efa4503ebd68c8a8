"""What the `state` commands work with: the configured store, opened for an operator who stands beside the servers."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import typer

from authz_server.cli.common import EXIT_FAULTY, EXIT_USAGE, errors, load

if TYPE_CHECKING:
    from authz_server.config import Config
    from authz_server.keyhash import KeyedHash
    from authz_server.model import Entity
    from authz_server.state.redis import RedisStore

PATIENCE_MS: Final = 5000.0
"""For one answer of the store: nobody waits for a decision here."""
MAX_VALUE: Final = 2048
"""Characters of what an entity is named by: a SPIFFE ID's."""

PrincipalOption = Annotated[
    str | None, typer.Option("--principal", help="A SPIFFE ID, or legacy:NAME; its own lineage is looked at, too.")
]
SourceOption = Annotated[str | None, typer.Option("--source", help="An IP address.")]
CredentialOption = Annotated[str | None, typer.Option("--credential", help="A credential's id, 32 hexadecimal digits.")]
TaskOption = Annotated[str | None, typer.Option("--task", help="A task's id.")]
LineageOption = Annotated[
    str | None,
    typer.Option("--lineage", help='"ISSUER ORIGINATOR" of tasks, or the SPIFFE ID of a caller without one.'),
]
KeyOption = Annotated[
    str | None,
    typer.Option("--key", help="WORD=VALUE of another word that signals are kept by, such as destination=crm."),
]


class Shared(NamedTuple):
    """A store that servers share, and what belongs to it."""

    config: "Config"
    keyed: "KeyedHash"
    store: "RedisStore"


@contextmanager
def shared_store(config: Path | None, overrides: dict[str, Any]) -> Iterator[Shared]:
    """Open the configured store for a block; what goes wrong with it is told, and ends the command with status 1.

    Raises:
        ConfigError: the configuration cannot be used.
    """
    from authz_server import assembly  # noqa: PLC0415 - other commands start without it
    from authz_server.errors import StateUnavailableError  # noqa: PLC0415 - as above
    from authz_server.state.redis import RedisStore  # noqa: PLC0415 - as above

    settings: Config = load(config, overrides).model_copy(update={"state_budget": PATIENCE_MS / 1000})
    if settings.state == "memory":
        _end(
            "state is memory: each server keeps its own, and there is nothing shared to look at; see its metrics and log"
        )
    if settings.secrets.hash_key is None:
        _end("secrets.hash_key is not set: without the servers' secret nothing in the store can be found")
    keyed = assembly.build_keyed_hash(settings)
    store = assembly.build_store(settings, keyed)
    try:
        if not isinstance(store, RedisStore):
            _end("this store cannot be looked at")
        else:
            yield Shared(settings, keyed, store)
    except StateUnavailableError as error:
        rights = "; its user needs more rights than a server that decides" if error.code == "noperm" else ""
        _end(f"the store does not answer as it should: {error.code}{rights}")
    finally:
        store.close()


def chosen_entities(**given: str | None) -> tuple["Entity", ...]:
    """The entities that the options name, in every spelling under which something may be kept, the usual one first.

    Args:
        given: by the option's name without its dashes; None where it was not given.

    Raises:
        typer.BadParameter: not exactly one of them is given, or it is none.
    """
    from authz_server.containment.entities import canonical_entity  # noqa: PLC0415 - other commands start without it
    from authz_server.model import Entity  # noqa: PLC0415 - as above

    named = {name: value for name, value in given.items() if value is not None}
    if len(named) != 1:
        raise typer.BadParameter("name one of --principal, --source, --credential, --task, --lineage and --key")
    ((word, value),) = named.items()
    if not 0 < len(value) <= MAX_VALUE:
        raise typer.BadParameter(f"has 1 to {MAX_VALUE} characters", param_hint=f"--{word}")
    if word == "key":
        head, equals, value = value.partition("=")
        if not (head and equals and value):
            raise typer.BadParameter("is WORD=VALUE, such as destination=crm", param_hint="--key")
        return (Entity(head, (value,)),)
    if word == "lineage":
        issuer, space, originator = value.partition(" ")
        both = (Entity("lineage", (issuer, originator)),) if space else ()
        return (Entity("lineage", (value,)), *both)
    try:
        entity = canonical_entity(Entity(word, (value,)))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=f"--{word}") from None
    whole = {"principal": ("principal.id", "lineage"), "source": ("source.address",), "credential": ("credential.id",)}
    return (entity, *(Entity(other, entity.parts) for other in whole.get(word, ("task.id",))))


def ask_first(question: str, *, yes: bool) -> None:
    """End the command unless the operator has said yes beforehand."""
    if not yes:
        errors.print(f"{question}; say --yes to do it", markup=False)
        raise typer.Exit(EXIT_USAGE)


def _end(message: str) -> None:
    errors.print(f"error: {message}", markup=False)
    raise typer.Exit(EXIT_FAULTY)
