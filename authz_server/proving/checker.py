"""The proofs of possession in a request: DPoP (RFC 9449) and WIMSE workload proofs, verified for this very request.

Whoever presents a proof is held to it: one that does not hold denies, whatever the policy says, since a careless reader
behind us could take it for one that does. The authority of the proof's target is never taken from the Host header alone:
it is the configured one of that host, or `https` on the default port.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from authz_server.errors import DecodeError
from authz_server.keyhash import KeyedHash
from authz_server.model import Invalid, Principal, Request
from authz_server.proving.memory import ProofMemory
from authz_server.proving.proved import DPOP, LIVES_S, WPT, Proved
from authz_server.task.jws import read_object, split_jws
from authz_server.task.proof import Proof, ProofRequest, verify_dpop
from authz_server.task.workload_proof import ProvenRequest, WitVerifier, verify_wpt

DPOP_HEADER: Final = "dpop"
WIT_HEADER: Final = "workload-identity-token"
WPT_HEADER: Final = "workload-proof-token"

_ACCESS_TOKEN: Final = re.compile(r"(dpop|bearer) ([A-Za-z0-9._~+/-]+=*)", re.IGNORECASE)
"""RFC 9449 7.1 and RFC 6750 2.1; everything beside it is another kind of credential."""


class ProofSettings(NamedTuple):
    """What is verified, and against what."""

    keyed: KeyedHash
    dpop: bool = True
    workloads: Callable[[], WitVerifier] | None = None
    """Verifies workload identity tokens by the keys of the moment; None where none are believed."""
    origins: Mapping[str, str] = {}
    """By host, scheme and authority under which clients know it; where there are any, no other host takes proofs."""
    txn_header: str = "txn-token"
    """Carries task tokens, lower-case."""
    token_headers: tuple[str, ...] = ()
    """Further headers that carry credentials, lower-case, besides `authorization`."""


class ProofChecker:
    """Verifies the proofs of requests. Threads share it."""

    __slots__ = ("_memories", "_settings")

    def __init__(self, settings: ProofSettings) -> None:
        self._settings = settings
        self._memories = {kind: ProofMemory(settings.keyed, life_s) for kind, life_s in LIVES_S.items()}

    def presents(self, headers: Mapping[str, str]) -> bool:
        """Whether headers, by lower-case name, hold anything that `proof_of` has to verify."""
        return (DPOP_HEADER in headers and self._settings.dpop) or (
            (WIT_HEADER in headers or WPT_HEADER in headers) and self._settings.workloads is not None
        )

    def proof_of(self, request: Request, principal: Principal | None, now: float, mark: bytes) -> Proved | Invalid:
        """Verify what a request presents.

        Args:
            request: one that `presents` something.
            principal: who makes the step; None for anonymous.
            now: Unix time in seconds.
            mark: what only a byte-identical repeat of the same check shares.

        Returns:
            The proof, to be asked for in the store with `Proved.use`; else why it does not hold: a `proof_`, `wit_` or
            `wpt_` code, listed in docs/tasks.md.
        """
        found = self.verified(request, principal, now)
        if isinstance(found, Invalid):
            return found
        owner = principal.id if principal is not None else f"source:{request.source_address}"
        fault = self._memories[found.kind].take(owner, found.proof, mark, now)
        return Invalid(fault) if fault else found

    def verified(self, request: Request, principal: Principal | None, now: float) -> Proved | Invalid:
        """The same, of a step that is only asked about: it uses no proof up."""
        settings, headers = self._settings, request.headers
        if settings.origins:
            origin = settings.origins.get(request.host)
            if origin is None:
                return Invalid("proof_host")
        else:
            origin = f"https://{request.host}"
        url = origin + request.raw_path
        workloads = settings.workloads if WIT_HEADER in headers or WPT_HEADER in headers else None
        if workloads is None:
            return _dpop(request, url, now)
        if settings.dpop and DPOP_HEADER in headers:
            return Invalid("proof_ambiguous")
        return self._workload(request, principal, url, workloads(), now)

    def _workload(
        self, request: Request, principal: Principal | None, url: str, verifier: WitVerifier, now: float
    ) -> Proved | Invalid:
        """The token says who proves, and the connection who calls: they are one, or nobody can tell whose step it is."""
        workload = verifier.verify(_values(request, WIT_HEADER), now)
        if isinstance(workload, Invalid):
            return workload
        if principal is None or str(workload.spiffe_id) != principal.id:
            return Invalid("wit_of_another")
        headers = request.headers
        token, others = "", {name: headers[name] for name in self._settings.token_headers if name in headers}
        authorization = headers.get("authorization")
        if authorization is not None:
            found = _ACCESS_TOKEN.fullmatch(authorization)
            if found is not None:
                token = found[2]
            else:
                others["authorization"] = authorization
        proven = ProvenRequest(url, token, headers.get(self._settings.txn_header, ""), others)
        proof = verify_wpt(_values(request, WPT_HEADER), workload, proven, now)
        return Proved(WPT, proof, covers=True) if isinstance(proof, Proof) else proof


def _dpop(request: Request, url: str, now: float) -> Proved | Invalid:
    authorization = request.headers.get("authorization")
    found = _ACCESS_TOKEN.fullmatch(authorization) if authorization is not None else None
    token = found[2] if found is not None and found[1].lower() == DPOP_HEADER else ""
    proof = verify_dpop(_values(request, DPOP_HEADER), ProofRequest(request.method, url, token), now)
    if isinstance(proof, Invalid):
        return proof
    named = _named_key(token) if token else ""
    if named and named != proof.jkt:
        return Invalid("proof_bound_to_another")
    covers = named != "" and all(each.kind == DPOP_HEADER for each in request.credentials)
    return Proved(DPOP, proof, covers, alone=authorization is None and not request.credentials)


def _named_key(token: str) -> str:
    """The thumbprint that an access token is bound to (`cnf.jkt`); `""` where it says none, or cannot be read here.

    Its signature is for those who know its issuer. Whoever changes what it says has another token, which they refuse.
    """
    try:
        confirmation = read_object(split_jws(token).payload).get("cnf")
    except DecodeError:
        return ""
    named = confirmation.get("jkt") if isinstance(confirmation, dict) else None
    return named if isinstance(named, str) else ""


def _values(request: Request, name: str) -> tuple[str, ...]:
    """Every value of a header that came with a request."""
    value = request.headers.get(name)
    return request.repeated.get(name, () if value is None else (value,))
