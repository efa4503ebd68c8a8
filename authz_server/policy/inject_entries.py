"""Reading the entries of `inject`: which credential a destination gets, and which headers do not go on to it."""

import re
from typing import Final

from authz_server.policy.fields import Fields, Scope
from authz_server.policy.section_entries import InjectEntry
from authz_server.policy.step_match import StepMatches
from authz_server.policy.tree import Node, Table, shown
from authz_server.policy.words import Place

MIN_TTL_MS: Final = 1000
MAX_TTL_MS: Final = 60_000
"""A minute: the credential is for the one request that it is put into."""
MAX_AUDIENCE: Final = 256
"""Characters of an audience: it goes into every token."""
MAX_STRIP: Final = 16
"""Headers that one entry removes; Envoy does it one by one."""

_FIELDS: Final = ("match", "header", "audience", "ttl", "strip")
_TOKEN: Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,64}")
_AUDIENCE: Final = re.compile(r"[a-z][a-z0-9+.-]{0,31}:[A-Za-z0-9._~:/?@!$&'()*+,;=%\[\]-]+")
_HTTPS: Final = re.compile(r"https://[a-z0-9](?:[a-z0-9.-]{0,252})(?::[0-9]{1,5})?(?:[/?].*)?")
_FRAMING: Final = frozenset(
    {
        "connection", "content-length", "expect", "host", "http2-settings", "keep-alive", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade", "x-forwarded-client-cert",
    }
)  # fmt: skip
"""What delimits the message, says where it goes (RFC 9110, section 7) or, the last, speaks for the proxy about the caller."""
_OWN_PREFIXES: Final = ("x-authz-", "x-envoy-")
"""Ours, which are set by the decision itself, and Envoy's, which it takes as instructions."""


def read_injection(node: Node, matches: StepMatches, scope: Scope) -> InjectEntry | None:
    """Read one entry; None when its match, header or audience is not usable, so that no credential goes astray."""
    fields = Fields(node, Place.INJECT_FIELD, _FIELDS, scope)
    fields.require("match", "header", "audience")
    match = matches.read(fields, "match")
    tried = fields.node_of("match")
    if isinstance(tried, Table) and tried.nodes and not tried.nodes.keys() & {"action", "destination"}:
        fields.fault("a credential is for something: `action` or `destination`", "match")
    header = _header(fields)
    audience = _audience(fields)
    strip = tuple(sorted(set(fields.texts("strip", _check_header))))
    if len(strip) > MAX_STRIP:
        fields.fault(f"at most {MAX_STRIP} headers", "strip")
    if header and header in strip:
        fields.fault(f"`{header}` is the header that the credential is put into", "strip")
    ttl = fields.duration("ttl", MIN_TTL_MS, MAX_TTL_MS, MAX_TTL_MS)
    if not match or not header or not audience:
        return None
    return InjectEntry(match, header, audience, ttl // 1000, strip, fields.node)


def find_clash(one: InjectEntry, two: InjectEntry) -> str:
    """What keeps one entry from holding for the steps of the other, or `""`."""
    if one.header == two.header:
        return f"it sets `{one.header}`"
    if two.header in one.strip:
        return f"it strips the `{two.header}` that is set"
    return f"it sets the `{one.header}` that is stripped" if one.header in two.strip else ""


def _header(fields: Fields) -> str:
    name = fields.text("header")
    if name:
        try:
            _check_header(name)
        except ValueError as error:
            fields.fault(str(error), "header")
            return ""
    return name


def _check_header(name: str) -> None:
    if _TOKEN.fullmatch(name) is None:
        raise ValueError(f"`{shown(name)}` is no header: 1 to 64 of a lower-case token, without `:`")
    # An upstream may take `_` for `-` (CGI, RFC 3875, section 4.1.18).
    spelt = name.replace("_", "-")
    if spelt in _FRAMING or spelt.startswith(_OWN_PREFIXES):
        raise ValueError(f"`{name}` is not the policy's to set or remove")


def _audience(fields: Fields) -> str:
    """An absolute URI without a fragment (RFC 8707, section 2); `""` when absent or after a fault."""
    text = fields.text("audience", most=MAX_AUDIENCE)
    if not text:
        return ""
    if _AUDIENCE.fullmatch(text) is None or (text.startswith("https:") and _HTTPS.fullmatch(text) is None):
        fields.fault(f"`{shown(text)}` is no absolute URI without a fragment, such as https://crm.example", "audience")
        return ""
    return text
