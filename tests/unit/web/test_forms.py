"""Forms: one reading, or none."""

import pytest

from authz_server.web.answers import WebError
from authz_server.web.forms import FORM, MAX_PARAMETERS, parse_form


def test_a_form_is_read():
    """Blanks, escapes, punctuation that some clients leave as it is; values that are empty were not sent."""
    assert parse_form(b"a=1&b=two+words&c=%7B%22x%22%3A%20%C3%A4%7D&d=&e=x~y:z/{}|^`'\"") == {
        "a": "1",
        "b": "two words",
        "c": '{"x": ä}',
        "e": "x~y:z/{}|^`'\"",
    }
    assert parse_form(b"") == {}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"a=1&a=2", "parameter_repeated"),
        (b"a=1&%61=2", "parameter_repeated"),
        (b"a=1&a=", "parameter_repeated"),
        (b"a=%ff", "form_not_utf8"),
        (b"a=%c0%af", "form_not_utf8"),
        (b"a=%ed%a0%80", "form_not_utf8"),
        (b"a=\xc3\xa4", "form_malformed"),
        (b"a=%0", "form_malformed"),
        (b"a=%zz", "form_malformed"),
        (b"a=%00", "form_malformed"),
        (b"a", "form_malformed"),
        (b"=1", "form_malformed"),
        (b"a=1&", "form_malformed"),
        (b"a=1&&b=2", "form_malformed"),
        (b"a=1\n", "form_malformed"),
        (b"a=1#b", "form_malformed"),
        (b"a b=1", "form_malformed"),
        (b"a;b=1", "form_malformed"),
        (b"x" * 200 + b"=1", "form_malformed"),
        (b"&".join(b"a%d=1" % n for n in range(MAX_PARAMETERS + 1)), "form_too_many"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(body, reason):
    with pytest.raises(WebError) as caught:
        parse_form(body)
    assert (caught.value.status, caught.value.reason) == (400, reason)


def test_as_many_as_are_accepted():
    assert len(parse_form(b"&".join(b"a%d=1" % n for n in range(MAX_PARAMETERS)))) == MAX_PARAMETERS


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("application/x-www-form-urlencoded", True),
        ("Application/X-WWW-Form-Urlencoded; charset=UTF-8", True),
        ('application/x-www-form-urlencoded;charset="utf-8"', True),
        ("application/x-www-form-urlencoded; charset=latin-1", False),
        ("application/x-www-form-urlencoded, application/json", False),
        ("application/x-www-form-urlencoded\n", False),
        ("multipart/form-data", False),
        ("", False),
    ],
)
def test_the_media_type(text, holds):
    assert (FORM.fullmatch(text) is not None) == holds
