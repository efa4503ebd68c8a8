"""The keys of tokens as each role has them: the control role signs and publishes, the data role reads what was published.

The public keys go to the other replicas through the store, sealed like everything of the control role, so that a rotation
needs no file anywhere else. A data role that can not read them goes on with those that it knows.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from authz_server.containment.seal import Opener, SealError, Signer
from authz_server.errors import DecodeError
from authz_server.keyhash import KeyedHash
from authz_server.task.jwk import read_jwks
from authz_server.task.jws import encode_part
from authz_server.task.keypair import SigningKey, VerifyingKey, build_signing_key
from authz_server.task.keys import SigningKeys
from authz_server.task.token import TokenVerifier
from authz_server.taskbook.shared import Commands
from authz_server.taskbook.tokens import TokenSettings

KEYS: Final = b"az:{c}:keys"
"""The sealed JWK Set."""
PURPOSE: Final = b"jwks"
REFRESH_S: Final = 5.0
"""How often it is written or read: a key is published for ten minutes before it signs."""
_P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class TokenKeys:
    """Signs with the present key, verifies with all that hold. Threads share it.

    Args:
        settings: whose tokens they are.
        keyed: of the deployment.
        signing: the private keys at the moment; None in the data role.
        clock: Unix seconds.
    """

    def __init__(
        self,
        settings: TokenSettings,
        keyed: KeyedHash,
        signing: Callable[[], SigningKeys] | None,
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._keyed = keyed
        self._signing = signing
        self._clock = clock
        self._known: dict[str, VerifyingKey] = {}
        self._verifier = self._build({})
        if signing is not None:
            self.refresh()

    def signer(self, now: float) -> SigningKey:
        """The key that signs at a time.

        Raises:
            RuntimeError: in the data role, which signs nothing.
        """
        if self._signing is None:
            raise RuntimeError("this role signs nothing")
        return self._signing().signer(now)

    def sign(self, claims: Mapping[str, Any], typ: str) -> str:
        """Sign other claims than a task's: a JWT of this type (RFC 7519)."""
        key = self.signer(self._clock())
        header = f'{{"alg":"{key.public.alg}","kid":"{key.public.kid}","typ":"{typ}"}}'
        payload = json.dumps(claims, separators=(",", ":")).encode()
        signed = f"{encode_part(header.encode('ascii'))}.{encode_part(payload)}"
        return f"{signed}.{encode_part(key.sign(signed.encode('ascii')))}"

    def verifier(self) -> TokenVerifier:
        """What verifies tokens at the moment."""
        return self._verifier

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """What is published of the keys (RFC 7517)."""
        return {"keys": [key.jwk() for key in self._known.values()]}

    def refresh(self) -> None:
        """Look which keys hold now; in the control role."""
        if self._signing is not None:
            self._take(self._signing().verifying)

    def publish(self, store: Commands, signer: Signer) -> None:
        """Tell the other replicas; raises StateUnavailableError."""
        self.refresh()
        sealed = signer.seal(PURPOSE, json.dumps(self.jwks(), sort_keys=True).encode())
        store.command(KEYS, b"SET", KEYS, sealed)

    def read(self, store: Commands, opener: Opener) -> None:
        """Take what the control role published; what cannot be opened changes nothing. Raises StateUnavailableError."""
        value = store.command(KEYS, b"GET", KEYS)
        if not isinstance(value, bytes):
            return
        try:
            self._take(read_jwks(opener.open(PURPOSE, value)))
        except (SealError, DecodeError, ValueError):
            return

    def _take(self, keys: dict[str, VerifyingKey]) -> None:
        if keys.keys() != self._known.keys():
            self._known, self._verifier = keys, self._build(keys)

    def _build(self, keys: Mapping[str, VerifyingKey]) -> TokenVerifier:
        return TokenVerifier(keys, self._settings.issuer, self._settings.audience, self._keyed)


def derived_signing_keys(keyed: KeyedHash) -> SigningKeys:
    """The key of a deployment that configures none: every replica that has the hash secret signs with the same one."""
    root = keyed.digest(("authz-server/token key", "root 1")) + keyed.digest(("authz-server/token key", "root 2"))
    seed = HKDF(algorithm=SHA256(), length=48, salt=None, info=b"authz-server/token key ES256").derive(root)
    # 384 bits make the bias of the remainder negligible (FIPS 186-5, appendix A.2.1).
    number = int.from_bytes(seed, "big") % (_P256_ORDER - 1) + 1
    return SigningKeys([(build_signing_key(ec.derive_private_key(number, ec.SECP256R1())), 0.0)])
