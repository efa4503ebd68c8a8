"""What a proxy's access log says about the requests that it let through: `StreamAccessLogsMessage` (als.proto) as plain values.

Times in an entry are the proxy's and are not read. Neither are paths, headers and addresses: nothing is learned from them.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from envoy.data.accesslog.v3.accesslog_pb2 import AccessLogType
from envoy.service.accesslog.v3.als_pb2 import StreamAccessLogsMessage

from authz_server.envoy.wire import MessageError
from authz_server.errors import DecodeError
from authz_server.model import Outcome

SERVICE: Final = "envoy.service.accesslog.v3.AccessLogService"
NAMESPACE: Final = "envoy.filters.http.ext_authz"
"""Where the HTTP filter keeps the dynamic metadata of an answer, whatever it is called in the configuration
(source/extensions/filters/http/ext_authz/ext_authz.cc)."""
MAX_ENTRIES: Final = 4096
"""Entries of one message: Envoy sends one as soon as it has 16 KiB, which is a few dozens."""

_FINAL: Final = frozenset({AccessLogType.NotSet, AccessLogType.DownstreamEnd})
_FAILURES: Final = (
    "no_healthy_upstream",
    "upstream_request_timeout",
    "local_reset",
    "upstream_remote_reset",
    "upstream_connection_failure",
    "upstream_connection_termination",
    "upstream_overflow",
    "upstream_retry_limit_exceeded",
    "upstream_max_stream_duration_reached",
    "upstream_protocol_error",
    "duration_timeout",
    "no_cluster_found",
    "dns_resolution_failure",
)
"""Flags of `ResponseFlags` (accesslog.proto) with which the destination was not reached, or broke off."""
_GRPC: Final = {"1": 499, "2": 500, "3": 400, "4": 504, "5": 404, "6": 409, "7": 403, "8": 429, "9": 400, "10": 409,
                "11": 400, "12": 501, "13": 500, "14": 503, "15": 500, "16": 401}  # fmt: skip
"""HTTP statuses of gRPC's own, as google/rpc/code.proto gives them: over HTTP every gRPC answer is a 200."""
_GRPC_STATUS: Final = "grpc-status"
_OK: Final = 200


class LogEntry(NamedTuple):
    """One request that a proxy has finished with."""

    decision: str
    """What was decided; `""` for a request that nobody decided."""
    decision_id: str
    join: str
    """What the outcome will feed, sealed; `""` when that is nothing."""
    outcome: Outcome
    final: bool
    """Whether the request is over; proxies may log it while it lasts, and while it is tried upstream, too."""
    forwarded: bool
    """Whether it was sent to a destination, rather than answered by the proxy."""
    route: str
    cluster: str
    peer: str
    """A URI of the client's certificate, as the proxy verified it, or `""`."""


class LogBatch(NamedTuple):
    """One message of the stream."""

    entries: Iterator[Any]
    """For `read_entry`, one by one."""
    surplus: int
    """Entries beyond `MAX_ENTRIES`, which are not looked at."""
    tcp: int
    """Entries about connections, which teach nothing."""


def decode_batch(payload: bytes) -> LogBatch:
    """Take a message apart.

    Raises:
        DecodeError: `message_malformed`.
    """
    try:
        message = StreamAccessLogsMessage.FromString(payload)
    except MessageError:
        raise DecodeError("message_malformed") from None
    entries = message.http_logs.log_entry
    surplus = max(0, len(entries) - MAX_ENTRIES)
    return LogBatch(iter(entries[:MAX_ENTRIES]), surplus, len(message.tcp_logs.log_entry))


def read_entry(entry: Any) -> LogEntry:
    """Read a `HTTPAccessLogEntry`."""
    common, response = entry.common_properties, entry.response
    spaces = common.metadata.filter_metadata
    fields = spaces[NAMESPACE].fields if NAMESPACE in spaces else {}
    names = common.tls_properties.peer_certificate_properties.subject_alt_name
    return LogEntry(
        _text(fields, "decision"),
        _text(fields, "decision_id"),
        _text(fields, "join"),
        _outcome(common, response),
        common.access_log_type in _FINAL and not common.intermediate_log_entry,
        common.HasField("upstream_remote_address") or response.response_code_details == "via_upstream",
        common.route_name,
        common.upstream_cluster,
        next((name.uri for name in names if name.uri), ""),
    )


def _text(fields: Any, name: str) -> str:
    # Asking a map of messages for what it does not have would put it in.
    text: str = fields[name].string_value if name in fields else ""
    return text


def _outcome(common: Any, response: Any) -> Outcome:
    flags = common.response_flags
    failed = any(getattr(flags, name) for name in _FAILURES)
    status: int = response.response_code.value
    if status == _OK:
        told = response.response_trailers.get(_GRPC_STATUS) or response.response_headers.get(_GRPC_STATUS, "")
        status = _GRPC.get(told, status)
    return Outcome(status, response.response_body_bytes, failed)
