"""Properties of SPIFFE IDs and patterns."""

from hypothesis import given
from hypothesis import strategies as st

from authz_server.spiffe import SpiffeId, compile_spiffe_pattern, parse_spiffe_id

SEGMENT = st.from_regex(r"[a-zA-Z0-9._-]{1,12}", fullmatch=True).filter(lambda segment: segment not in {".", ".."})
DOMAIN = st.from_regex(r"[a-z0-9._-]{1,20}", fullmatch=True)
PATH = st.lists(SEGMENT, max_size=5).map(lambda segments: "".join("/" + segment for segment in segments))
NEAR = st.text(alphabet="spife:/.*aA-_%?#@\n\x00é", max_size=30).map(lambda text: "spiffe://" + text)


@given(DOMAIN, PATH)
def test_printing_and_parsing_are_inverse(trust_domain, path):
    """Every ID made of valid parts prints to a text that parses to it."""
    spiffe_id = SpiffeId(trust_domain, path)
    assert spiffe_id == parse_spiffe_id(str(spiffe_id))


@given(st.text() | NEAR)
def test_what_parses_prints_as_itself(text):
    """No text is an ID in another spelling."""
    parsed = parse_spiffe_id(text)
    assert parsed is None or text == str(parsed)


@given(DOMAIN, st.lists(st.tuples(SEGMENT, st.booleans()), min_size=1, max_size=5), st.booleans())
def test_an_id_matches_each_generalisation_of_itself(trust_domain, segments, rest):
    """Replacing segments by `*`, or the tail by `**`, keeps the match; another trust domain or depth breaks it."""
    text = f"spiffe://{trust_domain}/" + "/".join(segment for segment, _ in segments)
    parts = ["*" if wild else segment for segment, wild in segments]
    pattern = compile_spiffe_pattern(f"spiffe://{trust_domain}/" + "/".join([*parts[:-1], "**"] if rest else parts))
    assert pattern.matches(text)
    assert not pattern.matches(text.replace("spiffe://", "spiffe://x", 1))
    assert pattern.matches(text + "/more") is rest
    assert not pattern.matches(text + "/")


@given(NEAR, NEAR)
def test_wildcards_match_valid_ids_only(pattern, text):
    """Whatever a pattern matches is a SPIFFE ID, and what is no pattern is a ValueError."""
    try:
        compiled = compile_spiffe_pattern(pattern)
    except ValueError:
        return
    assert not compiled.matches(text) or parse_spiffe_id(text) is not None
