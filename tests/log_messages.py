"""Builds what a proxy sends to `StreamAccessLogs`; for tests."""

from envoy.data.accesslog.v3.accesslog_pb2 import HTTPAccessLogEntry
from envoy.service.accesslog.v3.als_pb2 import StreamAccessLogsMessage

from authz_server.envoy.accesslog import NAMESPACE, SERVICE

METHOD = f"/{SERVICE}/StreamAccessLogs"


def entry(
    decision_id="", join="", decision="allow", status=200, *, flags=(), route="", cluster="crm", peer="", **common
):
    """One request; without a decision its metadata is another filter's."""
    found = HTTPAccessLogEntry()
    properties = found.common_properties
    told = {"decision_id": decision_id, "decision": decision, "join": join}
    metadata = properties.metadata.filter_metadata
    metadata["envoy.filters.http.jwt_authn"].update({"iss": "x"})
    if decision:
        metadata[NAMESPACE].update({name: value for name, value in told.items() if value})
    for flag in flags:
        setattr(properties.response_flags, flag, True)
    properties.route_name, properties.upstream_cluster = route, cluster
    if peer:
        properties.tls_properties.peer_certificate_properties.subject_alt_name.add(uri=peer)
    for name, value in common.items():
        setattr(properties, name, value)
    found.response.response_code.value = status
    found.response.response_code_details = "via_upstream"
    return found


def message(*entries):
    """The bytes of one message."""
    found = StreamAccessLogsMessage()
    found.identifier.log_name = "outcomes"
    found.http_logs.log_entry.extend(entries)
    return found.SerializeToString()


def report(opened, *messages, **more):
    """One whole stream; its answer."""
    return opened.stream_unary(METHOD)(iter(messages), timeout=20, **more)
