"""Verifying X.509-SVIDs (SPIFFE X509-SVID, sections 2 to 5), memoised by the text that Envoy repeats on every check.

A certificate is validated against the bundle of its own trust domain and no other, so that an authority of one domain
can never vouch for a workload of another. Results, good and bad, are remembered together with the span of time in
which they hold; outside of it the certificate is judged anew.
"""

from collections.abc import Iterable
from hashlib import sha256
from math import inf, nextafter
from typing import Final, NamedTuple

from authz_server.identity.chain import PathVerifier, TrustBundle, parse_bundle
from authz_server.identity.leaf import Leaf, decode_escaped, read_leaf
from authz_server.identity.memo import DEFAULT_ENTRIES, Memo
from authz_server.model import Invalid, Principal
from authz_server.spiffe import SpiffeId

__all__ = ["Proof", "SvidVerifier", "TrustBundle", "build_principal", "parse_bundle"]

MAX_CONNECTION_AGE_S: Final = 3600.0
"""How long Envoy may serve a connection whose client certificate has expired meanwhile."""
SKEW_S: Final = 60.0
"""How far the issuer's clock may be ahead of ours."""
REFUSAL_S: Final = 60.0
"""How long an untrusted path is remembered: a certificate of an authority may become valid later."""
MAX_KEY_CHARS: Final = 4096
"""Longer texts are remembered by their digest, which bounds the memo to 16 MiB."""


class Proof(NamedTuple):
    """What a certificate proves, and when."""

    result: Principal | Invalid
    digest: str
    """SHA-256 of the DER, 64 lower-case hexadecimal digits; `""` when it was not read."""
    valid_from: float = -inf
    """Unix seconds between which the result holds, both included."""
    valid_until: float = inf


def build_principal(spiffe_id: SpiffeId, authenticated_by: str) -> Principal:
    """Build the principal of a SPIFFE ID; `authenticated_by` is `certificate`, `principal` or `xfcc`."""
    return Principal(
        str(spiffe_id), spiffe_id.trust_domain, spiffe_id.namespace, spiffe_id.service_account, authenticated_by
    )


class SvidVerifier:
    """Turns certificates into principals. Immutable apart from its memo: new bundles are a new verifier."""

    __slots__ = ("_max_age", "_memo", "_paths", "_skew", "trust_domains")

    trust_domains: frozenset[str]

    def __init__(
        self,
        bundles: Iterable[TrustBundle],
        max_connection_age_s: float = MAX_CONNECTION_AGE_S,
        skew_s: float = SKEW_S,
        entries: int = DEFAULT_ENTRIES,
    ) -> None:
        """Take the trust.

        Args:
            bundles: several of one trust domain add up.
            max_connection_age_s: seconds for which an expired leaf still counts. Envoy checks a certificate when the
                connection is made and serves it on; a strict check would lock out a client that cannot know. The age
                must not be below Envoy's `max_connection_duration`.
            skew_s: seconds by which a certificate may lie in the future.
            entries: certificates that are remembered.

        Raises:
            ValueError: a bundle without a root, or a negative duration.
        """
        if max_connection_age_s < 0 or skew_s < 0:
            raise ValueError("the age of a connection and the clock skew are not negative")
        by_domain: dict[str, list[TrustBundle]] = {}
        for bundle in bundles:
            by_domain.setdefault(bundle.trust_domain, []).append(bundle)
        self._paths = {trust_domain: PathVerifier(parts) for trust_domain, parts in by_domain.items()}
        self.trust_domains = frozenset(by_domain)
        self._max_age = max_connection_age_s
        self._skew = skew_s
        self._memo: Memo[Proof] = Memo(entries)

    def verify_escaped(self, escaped: str, now: float) -> Principal | Invalid:
        """Verify a leaf in Envoy's URL-escaped PEM.

        Args:
            escaped: `AttributeContext.Peer.certificate`, or `Cert` of x-forwarded-client-cert.
            now: Unix time in seconds.

        Returns:
            The principal, authenticated by `certificate`, or a reason: those of `read_leaf`, `svid_too_large`,
            `svid_untrusted_domain`, `svid_not_yet_valid`, `svid_expired` or `svid_untrusted_chain`.
        """
        return self.prove_escaped(escaped, now).result

    def prove_escaped(self, escaped: str, now: float) -> Proof:
        """Like `verify_escaped`, with the certificate's digest."""
        key = escaped if len(escaped) <= MAX_KEY_CHARS else _shorten(escaped)
        proof = self._memo.get(key)
        if proof is None or not proof.valid_from <= now <= proof.valid_until:
            proof = self._prove(decode_escaped(escaped), now)
            self._memo.put(key, proof)
        return proof

    def verify_pem(self, pem: bytes, now: float) -> Principal | Invalid:
        """Verify the leaf of a listener's peer, exactly one PEM block; as `verify_escaped`, whose memo it shares."""
        # Plain PEM holds nothing that URL escaping would change.
        return self.verify_escaped(pem.decode("ascii", "replace"), now)

    def verify_der(self, der: bytes, now: float) -> Principal | Invalid:
        """Verify the leaf of a listener's peer in DER; as `verify_escaped`, not memoised."""
        return self._prove(der, now).result

    def _prove(self, der: bytes | Invalid, now: float) -> Proof:
        leaf = der if isinstance(der, Invalid) else read_leaf(der)
        if isinstance(leaf, Invalid):
            return Proof(leaf, "")
        path = self._paths.get(leaf.spiffe_id.trust_domain)
        if path is None:
            return Proof(Invalid("svid_untrusted_domain"), leaf.digest)
        valid_from = leaf.not_before - self._skew
        if now < valid_from:
            return Proof(Invalid("svid_not_yet_valid"), leaf.digest, now, nextafter(valid_from, -inf))
        if now > leaf.not_after + self._max_age:
            return Proof(Invalid("svid_expired"), leaf.digest, nextafter(leaf.not_after + self._max_age, inf))
        return self._prove_path(leaf, path, now)

    def _prove_path(self, leaf: Leaf, path: PathVerifier, now: float) -> Proof:
        """Verify the path as it was when the connection can last have been made.

        With an expired leaf that is the leaf's last second: authorities that expired together with it are still good. A
        leaf that outlives its authority dies with it.
        """
        found = path.verify(leaf.certificate, min(now + self._skew, leaf.not_after))
        if found is None:
            return Proof(Invalid("svid_untrusted_chain"), leaf.digest, now, now + REFUSAL_S)
        nested = leaf.not_after <= found.not_after
        return Proof(
            build_principal(leaf.spiffe_id, "certificate"),
            leaf.digest,
            max(leaf.not_before, found.not_before) - self._skew,
            leaf.not_after + self._max_age if nested else found.not_after - self._skew,
        )


def _shorten(text: str) -> str:
    # A hexadecimal digest is no PEM, so it never meets the key of another certificate's own text.
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
