"""What is published for everybody: the keys of task tokens, and where which endpoint is.

RFC 7517 section 5, RFC 8414, RFC 9728, and the metadata of AuthZEN's Authorization API 1.0.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from authz_server.web.answers import Answer
from authz_server.web.asking import Asked
from authz_server.web.token_request import TOKEN_EXCHANGE

JWKS_TYPE: Final = "application/jwk-set+json"
KEEP: Final = "public, max-age=300"
"""Seconds for which others may keep a document: half of the time for which a new key is published before it signs."""
ACCESS_REQUEST: Final = "urn:openid:authzen:capability:access-request"
_BY_CERTIFICATE: Final = ["tls_client_auth"]
"""RFC 8705 2.1."""


class MetadataPorts(NamedTuple):
    """What the documents say."""

    base: str
    """URL in front of every path here, without a slash at its end."""
    issuer: str
    """`iss` of the tokens, and the name of the authorization server."""
    jwks: Callable[[], Mapping[str, Any]] | None = None
    """The published keys of the moment; None where no tokens are issued."""


class Metadata:
    """The documents. Threads share it."""

    def __init__(self, ports: MetadataPorts, *, requests: bool = False) -> None:
        """Take what they say.

        Args:
            ports: where and who.
            requests: approvals can be asked for.
        """
        self._ports = ports
        self._requests = requests

    def jwks(self, _asked: Asked) -> Answer:
        """GET /jwks."""
        found = self._ports.jwks() if self._ports.jwks is not None else {"keys": []}
        return Answer(200, found, JWKS_TYPE, cache=KEEP)

    def authorization_server(self, _asked: Asked) -> Answer:
        """GET /.well-known/oauth-authorization-server (RFC 8414 section 2)."""
        base = self._ports.base
        body = {
            "issuer": self._ports.issuer,
            "token_endpoint": f"{base}/token",
            "jwks_uri": f"{base}/jwks",
            "response_types_supported": [],
            "grant_types_supported": [TOKEN_EXCHANGE],
            "token_endpoint_auth_methods_supported": _BY_CERTIFICATE,
            "revocation_endpoint": f"{base}/revoke",
            "revocation_endpoint_auth_methods_supported": _BY_CERTIFICATE,
            "introspection_endpoint": f"{base}/introspect",
            "introspection_endpoint_auth_methods_supported": _BY_CERTIFICATE,
        }
        return Answer(200, body, cache=KEEP)

    def protected_resource(self, _asked: Asked) -> Answer:
        """GET /.well-known/oauth-protected-resource (RFC 9728 section 2): bearer tokens are not taken, certificates are."""
        ports = self._ports
        body: dict[str, Any] = {"resource": ports.base, "bearer_methods_supported": []}
        if ports.jwks is not None:
            body |= {"authorization_servers": [ports.issuer], "jwks_uri": f"{ports.base}/jwks"}
        return Answer(200, body, cache=KEEP)

    def authzen(self, _asked: Asked) -> Answer:
        """GET /.well-known/authzen-configuration (Authorization API 1.0, section on metadata)."""
        base = self._ports.base
        body: dict[str, Any] = {
            "policy_decision_point": base,
            "access_evaluation_endpoint": f"{base}/access/v1/evaluation",
            "access_evaluations_endpoint": f"{base}/access/v1/evaluations",
        }
        if self._requests:
            body |= {"access_request_endpoint": f"{base}/access/v1/request", "capabilities": [ACCESS_REQUEST]}
        return Answer(200, body, cache=KEEP)
