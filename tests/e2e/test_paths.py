"""Spellings of a path that programs read differently, through an Envoy that normalises nothing."""

import pytest

from tests.envoy_site import decision_of
from tests.site_pki import agent

pytestmark = [pytest.mark.e2e, pytest.mark.server]


@pytest.fixture
def context(alone):
    return alone.pki.client(agent("walker"))


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        ("//admin/x", "path_double_slash"),
        ("/files//x", "path_double_slash"),
        ("/files/../admin/x", "path_dot_segment"),
        ("/files/./x", "path_dot_segment"),
        ("/files/..;/admin/x", "path_dot_segment"),
        ("/files/%2e%2e/admin/x", "path_encoded_dot"),
        ("/files/%2E%2e/admin/x", "path_encoded_dot"),
        ("/files/..%2fadmin", "path_encoded_slash"),
        ("/files%2fx", "path_encoded_slash"),
        ("/files/a%5cb", "path_encoded_backslash"),
        ("/files\\..\\admin", "path_backslash"),
        ("/files/x;a=b", "path_parameter"),
        ("/files/x%3ba=b", "path_parameter"),
        ("/files/%252e%252e/admin", "path_double_encoded"),
        ("/files/%61dmin", "path_encoded_unreserved"),
        ("/files/%c0%af", "path_bad_utf8"),
        ("/files/%zz", "path_bad_escape"),
    ],
)
def test_an_ambiguous_path_is_malformed(alone, context, path, detail):
    """400 for every spelling that an upstream might fold into another path."""
    answer = alone.send("GET", path, context=context)
    assert (answer.status, answer.json()["reason"]) == (400, "decode_error")
    record = alone.record(decision_of(answer))
    assert (record["decision"], record["detail"]) == ("deny", detail)


@pytest.mark.parametrize(
    "path", ["/files/a.b/..c", "/files/a%20b", "/files/x?next=//y/../z;a", "/files/x/", "/files/%C3%A4"]
)
def test_an_unambiguous_path_passes(alone, context, path):
    """What has one reading is let through as it was sent."""
    answer = alone.send("GET", path, context=context)
    assert answer.status == 200
    assert answer.json()["path"] == path


@pytest.mark.parametrize("path", ["//admin/x", "/files/%2e%2e/admin/x", "/files/../admin/x"])
def test_what_envoy_normalises_is_decided_as_it_is_forwarded(alone, path):
    """At the strict listener the path that is decided is the one that the upstream would get: here that of an admin."""
    with alone.client(agent("walker")) as client:
        request = client.build_request("GET", "/")
        request.url = request.url.copy_with(raw_path=path.encode())
        answer = client.send(request)
    assert (answer.status_code, answer.json()["reason"]) == (403, "no_match")
    record = alone.record(decision_of(answer))
    assert (record["action"], record["request"]["path"]) == ("admin", "/admin/x")


@pytest.mark.parametrize("name", ["x-http-method-override", "X-HTTP-Method", "x-original-url", "x_rewrite_url"])
def test_an_override_of_method_or_path_is_malformed(alone, context, name):
    """Headers by which frameworks exchange what was authorised are refused."""
    answer = alone.send("GET", "/files/x", [(name, "/admin/x")], context=context)
    assert answer.status == 400


def test_two_credentials_in_one_line_are_malformed(alone, context):
    """Two `Authorization` lines, which Envoy joins, are ambiguous."""
    lines = [("authorization", "Bearer aaaa"), ("authorization", "Bearer bbbb")]
    assert alone.send("GET", "/files/x", lines, context=context).status == 400
    assert alone.send("GET", "/files/x", lines[:1], context=context).status == 200
