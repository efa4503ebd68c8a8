"""Messages of the access log service as plain values."""

import pytest
from envoy.data.accesslog.v3.accesslog_pb2 import AccessLogType, HTTPAccessLogEntry
from envoy.service.accesslog.v3.als_pb2 import StreamAccessLogsMessage

from authz_server.envoy.accesslog import MAX_ENTRIES, decode_batch, read_entry
from authz_server.errors import DecodeError
from authz_server.model import Outcome
from tests.log_messages import entry, message

PEER = "spiffe://corp.example/ns/agents/sa/a13"


def test_an_allowed_request():
    """What was decided, how it ended, where it went and who made it."""
    found = read_entry(entry("d" * 32, "AAAA", status=404, route="docs", cluster="crm", peer=PEER))
    assert found.decision == "allow"
    assert (found.decision_id, found.join) == ("d" * 32, "AAAA")
    assert found.outcome == Outcome(404, 0, failed=False)
    assert (found.final, found.forwarded) == (True, True)
    assert (found.route, found.cluster, found.peer) == ("docs", "crm", PEER)


def test_a_request_without_our_metadata():
    """Another filter's is not ours, and reading changes nothing in the message."""
    sent = entry(decision="")
    before = sent.SerializeToString(deterministic=True)
    found = read_entry(sent)
    assert (found.decision, found.decision_id, found.join, found.peer) == ("", "", "", "")
    assert sent.SerializeToString(deterministic=True) == before
    assert read_entry(HTTPAccessLogEntry()).outcome == Outcome(0, 0, failed=False)


def test_metadata_of_other_kinds_is_none():
    """Only texts count."""
    sent = entry()
    sent.common_properties.metadata.filter_metadata["envoy.filters.http.ext_authz"].update(
        {"decision": 1, "join": ["x"], "decision_id": {}}
    )
    found = read_entry(sent)
    assert (found.decision, found.decision_id, found.join) == ("", "", "")


@pytest.mark.parametrize(
    ("flag", "failed"),
    [
        ("upstream_connection_failure", True),
        ("upstream_connection_termination", True),
        ("upstream_remote_reset", True),
        ("upstream_request_timeout", True),
        ("no_healthy_upstream", True),
        ("downstream_connection_termination", False),
        ("rate_limited", False),
        ("fault_injected", False),
    ],
)
def test_what_is_a_failure(flag, failed):
    """The destination's, not the caller's and not another filter's."""
    assert read_entry(entry("d", "j", status=503, flags=(flag,))).outcome == Outcome(503, 0, failed=failed)


@pytest.mark.parametrize(("place"), ["response_trailers", "response_headers"])
@pytest.mark.parametrize(("told", "status"), [("0", 200), ("7", 403), ("16", 401), ("5", 404), ("14", 503), ("x", 200)])
def test_grpc_says_how_it_ended_behind_the_200(place, told, status):
    """In its trailers, or in the headers of an answer that has nothing else."""
    sent = entry("d", "j")
    getattr(sent.response, place)["grpc-status"] = told
    assert read_entry(sent).outcome.status == status


def test_a_status_of_http_stands():
    """Whatever a header says beside it."""
    sent = entry("d", "j", status=403)
    sent.response.response_headers["grpc-status"] = "5"
    assert read_entry(sent).outcome.status == 403


def test_entries_before_the_end():
    """A request that begins or lasts, or one try of it, is not over."""
    for kind, final in (
        (AccessLogType.DownstreamEnd, True),
        (AccessLogType.NotSet, True),
        (AccessLogType.DownstreamStart, False),
        (AccessLogType.DownstreamPeriodic, False),
        (AccessLogType.UpstreamEnd, False),
    ):
        assert read_entry(entry(access_log_type=kind)).final is final
    assert read_entry(entry(intermediate_log_entry=True)).final is False


def test_what_the_proxy_answers_by_itself_was_not_forwarded():
    """Unless it had a destination already."""
    sent = entry(decision="", status=503)
    sent.response.response_code_details = "ext_authz_error"
    assert read_entry(sent).forwarded is False
    sent.common_properties.upstream_remote_address.socket_address.address = "10.0.0.1"
    assert read_entry(sent).forwarded is True


def test_a_message_is_taken_apart():
    """As many entries as are looked at, the surplus, and the connections."""
    batch = decode_batch(message(entry("a"), entry("b")))
    assert [read_entry(each).decision_id for each in batch.entries] == ["a", "b"]
    assert (batch.surplus, batch.tcp) == (0, 0)
    batch = decode_batch(message(*[HTTPAccessLogEntry()] * (MAX_ENTRIES + 5)))
    assert (len(list(batch.entries)), batch.surplus) == (MAX_ENTRIES, 5)
    tcp = StreamAccessLogsMessage()
    tcp.tcp_logs.log_entry.add()
    batch = decode_batch(tcp.SerializeToString())
    assert (list(batch.entries), batch.tcp) == ([], 1)
    assert list(decode_batch(b"").entries) == []


def test_what_is_no_message():
    """One code, and no exception of protobuf's."""
    with pytest.raises(DecodeError) as refused:
        decode_batch(b"\xff\xff")
    assert refused.value.code == "message_malformed"
