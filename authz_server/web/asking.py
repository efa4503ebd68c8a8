"""One request as the handlers see it: who asks, and a whole body within bounds."""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from starlette.requests import Request

from authz_server.content.json_strict import JsonValue, parse_json
from authz_server.errors import DecodeError
from authz_server.model import Caller, CallerKind
from authz_server.web.answers import WebError
from authz_server.web.forms import FORM, parse_form

MAX_BODY: Final = 64 * 1024
"""Bytes: a batch of evaluations with bodies of their own; a token request has a tenth of it."""
CALLER: Final = "caller"
"""Where in the scope's `state` the listener puts who asks."""
_JSON: Final = re.compile(r"application/json(?:[ \t]*;[ \t]*charset=(?:utf-8|\"utf-8\"))?", re.IGNORECASE)
_NOBODY: Final = Caller(CallerKind.INSECURE, "", valid=False, reason="caller_absent")


class Asked(NamedTuple):
    """One request."""

    caller: Caller
    headers: Mapping[str, str]
    """Lower-case names; the first value of each."""
    body: bytes
    place: Mapping[str, str]
    """What the path holds, by name."""
    query: str


def caller_of(state: Mapping[str, object]) -> Caller:
    """Who asks, as the listener found it; nobody where it did not say."""
    found = state.get(CALLER)
    return found if isinstance(found, Caller) else _NOBODY


async def read_request(request: Request) -> Asked:
    """Take a request in, with all of its body.

    Raises:
        WebError: 413 `body_too_large`.
    """
    declared = request.headers.get("content-length", "0")
    if not declared.isdigit() or int(declared[:12]) > MAX_BODY:
        raise _too_large()
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise _too_large()
    caller = caller_of(request.scope.get("state", {}))
    return Asked(caller, dict(request.headers), bytes(body), request.path_params, request.url.query)


def read_form(asked: Asked) -> dict[str, str]:
    """The parameters of a form.

    Raises:
        WebError: 415 `content_type`, or 400: it is no form, or there is something in the query too.
    """
    if FORM.fullmatch(asked.headers.get("content-type", "")) is None:
        raise WebError(415, "content_type", "the body is application/x-www-form-urlencoded in UTF-8")
    if asked.query:
        raise WebError(400, "query_refused", "parameters stand in the body; what is in a URL is written into logs")
    return parse_form(asked.body)


def read_json(asked: Asked) -> dict[str, JsonValue]:
    """The JSON object of the body.

    Raises:
        WebError: 415 `content_type`, or 400 with the code of `parse_json`, or `json_not_object`.
    """
    if _JSON.fullmatch(asked.headers.get("content-type", "")) is None:
        raise WebError(415, "content_type", "the body is application/json in UTF-8")
    try:
        found = parse_json(asked.body)
    except DecodeError as error:
        raise WebError(400, error.code, "the body is one JSON document that all read alike") from None
    if not isinstance(found, dict):
        raise WebError(400, "json_not_object", "the body is a JSON object")
    return found


def _too_large() -> WebError:
    text = f"a body has at most {MAX_BODY} bytes"
    return WebError(413, "body_too_large", text, headers={"connection": "close"})
