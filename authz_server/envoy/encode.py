"""A `Verdict` to the bytes of a `CheckResponse`.

Steps that are answered alike differ in their decision id and risk only. The rest of a message is built once, with a
placeholder of the id's length, serialised, and cut at the placeholders; an answer is then the id joined into the pieces,
so all lengths inside stay right. The risk follows as a second `dynamic_metadata`, and what the outcome will feed as a third:
parsers merge an embedded message that occurs again, and entries of its map add up (Protocol Buffers encoding, "Last One
Wins" and "Maps").
"""

import re
from collections.abc import Mapping
from struct import pack
from types import MappingProxyType
from typing import Final

from authz_server.envoy.answers import (
    IMITATIONS,
    OUR_HEADERS,
    AnswerError,
    EncodeSettings,
    Version,
    allow_message,
    deny_message,
    header_option,
    unavailable_message,
)
from authz_server.envoy.rpc_answers import Asked, asked_call
from authz_server.envoy.wire import CheckResponse, StatusCode
from authz_server.model import Request
from authz_server.verdict import REASONS, Decision, Reason, Verdict

DENIED_503: Final[bytes] = unavailable_message().SerializeToString()
"""Denied, 503: for when everything else fails. A gRPC error or an empty message would open fail-open proxies."""

__all__ = ["DENIED_503", "EncodeSettings", "Encoder", "allows"]

_MEMO_SIZE = 2048
"""Answers remembered, about 1 KiB each: principals times actions of a busy proxy."""
_DECISION_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
"""Needs no escaping in a header, in JSON or in a log; shorter ones would repeat, and see `_PLACEHOLDER`."""
_PLACEHOLDER = "\x7f"
"""Repeated to the id's length. No value of a message may contain it, and eight such bytes in a row are never lengths or
tags of the encoding, as one or two may be; nor is the byte before an id ever another one (it is the id's length, a quote
or a bracket)."""
_IDS_ALLOWED = 2
_IDS_DENIED = 3
"""How often a message contains the id: header, metadata, and the body of a refusal, for each call of a batch."""
_MAX_RISK = 2**53
"""Doubles are exact whole numbers up to here."""
_DEFAULTS: Final = EncodeSettings()
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class Encoder:
    """Encodes verdicts; keeps bounded memory of answers, and may be shared between threads.

    Attributes:
        faults: how many verdicts could not be encoded and were answered `DENIED_503`.
    """

    __slots__ = ("_memo", "_settings", "faults")

    def __init__(self, settings: EncodeSettings = _DEFAULTS) -> None:
        """Take the settings.

        Raises:
            ValueError: the challenge is no header value, or a reason's status is none that Envoy knows.
        """
        header_option("www-authenticate", settings.www_authenticate)
        for reason, spec in REASONS.items():
            if spec.http not in StatusCode.values():
                raise ValueError(f"the status of {reason} is not in envoy.type.v3.StatusCode")
        self._settings = settings
        self._memo: dict[object, tuple[bytes, ...]] = {}
        self.faults = 0

    def encode(
        self,
        verdict: Verdict,
        decision_id: str,
        policy_digest: str,
        request: Request | None,
        loaded_at: int = 0,
        *,
        join: bytes = b"",
        inject: Mapping[str, str] = _NOTHING,
    ) -> bytes:
        """Encode one verdict; never raises.

        Args:
            verdict: the answer; what shadow mode only records becomes an allow.
            decision_id: 8 to 64 letters, digits, `-` and `_`.
            policy_digest: of the policy that decided.
            request: what was decided, or None when it could not be decoded.
            loaded_at: Unix time in whole seconds at which the policy came into force; 0 leaves it out.
            join: ASCII text for the access log alone, beside an allow and nothing else; see `JoinCodec.seal`.
            inject: headers for the upstream by lower-case name, beside an allow that is none of shadow mode; secrets, so nothing
                of them is remembered.

        Returns:
            A CheckResponse; `DENIED_503` when the verdict contradicts itself or something in it cannot be sent.
        """
        try:
            answer = self._encode(verdict, decision_id, (policy_digest, loaded_at), request)
            if verdict.decision is not Decision.ALLOW:
                return answer
            if inject:
                answer += _injection(inject)
            return answer + _join(join) if join else answer
        except Exception:  # noqa: BLE001 - an exception here would abort the call, which fail-open proxies let through
            self.faults += 1
            return DENIED_503

    def _encode(self, verdict: Verdict, decision_id: str, version: tuple[str, int], request: Request | None) -> bytes:
        if _DECISION_ID.fullmatch(decision_id) is None:
            raise AnswerError("decision id")
        grpc = False
        call: Asked | None = None
        if request is None:
            # Nobody knows what it carries, and shadow mode lets it pass.
            spoofed: tuple[str, ...] = tuple(IMITATIONS) if verdict.shadow and allows(verdict) else ()
        else:
            spoofed = request.spoofed
            grpc = request.headers.get("content-type", "").startswith("application/grpc")
            if request.body and not grpc and not allows(verdict):
                call = asked_call(request)
        # Everything that the message is made of: the first nine fields of a verdict, decision to retry_after, and a few more.
        flags = (verdict.shadow, verdict.degraded, verdict.demands, verdict.strip)
        key = (verdict[:9], flags, version, len(decision_id), grpc)
        # Names that a client makes up, approvals, and answers to one call, which are for one step, must not fill the memory.
        usual = not verdict.approval and call is None and OUR_HEADERS.issuperset(spoofed)
        pieces = self._memo.get(key) if usual else None
        if pieces is None:
            pieces = self._pieces(verdict, len(decision_id), Version(*version), spoofed, grpc=grpc, call=call)
            if usual:
                if len(self._memo) >= _MEMO_SIZE:
                    self._memo.clear()
                self._memo[key] = pieces
        return decision_id.encode("ascii").join(pieces) + _risk(verdict.risk)

    def _pieces(
        self,
        verdict: Verdict,
        id_length: int,
        version: Version,
        spoofed: tuple[str, ...],
        *,
        grpc: bool,
        call: Asked | None,
    ) -> tuple[bytes, ...]:
        """Build the whole message but for decision id and risk."""
        placeholder = _PLACEHOLDER * id_length
        passes = allows(verdict)
        if passes:
            message = allow_message(verdict, placeholder, version, spoofed)
        else:
            message = deny_message(verdict, placeholder, version, self._settings, grpc=grpc, call=call)
        serialized: bytes = message.SerializeToString()
        pieces = tuple(serialized.split(placeholder.encode("ascii")))
        more = len(call) - 1 if isinstance(call, tuple) else 0
        if len(pieces) != 1 + (_IDS_ALLOWED if passes else _IDS_DENIED + more):
            raise AnswerError("pieces")
        return pieces


def allows(verdict: Verdict) -> bool:
    """Tell whether the request passes: an allow, or what shadow mode only records.

    Raises:
        AnswerError: the decision and its reason contradict each other.
    """
    if (verdict.decision is Decision.ALLOW) != (verdict.reason is Reason.OK):
        raise AnswerError("decision and reason")
    return verdict.decision is Decision.ALLOW or verdict.shadow


def _risk(risk: int) -> bytes:
    """Encode `dynamic_metadata { fields { key: "risk" value { number_value } } }`."""
    if 0 <= risk < len(_RISKS):
        return _RISKS[risk]
    return _RISK_HEAD + pack("<d", max(-_MAX_RISK, min(risk, _MAX_RISK)))


def _join(join: bytes) -> bytes:
    """Encode `dynamic_metadata { fields { key: "join" value { string_value } } }`."""
    value = b"\x1a" + _length(len(join)) + join
    entry = _JOIN_KEY + _length(len(value)) + value
    fields = b"\x0a" + _length(len(entry)) + entry
    return _METADATA + _length(len(fields)) + fields


def _injection(headers: Mapping[str, str]) -> bytes:
    """Encode `ok_response { headers … }`: a member of a oneof that occurs again is merged like any embedded message."""
    message = CheckResponse()
    message.ok_response.headers.extend([header_option(name, value) for name, value in headers.items()])
    serialized: bytes = message.SerializeToString()
    return serialized


def _length(length: int) -> bytes:
    """A length below 2^21 as a varint."""
    if length < 1 << 7:
        return bytes((length,))
    if length < 1 << 14:
        return bytes((length & 127 | 128, length >> 7))
    return bytes((length & 127 | 128, length >> 7 & 127 | 128, length >> 14))


def _risk_head() -> bytes:
    message = CheckResponse()
    message.dynamic_metadata.fields["risk"].number_value = 0
    serialized: bytes = message.SerializeToString()
    return serialized[:-8]


_METADATA: Final = bytes((CheckResponse.DYNAMIC_METADATA_FIELD_NUMBER << 3 | 2,))
_JOIN_KEY: Final = b"\x0a\x04join\x12"
_RISK_HEAD: Final = _risk_head()
"""The field up to its number, a little-endian double of fixed size (google.protobuf.Value.number_value)."""
_RISKS: Final = tuple(_RISK_HEAD + pack("<d", risk) for risk in range(256))
