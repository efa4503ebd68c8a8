"""The caller behind trusted proxies, from x-forwarded-client-cert.

The header is text that passed through the client's hands, so nothing in it counts by itself. Its last element is about
the direct peer and must say what Envoy says about it. Where Envoy names no peer (Istio's waypoints), each element that
is used must carry the certificate, and the hash that Envoy computed of it: a certificate is public, but neither of the
two can be written twice into one element, so a hostile name cannot replace the true ones.
"""

from typing import Final, NamedTuple

from authz_server.identity.memo import Memo
from authz_server.identity.peer import MISMATCH, PeerAuthenticator
from authz_server.identity.xfcc import XfccElement, XfccError, XfccMode, parse_xfcc, select_caller
from authz_server.model import Absent, Caller, CallerKind, Identity, Invalid, Principal, Request
from authz_server.spiffe import SpiffePattern

XFCC_HEADER: Final = "x-forwarded-client-cert"
MAX_HEADER_KEY_CHARS: Final = 8 * 1024
"""Longer headers are parsed each time; with `HEADER_ENTRIES` this bounds the memo to 8 MiB."""
HEADER_ENTRIES: Final = 1024
"""Headers that are remembered by their whole text."""

_WITH_SVID: Final = frozenset({CallerKind.MTLS, CallerKind.SIDECAR})


class XfccSettings(NamedTuple):
    """How the header is used."""

    mode: XfccMode
    """What the asking Envoy does with it (`forward_client_cert_details`)."""
    hops: tuple[SpiffePattern, ...] = ()
    """Proxies that may speak for their clients. Each must itself set the header or append to it: one that merely forwards
    it (FORWARD_ONLY, ALWAYS_FORWARD_ONLY) passes on whatever its client wrote."""
    own: tuple[str, ...] = ()
    """SPIFFE IDs of asking proxies, for those that report no `destination.principal`."""
    json: bool = False
    """Take the JSON form as well."""


class ForwardedAuthenticator:
    """Authenticates the caller behind the direct peer."""

    __slots__ = ("_headers", "_peer", "_settings")

    def __init__(self, settings: XfccSettings, peer: PeerAuthenticator) -> None:
        """Take the settings.

        Raises:
            ValueError: the mode is unknown.
        """
        if settings.mode not in {"sanitize_set", "append_forward"}:
            raise ValueError(f"the mode of xfcc is `sanitize_set` or `append_forward`: {settings.mode!r}")
        self._settings = settings
        self._peer = peer
        self._headers: Memo[tuple[XfccElement, ...] | Invalid] = Memo(HEADER_ENTRIES)

    def authenticate(self, request: Request, caller: Caller, direct: Principal | Absent, now: float) -> Identity:
        """Authenticate the caller, given the direct peer.

        Returns:
            `direct` when it is no hop and the header agrees or is missing, the principal behind the hops, or a reason:
            a code of `XfccError` or of `select_caller`, `identity_mismatch`, `xfcc_certificate_missing`,
            `xfcc_hash_missing`, `xfcc_hash`, `xfcc_not_spiffe`, `xfcc_untrusted_domain`, `certificate_unverified`, or a
            reason of the certificate.
        """
        header = request.headers.get(XFCC_HEADER)
        if header is None:
            alone = isinstance(direct, Absent) or not self._is_hop(direct.id)
            return direct if alone else Invalid("xfcc_no_caller")
        elements = self._parse(header)
        if isinstance(elements, Invalid):
            return elements
        own = {*self._settings.own, request.destination_principal}
        if caller.kind in _WITH_SVID:
            own.add(caller.id)
        own.discard("")
        sanitize_set = self._settings.mode == "sanitize_set"
        found = select_caller(elements, self._is_hop, own, sanitize_set=sanitize_set)
        if isinstance(found, str):
            return Invalid(found)
        if isinstance(direct, Absent):
            return self._take_certified(elements, found, now)
        return self._take_forwarded(request, direct, elements[-1], found, now)

    def _parse(self, header: str) -> tuple[XfccElement, ...] | Invalid:
        elements = self._headers.get(header)
        if elements is None:
            try:
                elements = parse_xfcc(header, allow_json=self._settings.json)
            except XfccError as error:
                elements = Invalid(error.code)
            if len(header) <= MAX_HEADER_KEY_CHARS:
                self._headers.put(header, elements)
        return elements

    def _is_hop(self, uri: str) -> bool:
        return any(hop.matches(uri) for hop in self._settings.hops)

    def _take_forwarded(
        self, request: Request, direct: Principal, last: XfccElement, found: XfccElement, now: float
    ) -> Identity:
        """The direct peer is known from Envoy; its element must be about it."""
        if last.uri != direct.id:
            return MISMATCH
        if last.hash and request.source_certificate:
            facts = self._peer.read_certificate(request.source_certificate, now)
            if isinstance(facts, Invalid):
                return facts
            if facts.digest != last.hash:
                return Invalid("xfcc_hash")
        fault = self._check(last, now) or self._check(found, now)
        if fault:
            return fault
        return direct if found is last else self._peer.name(found.uri, "xfcc")

    def _take_certified(self, elements: tuple[XfccElement, ...], found: XfccElement, now: float) -> Identity:
        """Envoy names no peer: every element from the caller's to the last must prove itself."""
        if self._peer.verifier is None:
            return Invalid("certificate_unverified")
        for element in reversed(elements):
            if not element.cert:
                return Invalid("xfcc_certificate_missing")
            if not element.hash:
                return Invalid("xfcc_hash_missing")
            fault = self._check(element, now)
            if fault:
                return fault
            if element is found:
                break
        return self._peer.name(found.uri, "xfcc")

    def _check(self, element: XfccElement, now: float) -> Invalid | None:
        """Check the certificate of an element, if it has one, against its URI and hash."""
        if not element.cert:
            return None
        facts = self._peer.read_certificate(element.cert, now)
        if isinstance(facts, Invalid):
            return facts
        if facts.id != element.uri:
            return MISMATCH
        return Invalid("xfcc_hash") if element.hash and facts.digest != element.hash else None
