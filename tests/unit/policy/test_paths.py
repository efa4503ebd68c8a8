"""authz_server/policy/paths.py."""

import pytest

from authz_server.envoy.paths import canonical_path
from authz_server.errors import DecodeError
from authz_server.policy.paths import Segment, SegmentKind, captures_of, parse_path


def test_segments_are_literals_captures_and_wildcards():
    """Each segment has its kind, and captures know their place in the path."""
    segments = parse_path("/v1/{customer}/*/x.y/**")
    assert segments == (
        Segment(SegmentKind.LITERAL, "v1"),
        Segment(SegmentKind.CAPTURE, "customer"),
        Segment(SegmentKind.ANY),
        Segment(SegmentKind.LITERAL, "x.y"),
        Segment(SegmentKind.REST),
    )
    assert captures_of(segments) == (("customer", 2),)


@pytest.mark.parametrize(("one", "two"), [("/", "/"), ("/a/", "/a"), ("/a/**/", "/a/**")])
def test_a_slash_at_the_end_means_nothing(one, two):
    """A decoded path has none, so a pattern needs none."""
    assert parse_path(one) == parse_path(two)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "begins with `/`"),
        ("v1", "begins with `/`"),
        ("*", "begins with `/`"),
        ("/a//b", "empty segment"),
        ("/a/./b", "no `.` or `..`"),
        ("/a/../b", "no `.` or `..`"),
        ("/**/a", "can only be the last"),
        ("/a*", "whole segment"),
        ("/{a}.json", "whole segment"),
        ("/x{a}", "whole segment"),
        ("/{}", "no name"),
        ("/{a-b}", "no name"),
        ("/{in}", "reserved word"),
        ("/{a}/{a}", "twice"),
        ("/a?b=c", "percent-encoded"),
        ("/a b", "percent-encoded"),
        ("/ä", "percent-encoded"),
        ("/a;b", "percent-encoded"),
        ("/a#b", "percent-encoded"),
        ("/%2f", "percent-encoded"),
        ("/%2F", "refused in requests"),
        ("/%41", "the character itself"),
        ("/%00", "refused in requests"),
        ("/a\n", "percent-encoded"),
        ("/" + "a" * 512, "at most 512"),
        ("/a" * 33, "at most 32 segments"),
    ],
)
def test_paths_that_no_request_can_have_are_refused(path, message):
    """A pattern that could never match is a mistake to be found at load."""
    with pytest.raises(ValueError, match=message):
        parse_path(path)


@pytest.mark.parametrize("octet", range(128))
def test_escapes_are_accepted_exactly_as_decoded_requests_have_them(octet):
    """A pattern may hold an escape if and only if a decoded path can."""
    path = f"/a%{octet:02X}"
    try:
        survives = canonical_path(path) == path
    except DecodeError:
        survives = False
    if survives:
        assert parse_path(path) == (Segment(SegmentKind.LITERAL, path[1:]),)
    else:
        with pytest.raises(ValueError, match="refused in requests"):
            parse_path(path)
