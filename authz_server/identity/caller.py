"""Whether the proxy that asks may ask about this request (the caller of `envoy.service.auth.v3.Authorization/Check`).

Whoever may call Check chooses `source.principal`, and so whom a step is counted against. A workload's own proxy is
therefore bound to the workload: it may only report requests that arrived at its own identity. A gateway serves many
destinations and has to be named.
"""

from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

from authz_server.model import Caller, CallerKind, Request
from authz_server.spiffe import SpiffePattern, compile_spiffe_pattern, parse_spiffe_id

Bind = Literal["destination", "any"]

# Admitted by a socket's permissions, a shared secret or the operator's word; there is no identity to bind.
_WITHOUT_SVID: Final = frozenset({CallerKind.SOCKET, CallerKind.TOKEN, CallerKind.INSECURE})


class CallerSettings(NamedTuple):
    """Which proxies may ask; made by `build_caller_settings`."""

    proxies: tuple[SpiffePattern, ...] = ()
    bind: Bind = "destination"
    gateways: frozenset[str] = frozenset()
    """SPIFFE IDs that may ask about any destination when `bind` is `any`; everybody else stays bound."""


def build_caller_settings(
    proxies: Iterable[str], bind: str = "destination", gateways: Iterable[str] = ()
) -> CallerSettings:
    """Build the settings of authenticated listeners.

    Args:
        proxies: SPIFFE patterns.
        bind: `destination`, or `any` for the named gateways.
        gateways: exact SPIFFE IDs.

    Raises:
        ValueError: a pattern does not compile, `bind` is unknown, a gateway is not one exact SPIFFE ID, or gateways and
            `bind: any` do not come together.
    """
    named = frozenset(gateways)
    for gateway in sorted(named):
        spiffe_id = parse_spiffe_id(gateway)
        if spiffe_id is None or not spiffe_id.path:
            raise ValueError(f"a gateway is named by one exact SPIFFE ID: {gateway!r}")
    patterns = tuple(compile_spiffe_pattern(proxy) for proxy in proxies)
    if bind == "destination":
        if named:
            raise ValueError("gateways are bound to no destination: they need `bind: any`")
        return CallerSettings(patterns)
    if bind != "any":
        raise ValueError(f"`bind` is `destination` or `any`: {bind!r}")
    if not named:
        raise ValueError("`bind: any` holds for named gateways only, and none is named")
    return CallerSettings(patterns, "any", named)


def check_proxy(caller: Caller, settings: CallerSettings) -> str:
    """Check that the caller may ask at all, before anything that it says is read.

    Returns:
        `""`, or why not: `caller_invalid` (its identity does not hold) or `caller_unknown` (no configured proxy).
    """
    if not caller.valid:
        return "caller_invalid"
    if caller.kind in _WITHOUT_SVID:
        return ""
    spiffe_id = parse_spiffe_id(caller.id)
    if spiffe_id is None or not spiffe_id.path:
        return "caller_invalid"
    if _is_gateway(caller, settings):
        return ""
    for pattern in settings.proxies:
        if pattern.matches(caller.id):
            return ""
    return "caller_unknown"


def check_destination(caller: Caller, request: Request, settings: CallerSettings) -> str:
    """Check that a caller which `check_proxy` has passed may ask about the request.

    Returns:
        `""`, or `caller_not_destination`: a proxy that reports what did not arrive at its own identity.
    """
    if caller.kind in _WITHOUT_SVID or _is_gateway(caller, settings):
        return ""
    # The caller's ID is canonical, so equal text is the same identity and nothing has to be folded.
    return "" if request.destination_principal == caller.id else "caller_not_destination"


def _is_gateway(caller: Caller, settings: CallerSettings) -> bool:
    return settings.bind == "any" and caller.id in settings.gateways


def reporter_of(caller: Caller, settings: CallerSettings) -> str:
    """The proxy whose word about a caller is one destination's; `""` for a gateway, and where the operator put it."""
    return "" if caller.kind in _WITHOUT_SVID or caller.id in settings.gateways else caller.id
