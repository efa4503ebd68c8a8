"""Whom the server believes."""

from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from authz_server.config.base import Section
from authz_server.config.values import Duration, ExactSpiffeId, FilePath, SpiffePattern, is_wide
from authz_server.errors import DecodeError
from authz_server.task.urls import canonical_url

MAX_ORIGINS: Final = 1024
"""Hosts that take proofs: the destinations of a site."""
MAX_WORKLOAD_DOMAINS: Final = 256
"""Trust domains whose workload identity tokens are believed; each is a file that is looked at every second."""


def _origin(text: str) -> str:
    try:
        canonical = canonical_url(text)
    except DecodeError:
        canonical = ""
    if not canonical.endswith("/") or canonical.count("/") != 3 or text.endswith("/"):  # noqa: PLR2004 - https://host/
        raise ValueError(
            "expected scheme and authority of a destination and nothing more, such as https://crm.corp.example"
        )
    return canonical.removesuffix("/")


def host_of(origin: str) -> str:
    """The host of an origin, as requests name it: without scheme and port."""
    authority = origin.partition("://")[2]
    host, colon, port = authority.rpartition(":")
    return host if colon and port.isdigit() else authority


class Domain(Section):
    """A trust domain and where its bundle is."""

    name: str = Field(min_length=1, max_length=255)
    bundle: FilePath
    intermediates: FilePath | None = None


class Xfcc(Section):
    """That, and how, `x-forwarded-client-cert` is believed."""

    mode: Literal["sanitize_set", "append_forward"]
    hops: tuple[SpiffePattern, ...] = ()
    """Proxies that may speak for their clients."""
    own: tuple[ExactSpiffeId, ...] = ()
    """SPIFFE IDs of asking proxies that report no destination principal, such as waypoints."""
    json_format: bool = False
    """Take the JSON form of newer proxies as well."""


class Proofs(Section):
    """Proofs of possession that requests present."""

    dpop: bool = True
    """Verify the `DPoP` header (RFC 9449) and refuse what does not hold; false leaves it to the destinations."""
    origins: tuple[Annotated[str, AfterValidator(_origin)], ...] = Field(default=(), max_length=MAX_ORIGINS)
    """Under which scheme and authority clients know the destinations, one for each host; without any `https` and the host."""

    @model_validator(mode="after")
    def _one_for_each_host(self) -> Self:
        hosts = [host_of(origin) for origin in self.origins]
        twice = next((host for host in hosts if hosts.count(host) > 1), "")
        if twice:
            raise ValueError(f"{twice} has two origins; a proof is made for one")
        return self


class WorkloadTokens(Section):
    """A trust domain whose workload identity tokens are believed."""

    domain: str = Field(min_length=1, max_length=255)
    jwks: FilePath
    """Its public keys (RFC 7517): a SPIFFE bundle with keys for `wit-svid`, or a plain key set. Read again when it changes."""


class TrustConfig(Section):
    """Whom the server believes."""

    domains: tuple[Domain, ...] = ()
    proxies: tuple[SpiffePattern, ...] = ()
    acknowledge: Literal["every-workload"] | None = None
    bind: Literal["destination", "any"] = "destination"
    gateways: tuple[ExactSpiffeId, ...] = ()
    identity_from: tuple[Literal["certificate", "principal"], ...] | None = None
    """In the order of trust. Without it: certificate, then principal, where a trust domain is configured; else principal."""
    max_connection_age: Duration = 3600.0
    xfcc: Xfcc | None = None
    proofs: Proofs | None = None
    """Without it `DPoP` headers are not looked at."""
    workload_tokens: tuple[WorkloadTokens, ...] = Field(default=(), max_length=MAX_WORKLOAD_DOMAINS)
    """Without any `Workload-Identity-Token` and its proof are not looked at."""

    @model_validator(mode="after")
    def _one_key_set_for_each_domain(self) -> Self:
        names = [each.domain for each in self.workload_tokens]
        twice = next((name for name in names if names.count(name) > 1), "")
        if twice:
            raise ValueError(f"workload_tokens names {twice} twice")
        return self

    @model_validator(mode="after")
    def _wide_patterns_are_meant(self) -> Self:
        wide = [pattern for pattern in self.proxies if is_wide(pattern)]
        if wide and self.acknowledge is None:
            raise ValueError(
                f"`{wide[0]}` lets every workload act as a proxy; write `acknowledge: every-workload` if that is meant"
            )
        return self
