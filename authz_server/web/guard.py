"""What every request has to pass before anybody reads it: bounds, one reading of its length, and no other site's page behind it.

A browser sends the certificate of its owner along with what any page tells it to send, and says so in `Origin`. Nothing
here is for pages of other sites.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from authz_server.model import Caller
from authz_server.web.answers import Answer, WebError, problem

MAX_HEADERS: Final = 96
"""Lines; a browser sends some twenty, and a mesh adds a dozen."""
MAX_HEADER_BYTES: Final = 64 * 1024
"""Names and values: the XFCC of a sidecar holds a certificate."""
MAX_TARGET: Final = 2048
"""Bytes of path and query; the longest path here has 80."""
MAX_OF_ONE: Final = 16
"""Requests of one caller that wait to be answered; eight are answered at once."""


class Guard:
    """Passes on what is within bounds.

    Args:
        app: what is guarded.
        origin: of our own pages, `https://host[:port]`; `""` for none.
    """

    def __init__(self, app: ASGIApp, origin: str = "") -> None:
        self._app = app
        self._origin = origin.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI 3.0)."""
        if scope["type"] != "http":
            return
        error = self._fault(scope)
        if error is not None:
            await response_of(problem(error))(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _fault(self, scope: Scope) -> WebError | None:
        lines: list[tuple[bytes, bytes]] = scope["headers"]
        if len(lines) > MAX_HEADERS or sum(len(name) + len(value) for name, value in lines) > MAX_HEADER_BYTES:
            return WebError(431, "headers_too_large", "the header section is too large", headers=_CLOSE)
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > MAX_TARGET:
            return WebError(414, "target_too_long", "the request target is too long", headers=_CLOSE)
        names = Counter(name for name, _ in lines)
        if any(names[name] > 1 for name in _ONCE) or (names[b"content-length"] and names[b"transfer-encoding"]):
            return WebError(
                400, "header_repeated", "a header that frames or describes the body occurs once", headers=_CLOSE
            )
        if names[b"content-encoding"]:
            return WebError(415, "content_encoding", "bodies are taken as they are, without a coding", headers=_CLOSE)
        return self._foreign(dict(lines))

    def _foreign(self, headers: dict[bytes, bytes]) -> WebError | None:
        origin = headers.get(b"origin")
        foreign = origin is not None and (not self._origin or origin != self._origin)
        if foreign or headers.get(b"sec-fetch-site") in {b"cross-site", b"same-site"}:
            return WebError(403, "origin_refused", "pages of other sites do not ask here", headers=_CLOSE)
        return None


class Share:
    """How many requests of each caller are being answered. Used by one thread.

    They count when they are all there: a slow one takes nobody's share.
    """

    def __init__(self) -> None:
        self._under_way: Counter[str] = Counter()

    @contextmanager
    def of(self, caller: Caller) -> Iterator[None]:
        """Answer one request.

        Raises:
            WebError: 429 `too_many_requests`.
        """
        who = caller.id
        if self._under_way[who] >= MAX_OF_ONE:
            text = "this caller has too many requests under way; wait for some of them"
            raise WebError(429, "too_many_requests", text, headers={"retry-after": "1"})
        self._under_way[who] += 1
        try:
            yield
        finally:
            self._under_way[who] -= 1
            if not self._under_way[who]:
                del self._under_way[who]


def response_of(answer: Answer) -> Response:
    """An answer as Starlette sends it."""
    headers = {"cache-control": answer.cache, "x-content-type-options": "nosniff", **answer.headers}
    content = answer.content
    if not content:
        return Response(status_code=answer.status, headers=headers)
    return Response(content, answer.status, {**headers, "content-type": answer.media_type})


_CLOSE: Final = {"connection": "close"}
_ONCE: Final = (b"content-type", b"content-length", b"transfer-encoding", b"authorization", b"origin", b"host")
