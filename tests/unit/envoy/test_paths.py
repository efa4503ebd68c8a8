"""One spelling for each resource, or a refusal with its own code."""

import pytest

from authz_server.envoy.paths import MAX_PATH, canonical_path, require_grpc_path, split_path
from authz_server.errors import DecodeError


def refusal(raw, method="GET"):
    with pytest.raises(DecodeError) as caught:
        split_path(raw, method)
    return caught.value.code


@pytest.mark.parametrize(
    ("raw", "path", "query"),
    [
        ("/", "/", ""),
        ("/v1/customers", "/v1/customers", ""),
        ("/v1/customers/", "/v1/customers", ""),
        ("/?a=b", "/", "a=b"),
        ("/v1/x?a=/../b&c=%2F%zz?", "/v1/x", "a=/../b&c=%2F%zz?"),
        ("/v1/x?", "/v1/x", ""),
        ("/.well-known/jwks.json", "/.well-known/jwks.json", ""),
        ("/a..b/...", "/a..b/...", ""),
        ("/a%20b", "/a%20b", ""),
        ("/a%c3%a9", "/a%C3%A9", ""),
        ("/models/x%3apredict", "/models/x:predict", ""),
        ("/mail/me%40corp.example", "/mail/me@corp.example", ""),
        ("/100%25", "/100%25", ""),
        ("/a%3Fb", "/a%3Fb", ""),
        ("/a!$&'()*+,=:@-._~b", "/a!$&'()*+,=:@-._~b", ""),
    ],
)
def test_accepted(raw, path, query):
    """An unambiguous path is cut at the first question mark and brought into canonical form."""
    assert split_path(raw, "GET") == (path, query)


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        ("", "path_missing"),
        ("?a", "path_missing"),
        ("v1/x", "path_missing_slash"),
        ("*", "path_missing_slash"),
        ("http://h/x", "path_missing_slash"),
        ("//admin", "path_double_slash"),
        ("/a//b", "path_double_slash"),
        ("/a//", "path_double_slash"),
        ("/a%2Fb", "path_encoded_slash"),
        ("/a%2fb", "path_encoded_slash"),
        ("/a%5Cb", "path_encoded_backslash"),
        ("/a%5cb", "path_encoded_backslash"),
        ("/a%00", "path_encoded_nul"),
        ("/%2e%2e/admin", "path_encoded_dot"),
        ("/a%2Ehtml", "path_encoded_dot"),
        ("/a\\b", "path_backslash"),
        ("/a\tb", "path_control_character"),
        ("/a\nb", "path_control_character"),
        ("/a\x00", "path_control_character"),
        ("/a\x7f", "path_control_character"),
        ("/a%0d%0ab", "path_encoded_control"),
        ("/a%7F", "path_encoded_control"),
        ("/a/../b", "path_dot_segment"),
        ("/a/./b", "path_dot_segment"),
        ("/..", "path_dot_segment"),
        ("/a/.", "path_dot_segment"),
        ("/a/..;/admin", "path_dot_segment"),
        ("/a/..;x=y/admin", "path_dot_segment"),
        ("/a/.;/admin", "path_dot_segment"),
        ("/a;b=c", "path_parameter"),
        ("/a;", "path_parameter"),
        ("/a%3Bb", "path_parameter"),
        ("/a/..%3B/admin", "path_parameter"),
        ("/a#b", "path_fragment"),
        ("/a?b#c", "path_fragment"),
        ("/%65xport", "path_encoded_unreserved"),
        ("/a%7Eb", "path_encoded_unreserved"),
        ("/a%2Db", "path_encoded_unreserved"),
        ("/a%5Fb", "path_encoded_unreserved"),
        ("/a%2565", "path_double_encoded"),
        ("/a%252F", "path_double_encoded"),
        ("/a%25%32f", "path_encoded_unreserved"),
        ("/a%", "path_bad_escape"),
        ("/a%2", "path_bad_escape"),
        ("/a%zz", "path_bad_escape"),
        ("/a%u002f", "path_bad_escape"),
        ("/a%+1", "path_bad_escape"),
        ("/a% 1", "path_bad_escape"),
        ("/a%c0%af", "path_bad_utf8"),
        ("/a%e9", "path_bad_utf8"),
        ("/a\u00e9", "path_not_ascii"),
        ("/\uff0fadmin", "path_not_ascii"),
        ("/a b", "path_invalid_character"),
        ("/a|b", "path_invalid_character"),
        ("/a{b}", "path_invalid_character"),
        ('/a"b', "path_invalid_character"),
        ("/a<b>", "path_invalid_character"),
        ("/a[0]", "path_invalid_character"),
        ("/a^b", "path_invalid_character"),
        ("/a`b", "path_invalid_character"),
        ("/a?b c", "query_invalid"),
        ("/a?b\nc", "query_invalid"),
        ("/a?\u00e9", "query_invalid"),
        ("/" + "a" * MAX_PATH, "path_too_long"),
        ("/a?" + "a" * MAX_PATH, "path_too_long"),
    ],
)
def test_refused(raw, code):
    """Each ambiguity has its own refusal."""
    assert refusal(raw) == code


def test_connect_may_have_no_path():
    """Envoy sends an empty path for CONNECT, and for nothing else."""
    assert split_path("", "CONNECT") == ("", "")
    assert refusal("", "POST") == "path_missing"
    assert split_path("/ws", "CONNECT") == ("/ws", "")


def test_the_server_itself_is_asked_with_options_only():
    """`*` is a target for OPTIONS (RFC 9110 9.3.7)."""
    assert split_path("*", "OPTIONS") == ("*", "")
    assert refusal("*", "GET") == "path_missing_slash"
    assert refusal("*?x", "OPTIONS") == "path_missing_slash"


def test_longest_path():
    """The bound itself is accepted."""
    raw = "/" + "a" * (MAX_PATH - 1)
    assert split_path(raw, "GET") == (raw, "")


@pytest.mark.parametrize("path", ["/", "/a", "/a%20b/", "/x%3ay", "/a!b", "/caf%C3%A9"])
def test_canonical_is_idempotent(path):
    """The canonical form of a canonical form is itself."""
    assert canonical_path(canonical_path(path)) == canonical_path(path)


@pytest.mark.parametrize("raw", ["/pkg.Svc/Method", "/Svc/Method", "/a.b.c_d.Svc1/Get2"])
def test_grpc_paths(raw):
    """A gRPC path names a service and a method."""
    require_grpc_path(raw)


@pytest.mark.parametrize(
    "raw",
    [
        "/",
        "/pkg.Svc",
        "/pkg.Svc/",
        "/pkg.Svc/Method/",
        "/pkg.Svc/Method?x",
        "//Method",
        "/pkg..Svc/M",
        "/.Svc/M",
        "/pkg.Svc/Me%74hod",
        "/pkg.Svc/Method\n",
        "/a/b/c",
        "/1pkg.Svc/M",
        "/pkg.Svc/M-x",
        "",
        "pkg.Svc/M",
    ],
)
def test_other_paths_are_not_grpc(raw):
    """Anything but service and method is refused."""
    with pytest.raises(DecodeError) as caught:
        require_grpc_path(raw)
    assert caught.value.code == "path_not_grpc"
