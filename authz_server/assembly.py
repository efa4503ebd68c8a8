"""From configuration to parts: each function builds one collaborator of the engine, and says what the operator did wrong."""

import logging
import os
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from authz_server import believing
from authz_server.approvals.approver import Approver
from authz_server.audit.sinks import JsonLinesSink, NullSink
from authz_server.config import Config
from authz_server.engine import Engine, Ports
from authz_server.engine.heritage import Heritage
from authz_server.engine.leases import LeasedMeter
from authz_server.engine.owners import owners_in
from authz_server.engine.ports import ContainmentSink, Seal, TaskSource, always
from authz_server.engine.sparing import Sparing
from authz_server.engine.tally import Tally
from authz_server.envoy.credentials import CredentialSource
from authz_server.envoy.decode import Decoder, DecodeSettings
from authz_server.envoy.encode import Encoder, EncodeSettings
from authz_server.errors import ConfigError, Fault
from authz_server.holder import ENVIRONMENT_FOLDER, PolicyHolder
from authz_server.identity.svid import SvidVerifier, TrustBundle, parse_bundle
from authz_server.keyhash import MAX_SECRET_BYTES, KeyedHash
from authz_server.minting.minter import Minter
from authz_server.policy.envelopes import Meter
from authz_server.proving.checker import ProofChecker
from authz_server.record import DecisionEvent
from authz_server.sources.files import read_directory
from authz_server.state.base import Store
from authz_server.state.containment import ContainedSet
from authz_server.state.memory import MemoryStore
from authz_server.state.open import open_store

LOG: Final = logging.getLogger(__name__)

MAX_TRUST_FILE: Final = 4 << 20
"""Bytes of a bundle: thousands of authorities."""
_ID_BYTES: Final = 16
"""128 bits, as a trace id."""


def clock() -> float:
    """Unix time in seconds."""
    return time.time()  # noqa: TID251 - the one place where the wall clock is read


def clock_ms() -> int:
    """Unix time in milliseconds."""
    return time.time_ns() // 1_000_000


def new_id() -> str:
    """A decision id of 32 hexadecimal digits."""
    return os.urandom(_ID_BYTES).hex()


def read_file(path: Path, setting: str) -> bytes:
    """Read a file that a setting names.

    Raises:
        ConfigError: it cannot be read, or is too large.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_TRUST_FILE + 1)
    except OSError as error:
        raise ConfigError([Fault(str(path), 0, setting, error.strerror or "cannot be read")]) from None
    if len(data) > MAX_TRUST_FILE:
        raise ConfigError([Fault(str(path), 0, setting, f"is larger than {MAX_TRUST_FILE} bytes")])
    return data


def build_keyed_hash(config: Config) -> KeyedHash:
    """The keyed hash of the deployment.

    Raises:
        ConfigError: the secret cannot be read or is no secret, or a shared store has none to share.
    """
    path = config.secrets.hash_key
    if path is None:
        if config.state != "memory":
            LOG.warning(
                "secrets.hash_key is not set: counters in the store are not shared with other replicas and do not outlive this process"
            )
        return KeyedHash(secrets.token_bytes(MAX_SECRET_BYTES))
    try:
        return KeyedHash(read_file(path, "secrets.hash_key").strip())
    except ValueError as error:
        raise ConfigError(
            [Fault(str(path), 0, "secrets.hash_key", f"{error}; make one with: openssl rand -hex 32")]
        ) from None


def build_verifier(config: Config) -> SvidVerifier | None:
    """The verifier of X.509-SVIDs, or None when no trust domain is configured.

    Raises:
        ConfigError: a bundle cannot be read.
    """
    if not config.trust.domains:
        return None
    bundles: list[TrustBundle] = []
    faults: list[Fault] = []
    for number, domain in enumerate(config.trust.domains):
        setting = f"trust.domains[{number}].bundle"
        try:
            extra = read_file(domain.intermediates, setting) if domain.intermediates is not None else b""
            bundles.append(parse_bundle(domain.name, read_file(domain.bundle, setting), extra))
        except ConfigError as error:
            faults.extend(error.faults)
        except ValueError as error:
            faults.append(Fault(str(domain.bundle), 0, setting, str(error)))
    if faults:
        raise ConfigError(faults)
    return SvidVerifier(bundles, config.trust.max_connection_age)


def max_message(config: Config) -> int:
    """Bytes of a check above which it is denied: the body, twice Envoy's header limit, certificate and metadata."""
    return config.max_body + (192 << 10)


def build_decoder(config: Config, keyed: KeyedHash) -> Decoder:
    """The decoder of checks.

    Raises:
        ConfigError: a credential source is listed twice.
    """
    sources = tuple(CredentialSource(source.header, source.scheme) for source in config.credential_sources)
    settings = DecodeSettings(keyed, sources, config.max_body, max_message(config))
    try:
        return Decoder(settings)
    except ValueError as error:
        raise ConfigError([Fault("configuration", 0, "credential_sources", str(error))]) from None


def build_store(config: Config, keyed: KeyedHash, on_epoch: Callable[[bytes], None] | None = None) -> Store:
    """The state store of the configuration; `on_epoch` is told of containments that others publish.

    Raises:
        ConfigError: its URL names none.
    """
    try:
        return open_store(
            config.state, keyed, clock_ms=clock_ms, budget_ms=config.state_budget * 1000, on_epoch=on_epoch
        )
    except ValueError as error:
        raise ConfigError([Fault("configuration", 0, "state", str(error).removeprefix("state: "))]) from None


def build_holder(config: Config, keyed: KeyedHash) -> PolicyHolder:
    """Where the policy in force is kept."""
    return PolicyHolder(keyed, config.shared_sources, clock)


def read_policy(config: Config) -> Mapping[str, bytes]:
    """The files of the configured policy, and its environment file under `env/`.

    Raises:
        PolicyError: they cannot be read as of one moment.
        ConfigError: the environment file cannot be read.
    """
    files = dict(read_directory(config.policies))
    if config.environment is not None:
        files[f"{ENVIRONMENT_FOLDER}{config.environment.name}"] = read_file(config.environment, "environment")
    return files


def build_engine(
    config: Config,
    keyed: KeyedHash,
    policy: PolicyHolder,
    store: Store,
    submit: Callable[[DecisionEvent], None],
    *,
    verifier: SvidVerifier | None,
    wake: Callable[[], None] = lambda: None,
    seal: Seal | None = None,
    contained: ContainedSet | None = None,
    sink: ContainmentSink | None = None,
    synced: Callable[[], bool] = always,
    tasks: TaskSource | None = None,
    approver: Approver | None = None,
    minter: Minter | None = None,
    proofs: ProofChecker | None = None,
) -> Engine:
    """The engine of the configuration.

    Raises:
        ConfigError: a setting cannot be used.
    """
    local = store if isinstance(store, MemoryStore) else MemoryStore(keyed, clock_ms)
    ports = Ports(
        decoder=build_decoder(config, keyed),
        encoder=Encoder(EncodeSettings()),
        policy=policy,
        store=store,
        local=local,
        contained=contained if contained is not None else ContainedSet(),
        guard=believing.build_guard(config),
        keyed=keyed,
        clock=clock,
        monotonic=time.monotonic,
        new_id=new_id,
        submit=submit,
        wake=wake,
        tally=Tally(),
        replicas=config.replicas,
        meter=Meter(config.replicas) if isinstance(store, MemoryStore) else LeasedMeter(config.replicas, wake),
        sparing=Sparing(keyed),
        seal=seal,
        heritage=Heritage(owners_in(store, keyed)) if seal is not None else None,
        sink=sink,
        synced=synced,
        tasks=tasks,
        tasks_in_store=tasks is not None and not isinstance(store, MemoryStore),
        approver=approver,
        injects=minter is not None,
        minter=minter,
        proofs=proofs,
    )
    return Engine(ports, believing.build_trust(config, verifier))


def build_sink(config: Config) -> JsonLinesSink | NullSink:
    """Where decision records go.

    Raises:
        ConfigError: the file cannot be opened.
    """
    if not config.audit.file:
        return NullSink()
    try:
        return JsonLinesSink(config.audit.file)
    except OSError as error:
        raise ConfigError([Fault(config.audit.file, 0, "audit.file", error.strerror or "cannot be opened")]) from None
