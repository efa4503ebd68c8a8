"""The shape of the configuration, validated at the edge (pydantic) and frozen from then on."""

from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from authz_server.config.base import Section
from authz_server.config.keys import InjectedSecret, Secrets, TaskConfig
from authz_server.config.trust import TrustConfig
from authz_server.config.values import BaseUrl, Duration, FilePath, Member, Network, Rate, Share, Size, SpiffePattern

MAX_LISTENERS: Final = 8
"""One a worker and one for TLS is plenty; each costs two threads."""
MAX_EXEMPT: Final = 256
"""Routes without a check are health checks and the like: more than a handful is a filter in the wrong place."""


class TlsFiles(Section):
    """What the mTLS listener serves with; the files are read again when they change."""

    certificate: FilePath
    key: FilePath
    client_ca: FilePath


class Listen(Section):
    """One address to listen on, and how callers are authenticated there."""

    address: str = Field(min_length=3, max_length=255)
    """`unix:PATH` or `HOST:PORT`."""
    tls: TlsFiles | None = None
    caller_token: FilePath | None = None
    mesh_sidecar: bool = False
    insecure_plaintext: bool = False
    server: Literal["auto", "grpcio"] = "auto"
    """`auto`: the native front where there is a wheel and no TLS, else grpcio."""
    group: str = ""
    """For a Unix socket: the group that may connect."""

    @model_validator(mode="after")
    def _one_door(self) -> Self:
        doors = [self.tls is not None, self.caller_token is not None, self.mesh_sidecar, self.insecure_plaintext]
        if self.address.startswith("unix:"):
            if any(doors):
                raise ValueError(
                    "a Unix socket is protected by its permissions; it takes none of tls, caller_token, mesh_sidecar"
                )
        elif sum(doors) > 1:
            raise ValueError("choose one of tls, caller_token, mesh_sidecar and insecure_plaintext")
        return self


Address = Annotated[Listen, BeforeValidator(lambda item: {"address": item} if isinstance(item, str) else item)]
"""A mapping, or the address alone."""


class AccessLogs(Section):
    """Where proxies report how allowed steps ended, for the signals that outcomes feed."""

    listen: tuple[Address, ...] = Field(min_length=1, max_length=MAX_LISTENERS)
    """Addresses of their own, beside those for checks."""
    exempt_routes: tuple[Annotated[str, Field(min_length=1, max_length=255)], ...] = Field(
        default=(), max_length=MAX_EXEMPT
    )
    """Names of Envoy's routes that are not checked on purpose."""


MAX_MEMBERS: Final = 256
"""Of a group of operators; patterns stand for many."""
MAX_GROUPS: Final = 64
"""Of operators."""
MAX_INJECTIONS: Final = 256
"""Destinations with secrets of their own; each is a file that is looked at every second."""


class CredentialSourceConfig(Section):
    """A header that carries a credential."""

    header: str = Field(pattern=r"^[a-z0-9-]{1,64}$")
    scheme: tuple[Literal["bearer", "basic", "dpop"], ...] = ()


class ContainmentConfig(Section):
    """Limits of automatic containment."""

    never: tuple[SpiffePattern, ...] = ()
    max_auto: Rate = (20, 600.0)
    max_share: Share = 0.02


class Control(Section):
    """Where operators and the platform's programs call."""

    listen: tuple[Address, ...] = Field(min_length=1, max_length=MAX_LISTENERS)
    """Addresses of their own, beside those for checks."""


class Web(Section):
    """Where the same is served over HTTP: tokens (OAuth 2.0), evaluations and approvals (AuthZEN)."""

    listen: tuple[Address, ...] = Field(min_length=1, max_length=MAX_LISTENERS)
    """Addresses of their own; a Unix socket, `tls` or `mesh_sidecar`."""
    base: BaseUrl = Field(max_length=255)
    """The URL in front of every path, as callers know it, without a slash at its end."""


class OperatorGroup(Section):
    """People or programs with the same rights."""

    members: tuple[Member, ...] = Field(min_length=1, max_length=MAX_MEMBERS)
    """SPIFFE patterns, or `local` for whoever may use the control listener's Unix socket."""
    may: tuple[Literal["contain", "release", "approve"], ...] = Field(min_length=1)


class Audit(Section):
    """Where decision records go."""

    file: str = ""
    """A path, `-` for standard output, `""` for nowhere."""
    on_full: Literal["drop", "block"] = "drop"


class Config(Section):
    """The whole configuration."""

    listen: tuple[Address, ...] = Field(
        default=(Listen(address="unix:/tmp/authz-server/check.sock"),),
        min_length=1,
        max_length=MAX_LISTENERS,
    )
    tasks: TaskConfig | None = None
    injections: dict[Annotated[str, Field(min_length=1, max_length=256)], InjectedSecret] = Field(
        default_factory=dict, max_length=MAX_INJECTIONS
    )
    """Secrets by the audience of the policy's `inject`; every other audience gets a token that this server signs."""
    role: Literal["all", "data", "control"] = "all"
    """`data` decides and signs nothing; `control` signs, takes access logs and operators' calls, and decides nothing."""
    access_logs: AccessLogs | None = None
    control: Control | None = None
    web: Web | None = None
    operators: dict[Annotated[str, Field(pattern=r"^[a-z0-9-]{1,64}$")], OperatorGroup] = Field(
        default_factory=dict, max_length=MAX_GROUPS
    )
    """Who may contain, release and approve, by the name of their group. Without it whoever may use the socket of `control`."""
    state: str = "memory"
    state_budget: Duration = 0.01
    replicas: int = Field(default=1, ge=1, le=1000)
    threads: int = Field(default=2, ge=1, le=16)
    policies: FilePath = Path("policies")
    environment: FilePath | None = None
    """The file that adapts the policy to where it runs: constants, shares of enforcement, shadow mode."""
    probes: str = ""
    """`HOST:PORT` of the HTTP probes `/healthz` and `/readyz`; `""` for none."""
    drain: Duration = 5.0
    trust: TrustConfig = TrustConfig()
    credential_sources: tuple[CredentialSourceConfig, ...] = (
        CredentialSourceConfig(header="authorization", scheme=("bearer", "basic", "dpop")),
        CredentialSourceConfig(header="x-api-key"),
    )
    shared_sources: tuple[Network, ...] = ()
    containment: ContainmentConfig = ContainmentConfig()
    secrets: Secrets = Secrets()
    audit: Audit = Audit()
    max_body: Size = 64 << 10

    @model_validator(mode="after")
    def _roles_share_a_store(self) -> Self:
        if self.role == "all":
            return self
        if self.state == "memory":
            raise ValueError(f"role `{self.role}` needs a store that the other role shares; set `state`")
        if self.secrets.hash_key is None:
            raise ValueError(f"role `{self.role}` needs `secrets.hash_key`, which all replicas share")
        if self.role == "data" and not self.secrets.record_public_keys:
            raise ValueError(
                "role `data` needs `secrets.record_public_keys`: the keys by which it knows containments of the control role"
            )
        if self.role == "control" and self.secrets.record_key is None:
            raise ValueError("role `control` needs `secrets.record_key`, with which it signs containments")
        return self
