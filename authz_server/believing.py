"""From the configuration to whom the server believes, and whom its rules never contain."""

from collections.abc import Callable

from authz_server.config import Config
from authz_server.config.values import LOCAL
from authz_server.engine.ports import Trust
from authz_server.errors import ConfigError, Fault
from authz_server.identity.authenticate import Authenticator, TrustSettings, XfccSettings
from authz_server.identity.caller import build_caller_settings
from authz_server.identity.svid import SvidVerifier
from authz_server.model import Entity
from authz_server.spiffe import compile_spiffe_pattern
from authz_server.state.guard import ContainmentGuard


def build_trust(config: Config, verifier: SvidVerifier | None) -> Trust:
    """Whom the server believes.

    Raises:
        ConfigError: settings contradict each other.
    """
    trust = config.trust
    sources = trust.identity_from or (("certificate", "principal") if verifier is not None else ("principal",))
    xfcc = None
    if trust.xfcc is not None:
        xfcc = XfccSettings(
            trust.xfcc.mode, tuple(map(compile_spiffe_pattern, trust.xfcc.hops)), trust.xfcc.own, trust.xfcc.json_format
        )
    try:
        authenticator = Authenticator(TrustSettings(verifier, sources, frozenset(), xfcc))
        callers = build_caller_settings(trust.proxies, trust.bind, trust.gateways)
    except ValueError as error:
        raise ConfigError([Fault("configuration", 0, "trust", str(error))]) from None
    return Trust(authenticator, callers)


def build_never(config: Config) -> Callable[[Entity], bool]:
    """Whom no rule contains, and no operator without insisting."""
    # A proxy that is named is never contained; a pattern that lets many workloads ask must not exempt them all.
    proxies = [pattern for pattern in map(compile_spiffe_pattern, config.trust.proxies) if pattern.exact]
    named = map(compile_spiffe_pattern, (*config.containment.never, *config.trust.gateways))
    operators = [text for group in config.operators.values() for text in group.members if text != LOCAL]
    patterns = (*named, *proxies, *map(compile_spiffe_pattern, operators))

    def never(entity: Entity) -> bool:
        return any(pattern.matches(entity.parts[0]) for pattern in patterns)

    return never


def build_guard(config: Config) -> ContainmentGuard:
    """The limits of automatic containment."""
    limit, window = config.containment.max_auto
    return ContainmentGuard(build_never(config), limit, window, config.containment.max_share)
