"""The keys that a token service signs with: which one now, which ones still verify, and what it publishes of them.

The order of the keys is the order of their names, so files are named by date: `2026-11-22.pem`. A new one is published at
once and signs after a while, when everybody has seen it. Each verifies for as long as its file is there: replicas that start
at different times see the same files with different ages, and must not refuse what another one signs.
The age of a file is when it was written; where all of them are written anew together, as Kubernetes does with the files
of a Secret, the last but one signs on until the last one is old enough.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from authz_server.errors import ConfigError, Fault
from authz_server.task.keypair import SigningKey, VerifyingKey, build_signing_key

LEAD_S: Final = 600.0
"""How long a new key is only published: verifiers fetch key sets every few minutes."""
MAX_PEM_BYTES: Final = 16 * 1024
"""A key of EC has 250 bytes; more is another file."""
MAX_FILES: Final = 16
"""Keys of one token service: the present one, the next one, and some that somebody forgot to remove."""

_WRITE_ONE: Final = "`openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256` writes one"


class KeyFile(NamedTuple):
    """One file with a private key."""

    name: str
    pem: bytes
    modified: float
    """When it was written; Unix time in seconds."""


class SigningKeys:
    """The keys of a token service, in the order in which they sign. Immutable: other files are new keys."""

    __slots__ = ("_keys", "_lead")

    def __init__(self, keys: Iterable[tuple[SigningKey, float]], lead_s: float = LEAD_S) -> None:
        """Take the keys.

        Args:
            keys: each with the time since which it is published, in the order in which they shall sign.
            lead_s: seconds for which a key is only published before it signs; the only key signs at once.

        Raises:
            ValueError: there is no key, or the duration is negative.
        """
        self._keys = tuple(keys)
        if not self._keys or lead_s < 0:
            raise ValueError("a token service has a key, and its durations are not negative")
        self._lead = lead_s

    def signer(self, now: float) -> SigningKey:
        """The key that signs now (Unix time in seconds)."""
        return self._keys[self._current(now)][0]

    @property
    def verifying(self) -> dict[str, VerifyingKey]:
        """All keys, by `kid`."""
        return {key.public.kid: key.public for key, _ in self._keys}

    def _current(self, now: float) -> int:
        last = len(self._keys) - 1
        for at in range(last, -1, -1):
            if now >= self._keys[at][1] + self._lead:
                return at
        return max(last - 1, 0)


def read_signing_keys(files: Iterable[KeyFile], lead_s: float = LEAD_S) -> SigningKeys:
    """Read the keys of a token service.

    Args:
        files: unencrypted private keys in PEM (RFC 7468), one in each: EC on P-256 or Ed25519.
        lead_s: as in `SigningKeys`.

    Raises:
        ConfigError: every fault of every file; none quotes anything of a key.
    """
    keys: list[tuple[SigningKey, float]] = []
    faults: list[Fault] = []
    owners: dict[str, str] = {}
    found = sorted(files)
    if not 0 < len(found) <= MAX_FILES:
        raise ConfigError([Fault("", 0, "", f"1 to {MAX_FILES} signing keys are expected, found {len(found)}")])
    for file in found:
        try:
            key = _read_key(file.pem)
        except ValueError as error:
            faults.append(Fault(file.name, 0, "", str(error)))
            continue
        owner = owners.setdefault(key.public.kid, file.name)
        if owner != file.name:
            faults.append(Fault(file.name, 0, "", f"the same key as in {owner}"))
        keys.append((key, file.modified))
    if faults:
        raise ConfigError(faults)
    return SigningKeys(keys, lead_s)


def _read_key(pem: bytes) -> SigningKey:
    """Read one key; the messages of the library are not shown, since they may quote the text."""
    if len(pem) > MAX_PEM_BYTES:
        raise ValueError(f"a private key in PEM has at most {MAX_PEM_BYTES} bytes, this file {len(pem)}")
    blocks = pem.count(b"-----BEGIN ")
    if blocks != 1:
        raise ValueError(f"one PEM block is expected, found {blocks}; {_WRITE_ONE}")
    if b"-----BEGIN PUBLIC KEY-----" in pem or b"-----BEGIN CERTIFICATE-----" in pem:
        raise ValueError(f"a private key is expected, found a public one; {_WRITE_ONE}")
    try:
        private = load_pem_private_key(pem, None)
    except TypeError:
        raise ValueError("the private key is encrypted; keep it in a file that only the server reads instead") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError(f"this is no private key in PEM; {_WRITE_ONE}") from None
    if isinstance(private, (ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey)):
        return build_signing_key(private)
    raise ValueError(f"a key of another kind than EC on P-256 and Ed25519; {_WRITE_ONE}")
