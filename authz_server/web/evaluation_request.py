"""What AuthZEN asks (Authorization API 1.0): subject, action, resource and context, to the step that is meant.

A subject is `{"type": "workload", "id": <SPIFFE ID>}`, an action's name is the HTTP method, a resource is
`{"type": "http", "id": <URL>}`. Further properties are those of a request: `headers`, `body`, `service` (the destination's
name at its route), `destination_principal`, and `ip_address` and `certificate` (PEM) of the subject. Unknown ones are ignored, as the API asks.
"""

import ipaddress
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from authz_server.content.json_strict import JsonValue
from authz_server.web.answers import WebError
from authz_server.web.described import DescribedStep

WORKLOAD: Final = "workload"
HTTP: Final = "http"
MAX_ID: Final = 8192
"""Characters of an id: the longest path that a proxy passes on by default."""
MAX_LINES: Final = 96
"""Header lines of one described request."""
MAX_VALUE: Final = 16_384
"""Characters of a header: a token has 8 KiB."""
_URL: Final = re.compile(
    r"(https?)://([A-Za-z0-9.-]{1,253}(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::[0-9]{1,5})?)(/[!-\"$-~]*)?"
)
"""Scheme, authority without a userinfo, and path with the query; a fragment is never sent."""
_METHOD: Final = re.compile(r"[A-Z-]{1,32}")
_FIELD: Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,128}")
"""RFC 9110 5.1, in lower case as HTTP/2 wants it."""
_OURS: Final = frozenset({"content-length", "transfer-encoding", "host", "x-envoy-auth-partial-body"})
"""What follows from the rest of the description."""


class Evaluation(NamedTuple):
    """One question."""

    subject: Mapping[str, JsonValue]
    action: Mapping[str, JsonValue]
    resource: Mapping[str, JsonValue]
    context: Mapping[str, JsonValue]

    @property
    def principal(self) -> str:
        """About whom."""
        return str(self.subject["id"])

    @property
    def is_ours(self) -> bool:
        """Whether it is about a workload's HTTP request; of nothing else is anything known here."""
        return self.subject["type"] == WORKLOAD and self.resource["type"] == HTTP

    @property
    def is_parsed(self) -> bool:
        """Whether the body is no text any more."""
        return not isinstance(_table(self.resource, "properties").get("body", ""), str)

    def step(self) -> DescribedStep:
        """The step that is meant.

        Raises:
            WebError: 400 with a code that ends in `_invalid`.
        """
        url = _URL.fullmatch(str(self.resource["id"]))
        if url is None:
            raise _invalid(
                "resource_id", "the id of a resource is an absolute URL of http or https, without a fragment"
            )
        method = str(self.action["name"])
        if _METHOD.fullmatch(method) is None:
            raise _invalid("action_name", "the name of an action is the method of HTTP, in upper case")
        told = _table(self.resource, "properties")
        headers, body = tuple(_lines(told)), _body(told)
        if body is not None and isinstance(told.get("body"), dict | list) and "content-type" not in dict(headers):
            headers += (("content-type", "application/json"),)
        return DescribedStep(
            method=method,
            host=url[2],
            path=url[3] or "/",
            principal=self.principal,
            scheme=url[1],
            headers=headers,
            body=body,
            address=_address(_table(self.subject, "properties")),
            destination_principal=_text(told, "destination_principal"),
            service=_text(told, "service"),
            certificate=_text(_table(self.subject, "properties"), "certificate"),
        )


def read_evaluation(found: Mapping[str, JsonValue]) -> Evaluation:
    """Read one question.

    Raises:
        WebError: 400 `member_missing` or `member_invalid`.
    """
    return Evaluation(
        _entity(found, "subject", ("type", "id")),
        _entity(found, "action", ("name",)),
        _entity(found, "resource", ("type", "id")),
        _table(found, "context"),
    )


def _entity(found: Mapping[str, JsonValue], name: str, needed: Iterable[str]) -> Mapping[str, JsonValue]:
    entity = found.get(name)
    if not isinstance(entity, dict):
        raise WebError(400, "member_missing", f"`{name}` is missing, or is no object")
    for member in needed:
        text = entity.get(member)
        if not isinstance(text, str) or not 0 < len(text) <= MAX_ID:
            raise WebError(400, "member_missing", f"`{name}.{member}` is missing, or is no text of a sensible length")
    _table(entity, "properties")
    return entity


def _table(found: Mapping[str, JsonValue], name: str) -> dict[str, JsonValue]:
    table = found.get(name, {})
    if not isinstance(table, dict):
        raise WebError(400, "member_invalid", f"`{name}` is an object")
    return table


def _text(found: Mapping[str, JsonValue], name: str) -> str:
    text = found.get(name, "")
    if not isinstance(text, str) or len(text) > MAX_ID:
        raise _invalid(name, f"`{name}` is a text of a sensible length")
    return text


def _lines(told: Mapping[str, JsonValue]) -> Iterable[tuple[str, str]]:
    """The header lines: a value, or a list of values for a name that occurs more than once."""
    count = 0
    for name, values in _table(told, "headers").items():
        lower = name.lower()
        if _FIELD.fullmatch(lower) is None or lower in _OURS:
            raise _invalid("headers", "a header has a name of RFC 9110, and is none of those that frame the request")
        for value in values if isinstance(values, list) else [values]:
            count += 1
            if not isinstance(value, str) or not value.isprintable() or len(value) > MAX_VALUE or count > MAX_LINES:
                raise _invalid("headers", f"headers are up to {MAX_LINES} printable texts, or lists of such")
            yield lower, value


def _body(told: Mapping[str, JsonValue]) -> bytes | None:
    """The body: a text as it is, or an object or array as compact JSON."""
    if "body" not in told:
        return None
    body: Any = told["body"]
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, dict | list):
        return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
    raise _invalid("body", "a body is a text, or an object or array that is sent as JSON")


def _address(told: Mapping[str, JsonValue]) -> str:
    text = _text(told, "ip_address")
    try:
        return str(ipaddress.ip_address(text)) if text and "%" not in text else ""
    except ValueError:
        raise _invalid("ip_address", "`ip_address` is one of IPv4 or IPv6") from None


def _invalid(what: str, text: str) -> WebError:
    return WebError(400, f"{what}_invalid", text)
