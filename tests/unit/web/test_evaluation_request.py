"""From a question of AuthZEN to the step that is meant."""

import pytest

from authz_server.web.answers import WebError
from authz_server.web.evaluation_request import MAX_ID, MAX_LINES, read_evaluation
from tests.unit.web.world import AGENT, EXPORT, READ


def step(**properties):
    question = {**READ, "resource": {**READ["resource"], "properties": properties}}
    return read_evaluation(question).step()


def reason(question):
    with pytest.raises(WebError) as caught:
        read_evaluation(question).step()
    assert caught.value.status == 400
    return caught.value.reason


def test_the_step_of_a_question():
    found = read_evaluation({**READ, "context": {"time": "now"}, "unknown": 1}).step()
    assert (found.method, found.scheme, found.host, found.path) == ("GET", "https", "crm.corp.example", "/crm/17")
    assert (found.principal, found.headers, found.body, found.address) == (AGENT, (), None, "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://crm:8080", ("http", "crm:8080", "/")),
        ("https://[::1]:8443/a?b=c%20d", ("https", "[::1]:8443", "/a?b=c%20d")),
        ("https://crm/a//b/../c", ("https", "crm", "/a//b/../c")),
    ],
)
def test_urls(text, expected):
    found = read_evaluation({**READ, "resource": {"type": "http", "id": text}}).step()
    assert (found.scheme, found.host, found.path) == expected


@pytest.mark.parametrize(
    "text",
    ["/crm", "crm.corp.example/x", "ftp://crm/x", "https://a@crm/x", "https://crm/x#y", "https://crm/ä", "https://crm/a b",
     "https://crm/x\n", "https://", "HTTPS://crm/x", "https://crm?x=1"],
)  # fmt: skip
def test_what_is_no_url(text):
    assert reason({**READ, "resource": {"type": "http", "id": text}}) == "resource_id_invalid"


@pytest.mark.parametrize("text", ["get", "can_read", "GET /", "G" * 33])
def test_what_is_no_method(text):
    assert reason({**READ, "action": {"name": text}}) == "action_name_invalid"


def test_the_rest_of_a_request():
    found = step(
        headers={"X-Tenant": "t", "accept": ["a", "b"]},
        body={"rows": 10, "ä": [1]},
        service="crm",
        destination_principal="spiffe://corp.example/ns/crm/sa/api",
    )
    assert found.headers == (("x-tenant", "t"), ("accept", "a"), ("accept", "b"), ("content-type", "application/json"))
    assert found.body == '{"rows":10,"ä":[1]}'.encode()
    assert (found.service, found.destination_principal) == ("crm", "spiffe://corp.example/ns/crm/sa/api")


def test_a_body_as_text_is_taken_as_it_is():
    found = step(body="a=1", headers={"content-type": "text/plain"})
    assert (found.body, found.headers) == (b"a=1", (("content-type", "text/plain"),))
    assert step(body=[], headers={"content-type": "application/foo+json"}).headers[0][1] == "application/foo+json"


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"headers": []}, "member_invalid"),
        ({"headers": {"a b": "x"}}, "headers_invalid"),
        ({"headers": {":path": "/admin"}}, "headers_invalid"),
        ({"headers": {"Host": "other"}}, "headers_invalid"),
        ({"headers": {"Content-Length": "1"}}, "headers_invalid"),
        ({"headers": {"x": 1}}, "headers_invalid"),
        ({"headers": {"x": "a\r\nb: c"}}, "headers_invalid"),
        ({"headers": {"x": ["a", None]}}, "headers_invalid"),
        ({"headers": {"x": ["a"] * (MAX_LINES + 1)}}, "headers_invalid"),
        ({"headers": {"x": "a" * 20_000}}, "headers_invalid"),
        ({"body": 1}, "body_invalid"),
        ({"body": None}, "body_invalid"),
        ({"service": 1}, "service_invalid"),
        ({"destination_principal": []}, "destination_principal_invalid"),
    ],
)
def test_properties_that_say_nothing(properties, expected):
    assert reason({**READ, "resource": {**READ["resource"], "properties": properties}}) == expected


@pytest.mark.parametrize(("text", "expected"), [("10.1.2.3", "10.1.2.3"), ("2001:DB8::1", "2001:db8::1"), ("", "")])
def test_the_address_of_the_subject(text, expected):
    subject = {**READ["subject"], "properties": {"ip_address": text}}
    assert read_evaluation({**READ, "subject": subject}).step().address == expected


def test_what_is_no_address():
    for text in ("10.1.2", "host", 1):
        assert (
            reason({**READ, "subject": {**READ["subject"], "properties": {"ip_address": text}}}) == "ip_address_invalid"
        )


@pytest.mark.parametrize("name", ["subject", "action", "resource"])
@pytest.mark.parametrize("value", [None, "x", [], {}, {"type": "x"}, {"type": "", "id": "", "name": ""},
                                   {"type": 1, "id": 1, "name": 1}, {"type": "x" * (MAX_ID + 1), "id": "x", "name": "x" * (MAX_ID + 1)}])  # fmt: skip
def test_missing_members(name, value):
    assert reason({**READ, name: value}) == "member_missing"
    assert reason({key: found for key, found in READ.items() if key != name}) == "member_missing"


def test_tables_that_are_none():
    assert reason({**READ, "context": []}) == "member_invalid"
    assert reason({**READ, "subject": {**READ["subject"], "properties": "x"}}) == "member_invalid"


def test_of_what_nothing_is_known():
    assert read_evaluation(EXPORT).is_ours
    assert not read_evaluation({**READ, "subject": {"type": "user", "id": "ann"}}).is_ours
    assert not read_evaluation({**READ, "resource": {"type": "document", "id": "x"}}).is_ours
