"""Who makes the step: absent, a principal, or invalid.

Three sources, in the order in which they are trusted: the leaf in `source.certificate`, validated here; the name in
`source.principal`, on the word of an admitted Envoy; and, where configured, the x-forwarded-client-cert header, when
the direct peer is a proxy that speaks for others or Envoy names no peer at all. Sources that are present must agree.
What is present and does not hold is invalid and never absent, because absent is what anonymous and legacy rules admit.
"""

from typing import NamedTuple

from authz_server.identity.forwarded import ForwardedAuthenticator, XfccSettings
from authz_server.identity.peer import PeerAuthenticator
from authz_server.identity.svid import SvidVerifier
from authz_server.model import Caller, Identity, Invalid, Request

__all__ = ["Authenticator", "TrustSettings", "XfccSettings"]


class TrustSettings(NamedTuple):
    """What proves who makes a step."""

    verifier: SvidVerifier | None
    """None: no bundle is configured. Then a certificate proves nothing; one that is sent must still be a well-formed
    SVID whose one SPIFFE ID is the principal, but neither its issuer nor its dates are checked."""
    identity_from: tuple[str, ...] = ("certificate", "principal")
    """Which of the two sources may name a caller by itself; the first that is present gives `authenticated_by`."""
    trust_domains: frozenset[str] = frozenset()
    """Admitted beside those of the verifier; none at all admits every trust domain (the one-machine default)."""
    xfcc: XfccSettings | None = None
    """None: the header is never read."""


class Authenticator:
    """Authenticates requests that come from a proxy that `caller` has passed; immutable apart from its memos."""

    __slots__ = ("_forwarded", "_peer")

    def __init__(self, settings: TrustSettings) -> None:
        """Take the settings.

        Raises:
            ValueError: the settings contradict themselves; the message says where.
        """
        self._peer = PeerAuthenticator(settings.verifier, settings.identity_from, settings.trust_domains)
        self._forwarded = None if settings.xfcc is None else ForwardedAuthenticator(settings.xfcc, self._peer)

    def authenticate(self, request: Request, caller: Caller, now: float) -> Identity:
        """Authenticate one request.

        Args:
            request: the decoded check.
            caller: the proxy that asks; its own SPIFFE ID is a name under which it may sign x-forwarded-client-cert.
            now: Unix time in seconds.

        Returns:
            A principal, ABSENT when nobody is named anywhere, or Invalid with a stable reason (the lists stand at
            `PeerAuthenticator.authenticate` and `ForwardedAuthenticator.authenticate`).
        """
        direct = self._peer.authenticate(request, now)
        if self._forwarded is None or isinstance(direct, Invalid):
            return direct
        return self._forwarded.authenticate(request, caller, direct, now)
