"""SPIFFE IDs (SPIFFE-ID 2.1 to 2.4) and the patterns over them."""

import pytest

from authz_server.spiffe import SpiffeId, compile_spiffe_pattern, is_trust_domain, parse_spiffe_id

ID = "spiffe://corp.example/ns/crm/sa/api"


@pytest.mark.parametrize(
    ("text", "trust_domain", "path"),
    [
        (ID, "corp.example", "/ns/crm/sa/api"),
        ("spiffe://corp.example", "corp.example", ""),
        ("spiffe://a", "a", ""),
        ("spiffe://1.2_3-4/A.b_c-9", "1.2_3-4", "/A.b_c-9"),
        ("spiffe://td/.hidden/a..b/...", "td", "/.hidden/a..b/..."),
        ("spiffe://" + "d" * 255 + "/x", "d" * 255, "/x"),
        ("spiffe://td/" + "x" * 2036, "td", "/" + "x" * 2036),
    ],
)
def test_valid_ids_are_split_and_print_as_themselves(text, trust_domain, path):
    """Trust domain and path come apart and back together."""
    parsed = parse_spiffe_id(text)
    assert SpiffeId(trust_domain, path) == parsed
    assert text == str(parsed)


@pytest.mark.parametrize(
    "text",
    [
        "", "spiffe", "spiffe://", "spiffe:///a", "spiffe:/td/a", "spiffe:td/a", "//td/a", "td/ns/a/sa/b",
        "https://td/a", "SPIFFE://td/a", "Spiffe://td/a", "spiffe://Td/a", "spiffe://td/", "spiffe://td//a",
        "spiffe://td/a/", "spiffe://td/a//b", "spiffe://td/.", "spiffe://td/..", "spiffe://td/./a", "spiffe://td/../a",
        "spiffe://td/a/..", "spiffe://td/a/./b", "spiffe://td:80/a", "spiffe://me@td/a", "spiffe://td/a?q", "spiffe://td?q",
        "spiffe://td/a#f", "spiffe://td#f", "spiffe://td/%61", "spiffe://t%64/a", "spiffe://td/a b", "spiffe://td/a\n",
        "spiffe://td\n", " spiffe://td/a", "spiffe://td/a\x00", "spiffe://td/ä", "spiffe://tä/a", "spiffe://[::1]/a",
        "spiffe://td/a,b", "spiffe://td/a;b", "spiffe://td/a=b", "spiffe://td/a*", "spiffe://td/\u0130", "spiffe://td\\a",
        "spiffe://td/a\u2028", "spiffe://" + "d" * 256 + "/x", "spiffe://td/" + "x" * 2037,
    ],
)  # fmt: skip
def test_everything_else_is_no_id(text):
    """Nothing is folded, trimmed or decoded on the way to an identity."""
    assert parse_spiffe_id(text) is None


@pytest.mark.parametrize(
    ("path", "namespace", "account"),
    [
        ("/ns/crm/sa/api", "crm", "api"),
        ("/ns/crm/sa/api/x", "", ""),
        ("/x/ns/crm/sa/api", "", ""),
        ("/ns/crm", "", ""),
        ("/ns/crm/SA/api", "", ""),
        ("/sa/api/ns/crm", "", ""),
        ("/workload", "", ""),
        ("", "", ""),
    ],
)
def test_only_the_shape_of_istio_has_a_namespace_and_an_account(path, namespace, account):
    """Exactly `/ns/X/sa/Y` is read; what merely contains it is not."""
    parsed = parse_spiffe_id(f"spiffe://td{path}")
    assert (namespace, account) == (parsed.namespace, parsed.service_account)


def test_trust_domain_names():
    """1 to 255 of the lower-case alphabet."""
    assert is_trust_domain("corp.example")
    assert is_trust_domain("d" * 255)
    assert not any(map(is_trust_domain, ["", "d" * 256, "Corp", "a/b", "a:1", "a\n", "*", "ä"]))


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        (ID, ID, True),
        (ID, ID + "x", False),
        (ID, ID.upper(), False),
        ("spiffe://td/a.b", "spiffe://td/aXb", False),
        ("spiffe://t.d/*", "spiffe://txd/a", False),
        ("spiffe://td/*", "spiffe://td/a", True),
        ("spiffe://td/*", "spiffe://td/a/b", False),
        ("spiffe://td/*", "spiffe://td", False),
        ("spiffe://td/*", "spiffe://td/", False),
        ("spiffe://td/*", "spiffe://td/..", False),
        ("spiffe://td/*", "spiffe://td/a\n", False),
        ("spiffe://td/*", "spiffe://other/a", False),
        ("spiffe://td/*", "spiffe://td.evil/a", False),
        ("spiffe://td/*", "xspiffe://td/a", False),
        ("spiffe://td/ns/*/sa/*", "spiffe://td/ns/a/sa/b", True),
        ("spiffe://td/ns/*/sa/*", "spiffe://td/ns/a/sa/b/c", False),
        ("spiffe://td/ns/*/sa/*", "spiffe://td/ns/a/sa", False),
        ("spiffe://td/ns/*/sa/*", "spiffe://td/ns/a/SA/b", False),
        ("spiffe://td/ns/*/sa/api", "spiffe://td/ns/a/b/sa/api", False),
        ("spiffe://td/ns/crm/**", "spiffe://td/ns/crm/sa/api", True),
        ("spiffe://td/ns/crm/**", "spiffe://td/ns/crm/x", True),
        ("spiffe://td/ns/crm/**", "spiffe://td/ns/crm", False),
        ("spiffe://td/ns/crm/**", "spiffe://td/ns/crm/", False),
        ("spiffe://td/ns/crm/**", "spiffe://td/ns/crm-evil/x", False),
        ("spiffe://td/ns/crm/**", "spiffe://td/ns/crm/../admin", False),
        ("spiffe://td/*/**", "spiffe://td/a/b/c", True),
        ("spiffe://td/*/**", "spiffe://td/a", False),
        ("spiffe://td/**", "spiffe://td/a/b", True),
        ("spiffe://td/**", "spiffe://td", False),
        ("spiffe://td/**", "spiffe://td/" + "x" * 2037, False),
        ("spiffe://**", ID, True),
        ("spiffe://**", "spiffe://td", True),
        ("spiffe://**", "https://td/a", False),
        ("spiffe://**", "spiffe://TD/a", False),
        ("spiffe://**", "", False),
        ("spiffe://**", "spiffe://td/" + "x" * 2037, False),
    ],
)
def test_patterns_cover_the_whole_id(pattern, text, expected):
    """`*` is one segment, a last `**` one or more, and nothing but a valid ID ever matches a wildcard."""
    assert expected is compile_spiffe_pattern(pattern).matches(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "starts with `spiffe://`"),
        ("*", "starts with `spiffe://`"),
        ("td/ns/a/sa/b", "starts with `spiffe://`"),
        ("SPIFFE://td/a", "starts with `spiffe://`"),
        ("spiffe://*", "wildcard cannot stand in the trust domain"),
        ("spiffe://*/a", "wildcard cannot stand in the trust domain"),
        ("spiffe://**/a", "wildcard cannot stand in the trust domain"),
        ("spiffe://*.example/a", "wildcard cannot stand in the trust domain"),
        ("spiffe://", "a trust domain is 1 to 255"),
        ("spiffe:///a", "a trust domain is 1 to 255"),
        ("spiffe://Td/a", "a trust domain is 1 to 255"),
        ("spiffe://td:80/a", "a trust domain is 1 to 255"),
        ("spiffe://" + "d" * 256 + "/a", "a trust domain is 1 to 255"),
        ("spiffe://td", r"write `spiffe://td/\*\*`"),
        ("spiffe://td/", "no empty segment and no trailing slash"),
        ("spiffe://td/a/", "no empty segment and no trailing slash"),
        ("spiffe://td/a//b", "no empty segment and no trailing slash"),
        ("spiffe://td/**/a", "must be the last segment"),
        ("spiffe://td/a-*", "for a whole segment"),
        ("spiffe://td/***", "for a whole segment"),
        ("spiffe://td/a/..", "is not `.` or `..`"),
        ("spiffe://td/./*", "is not `.` or `..`"),
        ("spiffe://td/{x}", "a segment is made of"),
        ("spiffe://td/a?", "a segment is made of"),
        ("spiffe://td/a\n", "a segment is made of"),
        ("spiffe://td/" + "x" * 2040, "at most 2048"),
    ],
)
def test_what_is_no_pattern_is_refused_with_advice(text, message):
    """The message names the mistake."""
    with pytest.raises(ValueError, match=message):
        compile_spiffe_pattern(text)


def test_patterns_know_whether_they_name_one_id_and_compare_by_text():
    """An exact pattern can be looked up by its text; equal texts are equal patterns."""
    exact, wide = compile_spiffe_pattern(ID), compile_spiffe_pattern("spiffe://td/**")
    assert (exact.exact, wide.exact, compile_spiffe_pattern("spiffe://**").exact) == (True, False, False)
    assert {exact, wide} == {compile_spiffe_pattern(ID), compile_spiffe_pattern("spiffe://td/**")}
    assert exact != ID
    assert f"SpiffePattern('{ID}')" == repr(exact)


@pytest.mark.parametrize(
    ("pattern", "prefix", "last"),
    [
        ("spiffe://**", "spiffe://", ""),
        ("spiffe://td/**", "spiffe://td/", ""),
        ("spiffe://td/ns/*/sa/api", "spiffe://td/ns/", "api"),
        ("spiffe://td/ns/*/sa/*", "spiffe://td/ns/", ""),
        ("spiffe://td/ns/*/sa/**", "spiffe://td/ns/", ""),
    ],
)
def test_patterns_tell_what_every_id_of_theirs_begins_and_ends_with(pattern, prefix, last):
    """An index can tell by it which patterns need not be asked."""
    compiled = compile_spiffe_pattern(pattern)
    assert (prefix, last) == (compiled.prefix, compiled.last)
