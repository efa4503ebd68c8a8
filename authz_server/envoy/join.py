"""What the outcome of an allowed step will feed, sealed into the answer and opened from the proxy's access log.

No server remembers the steps it has decided: whichever replica receives the log entry finds in it what to learn. The text
passes through the proxy and whoever reads its access logs, so it is encrypted and authenticated (AES-256-GCM, NIST SP
800-38D), bound to its decision and to the proxy that got it, and ends after an hour. Each hour has a key of its own (HKDF,
RFC 5869), so that random nonces stay far below the number at which they repeat.

Layout: version, 4 bytes of Unix time, nonce, ciphertext and tag, all in base64. Inside: 8 bytes that name the reporter, and
the hits.
"""

from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from struct import Struct
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from authz_server.envoy.join_hits import MAX_COUNTED, fitting_hits, pack_hits, unpack_hits
from authz_server.keyhash import KeyedHash
from authz_server.model import Caller, CallerKind
from authz_server.signals import Hit, Signal

LIFE_S: Final = 3600
"""Seconds: longer than most requests take, and short enough to remember which joins were used."""
MAX_SKEW_S: Final = 60
"""How far ahead the clock of the replica that decided may be."""
MAX_JOIN: Final = 16_384
"""Characters. The longest path that is decided at all, and a principal's ID beside it, take 13 653. A hit for which there is no
room is left out and counted."""
NONCE_BYTES: Final = 12

_VERSION: Final = 1
_HEAD: Final = Struct(">BI")
_TAG_BYTES: Final = 16
_LEAST: Final = _HEAD.size + NONCE_BYTES + _TAG_BYTES
_REPORTER_BYTES: Final = 8
_REPORTERS: Final = 1024
"""Proxies that are remembered; one that asks has an identity that holds."""
_ROOM: Final = MAX_JOIN // 4 * 3 - _LEAST - _REPORTER_BYTES
"""Bytes of the hits."""
_MAX_DECISION_ID: Final = 64
_HOUR_S: Final = 3600
_KEYS: Final = 4
"""Hours whose keys are kept: the one before, this one and the next, and one that is about to leave."""
_LABEL: Final = "authz-server/join"
"""First of two parts under the keyed hash. Nothing else that is hashed begins so: not a header's name, a scheme, an entity's
type or a caller's id."""
_PROVED: Final = frozenset({CallerKind.MTLS, CallerKind.SIDECAR})


class JoinError(Exception):
    """A join that teaches nothing.

    Attributes:
        code: `join_missing`, `join_forged`, `join_expired` or `join_other_reporter`; `join_repeated` is for whoever
            remembers.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def join_reporter(caller: Caller) -> str:
    """Who may report the outcome of a decision: the proxy that asked for it.

    A proxy with an SVID is its SPIFFE ID, whichever door it comes through. One without is the kind of door: whoever may
    write to the socket that is asked may write to the one that takes logs.
    """
    return caller.id if caller.kind in _PROVED else caller.kind.value


class JoinCodec:
    """Seals and opens joins; threads may share it.

    Attributes:
        dropped: hits that were left out because there was no room for them.
        faults: joins that could not be made at all.
    """

    __slots__ = ("_keys", "_root", "dropped", "faults")

    def __init__(self, keyed: KeyedHash) -> None:
        """Derive the key from the deployment's hash secret: replicas that share that open each other's joins."""
        self._root = keyed.digest((_LABEL, "root 1")) + keyed.digest((_LABEL, "root 2"))
        self._keys: dict[int, AESGCM] = {}
        self.dropped = 0
        self.faults = 0

    def seal(self, decision_id: str, reporter: str, now: float, hits: Sequence[Hit], nonce: bytes) -> bytes:
        """Seal what an outcome will feed; never raises.

        Args:
            decision_id: of the answer that the join goes along with.
            reporter: `join_reporter` of who asks.
            now: Unix time in seconds.
            hits: of the decision's event. Their amounts are for the outcome to say, and not kept.
            nonce: `NONCE_BYTES` random bytes.

        Returns:
            ASCII text, or `b""` when there is nothing that could be sealed.
        """
        try:
            packed = self._packed(hits) if hits else b""
            if not packed:
                return b""
            head = _HEAD.pack(_VERSION, int(now))
            inside = _digest(reporter) + packed
            sealed = self._key(int(now)).encrypt(nonce, inside, head + decision_id.encode("ascii"))
            return b2a_base64(head + nonce + sealed, newline=False)
        except Exception:  # noqa: BLE001 - a step is answered whether or not its outcome will be learned
            self.faults += 1
            return b""

    def open(
        self, text: str, decision_id: str, reporter: str, now: float, signals: Mapping[str, Signal]
    ) -> tuple[Hit, ...]:
        """Open a join.

        Args:
            text: as it came back.
            decision_id: that came beside it.
            reporter: `join_reporter` of who sent it.
            now: Unix time in seconds.
            signals: those of the policy in force by id; hits of others are left out.

        Raises:
            JoinError: and nothing else; with the code that says why.
        """
        if not text:
            raise JoinError("join_missing")
        raw = _decoded(text)
        version, made = _HEAD.unpack_from(raw)
        if version != _VERSION or not decision_id.isascii() or not 0 < len(decision_id) <= _MAX_DECISION_ID:
            raise JoinError("join_forged")
        # Before anything is derived: whoever sends a log must not make us derive keys.
        if not made - MAX_SKEW_S <= now <= made + LIFE_S:
            raise JoinError("join_expired")
        head, nonce, sealed = raw[: _HEAD.size], raw[_HEAD.size :][:NONCE_BYTES], raw[_HEAD.size + NONCE_BYTES :]
        try:
            inside = self._key(made).decrypt(nonce, sealed, head + decision_id.encode("ascii"))
        except InvalidTag:
            raise JoinError("join_forged") from None
        if inside[:_REPORTER_BYTES] != _digest(reporter):
            raise JoinError("join_other_reporter")
        try:
            return unpack_hits(inside[_REPORTER_BYTES:], signals)
        except (ValueError, IndexError):  # sealed by another version of this code under this version
            raise JoinError("join_forged") from None

    def _key(self, time: int) -> AESGCM:
        hour = time // _HOUR_S
        key = self._keys.get(hour)
        if key is None:
            info = f"{_LABEL} {_VERSION} hour {hour}".encode("ascii")
            key = AESGCM(HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(self._root))
            # Replaced as a whole: other threads read it.
            self._keys = dict(sorted({**self._keys, hour: key}.items())[-_KEYS:])
        return key

    def _packed(self, hits: Sequence[Hit]) -> bytes:
        packed = pack_hits(hits) if len(hits) <= MAX_COUNTED else b""
        if not packed or len(packed) > _ROOM:
            fitting = fitting_hits(hits, _ROOM)
            self.dropped += len(hits) - len(fitting)
            packed = pack_hits(fitting) if fitting else b""
        return packed


def _decoded(text: str) -> bytes:
    """Read base64 in its one canonical form: what is not authenticated must not have a second spelling either."""
    if len(text) > MAX_JOIN:
        raise JoinError("join_forged")
    try:
        raw = a2b_base64(text, strict_mode=True)
    except ValueError:
        raise JoinError("join_forged") from None
    if len(raw) < _LEAST or b2a_base64(raw, newline=False).decode("ascii") != text:
        raise JoinError("join_forged")
    return raw


@lru_cache(maxsize=_REPORTERS)
def _digest(reporter: str) -> bytes:
    return blake2b(reporter.encode("utf-8", "surrogatepass"), digest_size=_REPORTER_BYTES).digest()
