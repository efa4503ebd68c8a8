"""What the Kubernetes API says of pods, as it says it and as it never should."""

import json

import pytest

from authz_server.taskbook import pod_events
from authz_server.taskbook.pod_events import PodError, decode_event, decode_page, split_lines
from tests.unit.taskbook.cluster import pages, pieces, recorded

JOB = "0b8f4a4e-2f0a-4b8e-9d0c-6a4f5f1e7c01"
FINISHED = 1_789_999_999.0


def events(name):
    return [decode_event(line) for line in recorded(name).splitlines()]


def code(call, *arguments):
    with pytest.raises(PodError) as caught:
        call(*arguments)
    return caught.value.code


def event(**changes):
    """The first recorded event with members of its object changed, by dotted names."""
    found = json.loads(recorded("job").splitlines()[0])
    for name, value in changes.items():
        place = found
        *path, last = name.split("__")
        for each in path:
            place = place[each]
        place[last] = value
    return json.dumps(found).encode()


def test_the_life_of_a_job():
    seen = events("job") + events("job_end")
    assert [each.version for each in seen] == ["48210", "48211", "48230", "48300", "48410", "48411"]
    assert [each.pod and each.pod.runs for each in seen] == [True, True, True, None, False, False]
    assert {each.pod[:3] for each in seen if each.pod} == {(JOB, "agents", "a")}
    assert [each.pod.finished for each in seen if each.pod] == [0, 0, 0, FINISHED, FINISHED]


def test_who_is_being_deleted_runs_until_it_is_gone():
    assert [each.pod and each.pod.runs for each in events("rollout")] == [True, True, False, None]


def test_a_pod_without_a_service_account_has_the_default_one():
    assert [each.pod.account for each in events("others") if each.pod] == ["a", "default", "a"]


def test_a_list_in_pages():
    first, second = map(decode_page, pages("list"))
    assert (first.version, second.version, bool(first.rest), second.rest) == ("48200", "48200", True, "")
    assert [(pod.account, pod.runs) for pod in first.pods] == [("b", True), ("coredns", True)]
    assert [(pod.account, pod.runs, pod.finished) for pod in second.pods] == [
        ("done", False, FINISHED - 24),
        ("old", False, 1_789_981_200.0),
        ("evicted", False, 0.0),
    ]
    assert decode_page(pages("empty")[0]).pods == ()


def test_errors_of_the_server():
    """A version that is too old is one of its own: list again."""
    assert code(decode_event, recorded("expired")) == "expired"
    assert code(decode_event, recorded("failed")) == "refused"
    assert code(decode_event, b'{"type":"ERROR","object":{}}') == "refused"


@pytest.mark.parametrize(
    "line",
    [
        b"<html>502</html>",
        b"[]",
        b"7",
        b"null",
        b"{}",
        b'{"type":"ADDED"}',
        b'{"type":"ADDED","object":[]}',
        b'{"type":"BOOKMARK","object":{"metadata":{}}}',
        b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":7}}}',
        b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"a&b=c"}}}',
        b"[" * 100_000,
        b"1" * 5000,
        b"\xff\xfe",
        event(type="SYNCED"),
        event(type=["ADDED"]),
        event(object__metadata=None),
        event(object__metadata__uid=None),
        event(object__metadata__uid=""),
        event(object__metadata__uid="x" * 65),
        event(object__metadata__namespace="../kube-system"),
        event(object__metadata__namespace="agents\n"),
        event(object__metadata__resourceVersion=""),
        event(object__spec=None),
        event(object__spec__serviceAccountName=["a"]),
        event(object__spec__serviceAccountName="a/b"),
        event(object__status=[]),
        event(object__status__phase=1),
    ],
    ids=lambda line: line[:60].decode("latin-1"),
)
def test_what_cannot_be_read_is_never_skipped(line):
    """It could be the pod that still runs."""
    assert code(decode_event, line) == "garbled"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"metadata":{"resourceVersion":"1"},"items":{}}',
        b'{"metadata":{"resourceVersion":"1"},"items":[7]}',
        b'{"metadata":{"resourceVersion":"1","continue":7},"items":[]}',
        b'{"metadata":{"resourceVersion":"1","continue":"a b"},"items":[]}',
        b'{"metadata":{},"items":[]}',
        b'{"items":[]}',
    ],
    ids=repr,
)
def test_a_page_that_is_none(body):
    assert code(decode_page, body) == "garbled"


@pytest.mark.parametrize(
    "statuses",
    [
        None,
        7,
        [7],
        [{}],
        [{"state": None}],
        [{"state": {"running": {}}}],
        [{"state": {"terminated": {"finishedAt": 7}}}],
        [{"state": {"terminated": {"finishedAt": "yesterday"}}}],
        [{"state": {"terminated": {"finishedAt": "0001-01-01T00:00:00+23:59"}}}],
        [{"state": {"terminated": {"finishedAt": "2026-09-21T14:13:19Z"}}}, {"state": {}}],
        [{"state": {"terminated": {"finishedAt": None}}}],
    ],
    ids=repr,
)
def test_an_end_that_is_not_said(statuses):
    """The pod has ended all the same, by its phase."""
    found = decode_event(event(object__status__phase="Failed", object__status__containerStatuses=statuses))
    assert (found.pod.runs, found.pod.finished) == (False, 0.0)


def test_the_last_container_to_end_counts():
    ends = ["2026-09-21T14:13:19Z", "2026-09-21T14:13:09.5+00:00"]
    statuses = [{"state": {"terminated": {"finishedAt": end}}} for end in ends]
    assert decode_event(event(object__status__containerStatuses=statuses)).pod.finished == FINISHED


@pytest.mark.parametrize("size", [1, 2, 7, 1000, 1 << 20])
def test_lines_come_in_pieces_of_any_size(size):
    data = recorded("job")
    assert list(split_lines(pieces(data, size))) == data.splitlines()


def test_empty_lines_are_none():
    assert list(split_lines([b"\n\r\n a", b"\n", b"", b"  "])) == [b" a"]


def test_a_stream_that_ends_within_a_line():
    """What was whole was read."""
    lines = split_lines(pieces(recorded("torn"), 500))
    assert decode_event(next(lines)).version == "48800"
    assert code(next, lines) == "torn"


def test_a_line_without_an_end(monkeypatch):
    """Is given up before it fills the memory."""
    monkeypatch.setattr(pod_events, "MAX_LINE", 5000)
    assert code(list, split_lines(b"x" * 1000 for _ in range(1_000_000))) == "line_too_long"
    assert code(decode_event, b" " * 5001) == "line_too_long"
