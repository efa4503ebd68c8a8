"""Who may show a task token: the agent that it was made for, proved beside it and never by it.

A token is no authentication (draft-ietf-oauth-transaction-tokens, "not authentication credentials"): whoever stole one
has nothing without the agent's certificate or key. Each carrier of a task has a token of its own; the token of a
delegate is of no use to the agent that handed the work on, nor the other way round.
"""

from typing import Final

from authz_server.model import Principal
from authz_server.task.claims import BY_CERTIFICATE, BY_KEY, TaskClaims
from authz_server.task.jws import encode_part

ANOTHER: Final = "task_bound_to_another"
_HEX_SHA256: Final = 64
"""Characters of `Proof.digest`."""


def bound(claims: TaskClaims, principal: Principal | None, thumbprint: str | None, jkt: str = "") -> str:
    """Why the presenter may not show the token: a stable code, or `""`.

    The principal must be the token's agent in any case, also where `cnf` asks for more: the policy knows callers by their
    SPIFFE IDs.

    Args:
        claims: verified.
        principal: who makes the step; None for anonymous. A legacy caller's name is no SPIFFE ID, so it never fits.
        thumbprint: SHA-256 of the DER of the certificate that the presenter holds the key of, 64 hexadecimal digits
            (`Proof.digest`); None when none was validated.
        jkt: thumbprint of the key of a verified DPoP proof or WIMSE proof in this request; `""` without one.

    Returns:
        `task_bound_to_another`, `task_certificate_missing` where the token is bound to a certificate and none was
        validated, `task_proof_missing` where it is bound to a key and no proof came with it, or `""`.
    """
    if principal is None or principal.id != claims.agent:
        return ANOTHER
    confirmation = claims.confirmation
    if confirmation.method == BY_CERTIFICATE:
        if not thumbprint:
            return "task_certificate_missing"
        return "" if _encode(thumbprint) == confirmation.value else ANOTHER
    if confirmation.method == BY_KEY:
        if not jkt:
            return "task_proof_missing"
        return "" if jkt == confirmation.value else ANOTHER
    return ""  # by SPIFFE ID, which the reader found to be the agent's


def confirm_certificate(digest: str) -> str:
    """The value of `x5t#S256` for a certificate (RFC 8705 3.1).

    Args:
        digest: SHA-256 of its DER as 64 hexadecimal digits, as Envoy writes it.

    Raises:
        ValueError: it is no such digest.
    """
    if len(digest) != _HEX_SHA256:
        raise ValueError("a digest has 64 hexadecimal digits")
    return encode_part(bytes.fromhex(digest))


def _encode(digest: str) -> str:
    try:
        return confirm_certificate(digest)
    except ValueError:
        return ""
