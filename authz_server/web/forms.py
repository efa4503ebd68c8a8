"""Bodies of HTML forms as OAuth uses them (RFC 6749, appendix B), read so that nobody can read them otherwise.

A parameter that occurs twice, a broken escape or text that is no UTF-8 refuses the whole body: of two values one program
takes the first and the next one the last.
"""

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from authz_server.web.answers import WebError

FORM: Final = re.compile(
    r"application/x-www-form-urlencoded(?:[ \t]*;[ \t]*charset=(?:utf-8|\"utf-8\"))?", re.IGNORECASE
)
MAX_PARAMETERS: Final = 32
"""Twice what the largest request of RFC 8693 has."""
_PAIR: Final = re.compile(r"((?:[A-Za-z0-9*._~+-]|%[0-9A-Fa-f]{2}){1,128})=((?:[!\"$'-~]|%[0-9A-Fa-f]{2})*)")
"""Name and value. Clients escape more or less of the punctuation; blanks are `+`, and `&`, `#` and `%` always escaped."""


def parse_form(body: bytes) -> dict[str, str]:
    """Read a form.

    Returns:
        Its parameters; those without a value are left out, as if they were not sent (RFC 6749 3.2).

    Raises:
        WebError: 400 with `form_malformed`, `form_not_utf8`, `form_too_many` or `parameter_repeated`.
    """
    if not body:
        return {}
    if not body.isascii():
        raise WebError(400, "form_malformed", "a form is ASCII; everything else is percent-encoded UTF-8")
    pairs = body.decode("ascii").split("&")
    if len(pairs) > MAX_PARAMETERS:
        raise WebError(400, "form_too_many", f"a form has at most {MAX_PARAMETERS} parameters")
    found: dict[str, str] = {}
    for pair in pairs:
        read = _PAIR.fullmatch(pair)
        if read is None:
            raise WebError(400, "form_malformed", "a form is a list of name=value, joined by `&` and percent-encoded")
        name, value = _decode(read[1]), _decode(read[2])
        if name in found:
            raise WebError(400, "parameter_repeated", "a parameter is sent once at most")
        found[name] = value
    return {name: value for name, value in found.items() if value}


def _decode(text: str) -> str:
    try:
        decoded = unquote_to_bytes(text.replace("+", " ")).decode("utf-8")
    except UnicodeDecodeError:
        raise WebError(400, "form_not_utf8", "percent-encoded text is UTF-8") from None
    if "\0" in decoded:
        raise WebError(400, "form_malformed", "no text holds a NUL")
    return decoded
