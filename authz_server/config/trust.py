"""Whom the server believes."""

from typing import Literal, Self

from pydantic import Field, model_validator

from authz_server.config.base import Section
from authz_server.config.values import Duration, ExactSpiffeId, FilePath, SpiffePattern, is_wide


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

    @model_validator(mode="after")
    def _wide_patterns_are_meant(self) -> Self:
        wide = [pattern for pattern in self.proxies if is_wide(pattern)]
        if wide and self.acknowledge is None:
            raise ValueError(
                f"`{wide[0]}` lets every workload act as a proxy; write `acknowledge: every-workload` if that is meant"
            )
        return self
