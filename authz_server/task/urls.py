"""The one spelling of a target URI that proofs are compared in (RFC 3986 6.2.2.1 and 6.2.3, RFC 9449 4.3)."""

import re
from typing import Final

from authz_server.errors import DecodeError

MAX_URL: Final = 4096
"""Characters: a path of any request that proxies accept, and its authority."""
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}
_URL: Final = re.compile(
    r"(https?)://([a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\])(:[1-9][0-9]{0,4})?((?:/[\x21\x24-\x3e\x40-\x7e]*)?)", re.IGNORECASE
)  # fmt: skip


def canonical_url(url: str, *, cut: bool = False) -> str:
    """Bring scheme and host into lower-case, and leave the default port out; the path stays as it is.

    Escapes are not folded: paths with more than one spelling are refused before a step is decided.

    Args:
        url: absolute, `http` or `https`.
        cut: without the query and the fragment, which are refused otherwise.

    Raises:
        DecodeError: `htu` for everything else: another scheme, user information, blanks, other alphabets.
    """
    if cut:
        url = url.partition("#")[0].partition("?")[0]
    found = _URL.fullmatch(url) if len(url) <= MAX_URL and url.isascii() else None
    if found is None:
        raise DecodeError("htu")
    scheme, port = found[1].lower(), found[3] or ""
    if port == _DEFAULT_PORTS[scheme]:
        port = ""
    return f"{scheme}://{found[2].lower()}{port}{found[4] or '/'}"
