"""Bodies through a real Envoy: whole ones are read, and no way of cutting one passes for a whole one."""

import json

import pytest

from tests.envoy_config import MAX_BODY
from tests.envoy_site import HOST, decision_of
from tests.raw_h2 import RawH2
from tests.site_pki import agent

pytestmark = [pytest.mark.e2e, pytest.mark.server]

PATH = "/v1/notes"
JSON = ("content-type", "application/json")


def document(size):
    """A JSON document of exactly so many bytes."""
    text = json.dumps({"title": "weekly", "text": ""})
    return text.replace('""', f'"{"x" * (size - len(text))}"').encode()


def over_h2(site, parts, length=None):
    """POST a body in DATA frames over HTTP/2, the last of them with END_STREAM; the parsed answer."""
    head = [(":method", "POST"), (":scheme", "https"), (":authority", HOST), (":path", PATH), JSON]
    if length is not None:
        head.append(("content-length", str(length)))
    with RawH2(site.port, site.pki.client(agent("writer"), alpn=("h2",))) as connection:
        connection.request(head)
        for number, part in enumerate(parts, 1):
            connection.data(part, end=number == len(parts))
        return json.loads(connection.body())


def refusal(site, problem):
    """What the record says about a refused request."""
    assert (problem["status"], problem["reason"]) == (400, "decode_error")
    return site.record(problem["decision_id"])["detail"]


@pytest.mark.parametrize("size", [60, MAX_BODY - 1])
@pytest.mark.parametrize("told", [True, False])
def test_a_whole_body_over_http2_passes(alone, size, told):
    """With and without `content-length`, in one frame or in many."""
    answer = over_h2(alone, [document(size)], size if told else None)
    assert answer["size"] == size


def test_a_body_of_exactly_the_limit_passes_only_with_its_length(alone):
    """Envoy calls it complete in both cases; without a length nobody knows whether more follows."""
    assert over_h2(alone, [document(MAX_BODY)], MAX_BODY)["size"] == MAX_BODY
    assert refusal(alone, over_h2(alone, [document(MAX_BODY)])) == "body_partial"


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("split", [MAX_BODY, 100, MAX_BODY - 1])
def test_a_body_over_the_limit_is_refused_over_http2(alone, told, split):
    """However it is cut into frames: also with a first part that is a whole document of exactly the limit."""
    whole = document(split)
    parts = [whole, b" " * (2 * MAX_BODY)]
    answer = over_h2(alone, parts, sum(map(len, parts)) if told else None)
    assert refusal(alone, answer) == "body_partial"


def test_a_secret_behind_the_cut_does_not_pass(alone):
    """What a rule would deny is not hidden by padding in front of it."""
    assert over_h2(alone, [b'{"title": "secret"}'])["reason"] == "denied"
    padded = b" " * MAX_BODY + b'{"title": "secret"}'
    assert refusal(alone, over_h2(alone, [padded])) == "body_partial"
    assert refusal(alone, over_h2(alone, [b'{"title": "weekly"}' + b" " * MAX_BODY, b"!"])) == "body_partial"


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        ([document(60)], 200),
        ([document(60)[:10], document(60)[10:]], 200),
        ([document(MAX_BODY), b" "], 400),
        ([document(MAX_BODY + 1)], 400),
    ],
)
def test_chunked_bodies_over_http1(alone, parts, status):
    """Chunks hide the length as HTTP/2 does: whole below the limit passes, the rest is refused."""
    answer = alone.send("POST", PATH, [JSON], body=iter(parts), context=alone.pki.client(agent("writer")))
    assert answer.status == status
    if status == 200:
        assert answer.json()["size"] == sum(map(len, parts))
    else:
        assert refusal(alone, answer.json()) == "body_partial"


@pytest.mark.parametrize("claim", ["true", "false"])
def test_what_a_client_says_about_truncation_is_not_read(alone, claim):
    """Envoy's own header tells it: a whole body is whole and a cut one is cut, whatever the client claims."""
    lines, context = [JSON, ("x-envoy-auth-partial-body", claim)], alone.pki.client(agent("writer"))
    assert alone.send("POST", PATH, lines, body=document(60), context=context).status == 200
    assert alone.send("POST", PATH, lines, body=document(MAX_BODY + 1), context=context).status == 400


def test_the_largest_request_that_envoy_takes_is_decided(alone):
    """A body of the limit beside 50 KB of headers is within what the server reads: no error, no 503."""
    lines = [JSON, ("x-long", "x" * 50_000)]
    answer = alone.send("POST", PATH, lines, body=document(MAX_BODY), context=alone.pki.client(agent("writer")))
    assert (answer.status, answer.json()["size"]) == (200, MAX_BODY)


@pytest.mark.parametrize(
    ("body", "lines", "detail"),
    [
        (b'{"title": "a", "title": "secret"}', [JSON], "json_duplicate_key"),
        (b'{"title": "a", "Title": "secret"}', [JSON], "json_colliding_keys"),
        (b'{"title": "a"', [JSON], ""),
        (b'{"title": "a"}', [("content-type", "text/plain")], "body_not_json"),
        (b'{"title": "a"}', [], "body_not_json"),
        (b'{"title": "a"}', [JSON, ("content-encoding", "gzip")], "body_not_json"),
        (b"", [JSON], "body_absent"),
        (b'{"title": "\xff"}', [JSON], ""),
    ],
)
def test_a_body_that_is_not_plain_json_is_refused(alone, body, lines, detail):
    """What parsers may read in two ways never reaches a rule or the upstream."""
    answer = alone.send("POST", PATH, lines, body=body, context=alone.pki.client(agent("writer")))
    assert answer.status == 400
    found = alone.record(decision_of(answer))["detail"]
    assert found == detail or not detail


def test_an_action_that_reads_no_body_takes_any(alone):
    """A large body on another action is passed on unread."""
    answer = alone.send(
        "GET", "/files/x", [JSON], body=iter([b"x" * MAX_BODY, b"y"]), context=alone.pki.client(agent("writer"))
    )
    assert (answer.status, answer.json()["size"]) == (200, MAX_BODY + 1)
