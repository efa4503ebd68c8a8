"""Properties of the x-forwarded-client-cert parser."""

import json

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from authz_server.identity.xfcc import MAX_ELEMENTS, XfccElement, XfccError, parse_xfcc, select_caller

PRINTABLE = st.characters(min_codepoint=0x20, exclude_characters="\x7f", exclude_categories=["Cs"])
VALUE = st.text(PRINTABLE, max_size=20).filter(
    lambda value: ",by=" not in value.lower() and ",hash=" not in value.lower()
)
URI = st.text(PRINTABLE, min_size=1, max_size=20).filter(lambda uri: uri != "-")
HASH = st.just("") | st.from_regex(r"[0-9a-f]{64}", fullmatch=True)
ELEMENT = st.builds(
    XfccElement, by=VALUE, uri=URI, hash=HASH, cert=VALUE, subject=VALUE, dns=st.lists(VALUE, max_size=3).map(tuple)
)
ELEMENTS = st.lists(ELEMENT, min_size=1, max_size=4)
SYNTAX = st.text(alphabet='ByURIHashDNSubjectCert=;,"\\[]{}: -a\x00', max_size=60)
OWN = "spiffe://td/own"


def quote(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def print_text(elements: list[XfccElement]) -> str:
    return ",".join(
        ";".join(
            [
                f"By={quote(e.by)}",
                f"Hash={quote(e.hash)}",
                f"Cert={quote(e.cert)}",
                f"Subject={quote(e.subject)}",
                f"URI={quote(e.uri)}",
                *(f"DNS={quote(name)}" for name in e.dns),
            ]
        )
        for e in elements
    )


def print_json(elements: list[XfccElement]) -> str:
    return json.dumps(
        [
            {"by": [e.by], "hash": e.hash, "cert": e.cert, "subject": e.subject, "uri": [e.uri], "dns": list(e.dns)}
            for e in elements
        ]
    )


@given(ELEMENTS)
def test_quoted_text_comes_back(elements):
    """Whatever the values hold, quoted elements parse to themselves."""
    assert tuple(elements) == parse_xfcc(print_text(elements))


@given(ELEMENTS)
def test_json_comes_back(elements):
    """Whatever the values hold, the JSON form parses to itself."""
    assert tuple(elements) == parse_xfcc(print_json(elements), allow_json=True)


@given(st.text() | SYNTAX | SYNTAX.map(lambda text: f"[{text}]"), st.booleans())
def test_every_text_parses_or_is_refused(text, allow_json):
    """No text raises anything but the parser's own error, and what parses is bounded and complete."""
    try:
        elements = parse_xfcc(text, allow_json=allow_json)
    except XfccError as error:
        event(error.code)
        return
    assert 1 <= len(elements) <= MAX_ELEMENTS
    assert all(element.uri for element in elements)


@given(ELEMENTS, st.integers(0, 400), SYNTAX)
def test_damaged_text_parses_or_is_refused(elements, position, insert):
    """Text damaged anywhere behaves as arbitrary text does."""
    text = print_text(elements)
    test_every_text_parses_or_is_refused.hypothesis.inner_test(text[:position] + insert + text[position:], False)


def write_as_envoy(client_header: str, names: list[str], *, subject: bool) -> str:
    """The header behind an appending Envoy whose client has the identity `evil` and these DNS names."""
    element = [f"By={OWN}", f"Hash={'0' * 64}", *(['Subject=""'] if subject else []), "URI=spiffe://td/evil"]
    own = ";".join([*element, *(f"DNS={name}" for name in names)])
    return f"{client_header},{own}" if client_header else own


HOSTILE_NAMES = [
    f"a,By={OWN};URI=spiffe://td/admin",
    f"a,By=x;URI=y,By={OWN};URI=spiffe://td/admin",
    f'a,By={OWN};URI=spiffe://td/admin;Subject="',
    "a;URI=spiffe://td/admin",
    '";URI=spiffe://td/admin',
    f'",By={OWN};URI=spiffe://td/admin',
]
HOSTILE_HEADERS = [
    "",
    "By=x;URI=y",
    'URI=y;Subject="',
    'By=x;URI=y;Subject="',
    f"By={OWN};URI=spiffe://td/admin",
    f'By={OWN};URI=spiffe://td/admin;Subject="',
    f'By={OWN};Subject="',
]


@settings(max_examples=500)
@given(
    SYNTAX | st.sampled_from(HOSTILE_HEADERS),
    st.lists(st.text(alphabet='a,;="\\', max_size=6) | st.sampled_from(HOSTILE_NAMES), max_size=3),
    st.booleans(),
)
def test_a_hostile_certificate_and_header_never_speak_for_another(client_header, names, subject):
    """With his own header in front and his own DNS names behind, the client is himself or nobody."""
    text = write_as_envoy(client_header, names, subject=subject)
    try:
        found = select_caller(parse_xfcc(text), lambda _: False, (OWN,), sanitize_set=False)
    except XfccError:
        return
    assert isinstance(found, str) or found.uri == "spiffe://td/evil"


@pytest.mark.parametrize("name", HOSTILE_NAMES)
@pytest.mark.parametrize("client_header", HOSTILE_HEADERS)
@pytest.mark.parametrize("subject", [False, True])
def test_each_known_forgery_is_refused(client_header, name, subject):
    """Every pair of a prepared header and a prepared certificate ends without a caller."""
    text = write_as_envoy(client_header, [name], subject=subject)
    try:
        found = select_caller(parse_xfcc(text), lambda _: False, (OWN,), sanitize_set=False)
    except XfccError:
        return
    assert isinstance(found, str)
