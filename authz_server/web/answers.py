"""What the web answers: JSON, and errors in the two shapes that its clients know, with stable reason codes and no inner text.

Problem documents are RFC 9457, errors of OAuth RFC 6749 section 5.2. Both carry our own `reason`.
"""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from authz_server.errors import AuthzError

JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"
NO_STORE: Final = "no-store"
_NOTHING: Final[Mapping[str, str]] = {}


class Answer(NamedTuple):
    """One response."""

    status: int
    body: Mapping[str, Any] | None = None
    """None for none."""
    media_type: str = JSON
    headers: Mapping[str, str] = _NOTHING
    cache: str = NO_STORE
    """The value of Cache-Control."""

    @property
    def content(self) -> bytes:
        """The body as ASCII JSON, so that no display is made to obey what a name holds."""
        return b"" if self.body is None else json.dumps(self.body, separators=(",", ":")).encode()


class WebError(AuthzError):
    """A request that is refused.

    Attributes:
        status: of HTTP.
        reason: a stable snake_case code, such as `parameter_repeated`.
        text: for whoever asked.
        error: the error code of OAuth 2.0 that stands for the same.
        kind: a URI for `type` of the problem document; `""` for `about:blank`.
        headers: of the answer.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        text: str,
        *,
        error: str = "invalid_request",
        kind: str = "",
        headers: Mapping[str, str] = _NOTHING,
    ) -> None:
        super().__init__(text)
        self.status = status
        self.reason = reason
        self.text = text
        self.error = error
        self.kind = kind
        self.headers = headers


def problem(error: WebError) -> Answer:
    """A refusal as a problem document."""
    phrase = HTTPStatus(error.status).phrase
    body = {
        "type": error.kind or "about:blank",
        "title": phrase,
        "status": error.status,
        "detail": error.text,
        "reason": error.reason,
    }
    return Answer(error.status, body, PROBLEM, error.headers)


def oauth_error(error: WebError) -> Answer:
    """A refusal as an OAuth client expects it; `error_description` has no character that RFC 6749 forbids there."""
    described = "".join(each if " " <= each <= "~" and each not in '"\\' else "'" for each in error.text)
    body = {"error": error.error, "error_description": described, "reason": error.reason}
    return Answer(error.status, body, JSON, {"pragma": "no-cache", **error.headers})


def unavailable() -> WebError:
    """The refusal of an act whose record cannot be kept or read at the moment."""
    text = "the store does not answer; nothing is known to have changed, ask again"
    return WebError(503, "store_unavailable", text, error="temporarily_unavailable", headers={"retry-after": "1"})


def internal() -> WebError:
    """The refusal for a fault of ours."""
    return WebError(500, "internal_error", "the server failed", error="server_error")
