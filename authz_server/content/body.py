"""Whether the body of a request can be relied on at all, before anything is read in it."""

from authz_server.content.json_strict import is_json
from authz_server.errors import DecodeError
from authz_server.model import BodyState, Request


def require_json_body(request: Request) -> None:
    """Refuse a body that is not there whole, or that is not JSON by its headers.

    A server that ignores the content type would read what was never looked at here; so the type decides nothing but
    whether the request goes on.

    Raises:
        DecodeError: `body_absent`, `body_partial`, `body_unavailable`, `body_too_large` or `body_not_json`.
    """
    if request.body_state is not BodyState.COMPLETE:
        raise DecodeError(f"body_{request.body_state.value}")
    if not is_json(request.headers):
        raise DecodeError("body_not_json")
