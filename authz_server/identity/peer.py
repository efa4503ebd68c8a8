"""The direct peer of the asking Envoy: `source.certificate` and `source.principal` (envoy.service.auth.v3).

Envoy fills both from the certificate that its client presented in the TLS handshake. It sends the principal whether or
not it validated the certificate, and takes the first URI name, else a DNS name, else the subject: so the principal
counts only as a whole SPIFFE ID of a configured trust domain, and a certificate that is there must say the same.
"""

from typing import Final, NamedTuple

from authz_server.identity.leaf import decode_escaped, read_leaf
from authz_server.identity.memo import Memo
from authz_server.identity.svid import SvidVerifier, build_principal
from authz_server.model import ABSENT, Identity, Invalid, Principal, Request
from authz_server.spiffe import MAX_ID_BYTES, is_trust_domain, parse_spiffe_id

MAX_LEAF_KEY_CHARS: Final = 4096
"""Longer certificates are read each time; with `LEAF_ENTRIES` this bounds the memo to 4 MiB."""
LEAF_ENTRIES: Final = 1024
"""Unverified leaves that are remembered by their whole text."""

MISMATCH: Final = Invalid("identity_mismatch")
_SOURCES: Final = frozenset({"certificate", "principal"})


class LeafFacts(NamedTuple):
    """What a certificate says, proven or not."""

    id: str
    digest: str
    """SHA-256 of the DER, 64 lower-case hexadecimal digits."""


class PeerAuthenticator:
    """Authenticates direct peers; immutable apart from its memos."""

    __slots__ = ("_any_domain", "_by_principal", "_domains", "_leaves", "_names", "_sources", "verifier")

    verifier: SvidVerifier | None

    def __init__(
        self, verifier: SvidVerifier | None, identity_from: tuple[str, ...], trust_domains: frozenset[str]
    ) -> None:
        """Take the trust; the parts are described at `TrustSettings`.

        Raises:
            ValueError: no source or an unknown one, `certificate` without a bundle, or a name that is no trust domain.
        """
        if not identity_from or not _SOURCES.issuperset(identity_from) or len(set(identity_from)) != len(identity_from):
            raise ValueError("identity_from lists `certificate` and `principal`, at least one of them, each once")
        if "certificate" in identity_from and verifier is None:
            raise ValueError("identity_from names `certificate`, which needs the bundle of a trust domain")
        for name in sorted(trust_domains):
            if not is_trust_domain(name):
                raise ValueError(f"not the name of a trust domain: {name!r}")
        self.verifier = verifier
        self._sources = identity_from
        self._by_principal = "principal" in identity_from
        self._domains = trust_domains | (verifier.trust_domains if verifier else frozenset())
        self._any_domain = verifier is None and not trust_domains
        self._names: dict[str, Memo[Principal | Invalid]] = {"principal": Memo(), "xfcc": Memo()}
        self._leaves: Memo[LeafFacts | Invalid] = Memo(LEAF_ENTRIES)

    def authenticate(self, request: Request, now: float) -> Identity:
        """Authenticate the direct peer.

        Returns:
            A principal, ABSENT when Envoy names no peer, or a reason: those of `SvidVerifier.verify_escaped`, or
            `identity_mismatch`, `principal_not_spiffe`, `principal_untrusted_domain`, `principal_missing` and
            `certificate_missing` (the only accepted source is not there), `certificate_unverified` (no bundle).
        """
        principal = request.source_principal
        if not request.source_certificate:
            if not principal:
                return ABSENT
            return self.name(principal, "principal") if self._by_principal else Invalid("certificate_missing")
        if self.verifier is None:
            return self._compare(request.source_certificate, principal)
        proven = self.verifier.verify_escaped(request.source_certificate, now)
        if isinstance(proven, Invalid):
            return proven
        if not principal:
            return proven if "certificate" in self._sources else Invalid("principal_missing")
        if principal != proven.id:
            return MISMATCH
        return proven if self._sources[0] == "certificate" else self.name(principal, "principal")

    def name(self, text: str, authenticated_by: str) -> Principal | Invalid:
        """Take an identity on the word of a proxy: `authenticated_by` is `principal` or `xfcc`; memoised.

        Returns:
            The principal, or `<authenticated_by>_not_spiffe` or `<authenticated_by>_untrusted_domain`.
        """
        names = self._names[authenticated_by]
        found = names.get(text)
        if found is None:
            found = self._name(text, authenticated_by)
            if len(text) <= MAX_ID_BYTES:
                names.put(text, found)
        return found

    def _name(self, text: str, authenticated_by: str) -> Principal | Invalid:
        spiffe_id = parse_spiffe_id(text)
        if spiffe_id is None or not spiffe_id.path:
            return Invalid(f"{authenticated_by}_not_spiffe")
        if not self._any_domain and spiffe_id.trust_domain not in self._domains:
            return Invalid(f"{authenticated_by}_untrusted_domain")
        return build_principal(spiffe_id, authenticated_by)

    def _compare(self, certificate: str, principal: str) -> Identity:
        """Hold a certificate that nobody here can verify against the principal."""
        if not principal:
            return Invalid("certificate_unverified")
        facts = self._read_unverified(certificate)
        if isinstance(facts, Invalid):
            return facts
        return self.name(principal, "principal") if facts.id == principal else MISMATCH

    def read_certificate(self, escaped: str, now: float) -> LeafFacts | Invalid:
        """Read a certificate: verified when there is a bundle, else only well-formed."""
        if self.verifier is None:
            return self._read_unverified(escaped)
        proof = self.verifier.prove_escaped(escaped, now)
        return proof.result if isinstance(proof.result, Invalid) else LeafFacts(proof.result.id, proof.digest)

    def _read_unverified(self, escaped: str) -> LeafFacts | Invalid:
        facts = self._leaves.get(escaped)
        if facts is None:
            der = decode_escaped(escaped)
            leaf = der if isinstance(der, Invalid) else read_leaf(der)
            facts = leaf if isinstance(leaf, Invalid) else LeafFacts(str(leaf.spiffe_id), leaf.digest)
            if len(escaped) <= MAX_LEAF_KEY_CHARS:
                self._leaves.put(escaped, facts)
        return facts
