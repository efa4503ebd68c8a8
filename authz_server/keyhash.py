"""Keyed hashes of identities, credentials and other parts of state keys (BLAKE2b, RFC 7693, in keyed mode).

Raw identities and secrets never reach a store, a log or a metric; sizes are fixed; and because the hash is keyed nobody
can choose collisions. Parts are length-prefixed, so that ("a", "bc") and ("ab", "c") never share a key.
"""

from collections.abc import Iterable
from hashlib import blake2b

MIN_SECRET_BYTES = 16
"""128 bits: below that the key could be searched for."""
MAX_SECRET_BYTES = 64
"""The longest key BLAKE2b takes."""
_SIZES = (8, 16)
"""Bytes: members of a list, and everything that must not collide among billions."""


class KeyedHash:
    """The hash function of one deployment; replicas that share a store share its secret."""

    __slots__ = ("_states",)

    def __init__(self, secret: bytes) -> None:
        """Take the secret.

        Raises:
            ValueError: the secret is shorter than 16 or longer than 64 bytes.
        """
        if not MIN_SECRET_BYTES <= len(secret) <= MAX_SECRET_BYTES:
            raise ValueError(
                f"a hash secret has {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} bytes, this one {len(secret)}"
            )
        # Keyed once: a copy of the state costs half of keying anew.
        self._states = {size: blake2b(key=secret, digest_size=size) for size in _SIZES}

    def digest(self, parts: Iterable[str | bytes], size: int = 16) -> bytes:
        """Hash the parts, each prefixed by its length, to 8 or 16 bytes."""
        state = self._states[size].copy()
        for part in parts:
            raw = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
            state.update(len(raw).to_bytes(4, "big") + raw)
        return state.digest()

    def hex(self, parts: Iterable[str | bytes], size: int = 16) -> str:
        """Like `digest`, as `2 * size` hexadecimal digits."""
        return self.digest(parts, size).hex()
