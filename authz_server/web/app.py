"""Which path is answered by what."""

import asyncio
import logging
import re
from collections.abc import Callable
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from authz_server.web.access_requests import AccessPorts, AccessRequests
from authz_server.web.answers import Answer, WebError, internal, oauth_error, problem
from authz_server.web.approving import Approving, ApprovingPorts
from authz_server.web.asking import Asked, read_request
from authz_server.web.authzen import Authzen, AuthzenPorts
from authz_server.web.guard import Guard, Share, response_of
from authz_server.web.metadata import Metadata, MetadataPorts
from authz_server.web.oauth import OAuthPorts, TokenService

LOG: Final = logging.getLogger(__name__)

REQUEST_ID: Final = "x-request-id"
"""Echoed (Authorization API 1.0, section on request identification)."""
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._~+/=:-]{1,128}")

Handler = Callable[[Asked], Answer]
"""Answers a request, in a thread of its own; raises WebError."""


class WebPorts(NamedTuple):
    """What is served; what is None is not."""

    metadata: MetadataPorts
    oauth: OAuthPorts | None = None
    authzen: AuthzenPorts | None = None
    """Its `offer` is set by this module where `access` is given."""
    access: AccessPorts | None = None
    approving: ApprovingPorts | None = None
    origin: str = ""
    """Of our own pages, `https://host[:port]`; `""` for none."""


def build_app(ports: WebPorts) -> ASGIApp:
    """The application (ASGI 3.0). The listener puts who asks into the scope's `state`, under `asking.CALLER`."""
    found = _metadata(ports)
    if ports.oauth is not None:
        found += _oauth(TokenService(ports.oauth))
    if ports.authzen is not None:
        found += _authzen(ports.authzen, ports.access)
    if ports.approving is not None:
        found += _approving(Approving(ports.approving))
    app = Starlette(routes=found, exception_handlers={HTTPException: _missed})
    app.router.redirect_slashes = False
    app.state.share = Share()
    return Guard(app, ports.origin)


def _metadata(ports: WebPorts) -> list[Route]:
    issuer, base = ports.metadata.issuer, ports.metadata.base
    known = Metadata(ports.metadata, requests=ports.authzen is not None and ports.access is not None)
    found = _well_known("oauth-protected-resource", base, known.protected_resource)
    if ports.oauth is not None:
        found += _well_known("oauth-authorization-server", issuer, known.authorization_server)
    if ports.metadata.jwks is not None:
        found.append(_route("GET", "/jwks", known.jwks))
    if ports.authzen is not None:
        found += _well_known("authzen-configuration", base, known.authzen)
    return found


def _well_known(name: str, of: str, handler: Handler) -> list[Route]:
    """Where a document about a URL is looked for: its path follows the name (RFC 8414 3.1, RFC 9728 3.1); else by the name alone."""
    place = f"/.well-known/{name}"
    return [_route("GET", each, handler) for each in dict.fromkeys((f"{place}{urlsplit(of).path.rstrip('/')}", place))]


def _oauth(service: TokenService) -> list[Route]:
    acts: list[tuple[str, Handler]] = [
        ("/token", service.token),
        ("/revoke", service.revoke),
        ("/introspect", service.introspect),
    ]
    return [_route("POST", path, act, oauth_error) for path, act in acts]


def _authzen(ports: AuthzenPorts, access: AccessPorts | None) -> list[Route]:
    requests = AccessRequests(access) if access is not None else None
    authzen = Authzen(ports._replace(offer=requests.offer) if requests is not None else ports)
    found = [
        _route("POST", "/access/v1/evaluation", authzen.evaluation),
        _route("POST", "/access/v1/evaluations", authzen.evaluations),
    ]
    if requests is not None:
        found.append(_route("POST", "/access/v1/request", lambda asked: requests.request(asked, authzen)))
        found.append(_route("GET", "/access/v1/request/{id}", requests.status))
    return found


def _approving(approving: Approving) -> list[Route]:
    return [
        _route("GET", "/approvals", approving.pending),
        _route("POST", "/approvals/{id}/approve", approving.approve),
        _route("POST", "/approvals/{id}/deny", approving.deny),
    ]


def _route(method: str, path: str, handler: Handler, shape: Callable[[WebError], Answer] = problem) -> Route:
    async def serve(request: Request) -> Response:
        try:
            asked = await read_request(request)
            share: Share = request.app.state.share
            with share.of(asked.caller):
                answer = await asyncio.to_thread(handler, asked)
        except WebError as error:
            answer = shape(error)
        except ClientDisconnect:
            answer = shape(WebError(400, "body_incomplete", "the body is not all there"))
        except Exception as error:  # noqa: BLE001 - nothing of ours is shown to callers
            # The type alone: an exception's text may quote what the request carried.
            LOG.error("a request of %s failed: cause=%s", path, type(error).__name__)  # noqa: TRY400 - as above
            answer = shape(internal())
        return response_of(_echoed(answer, request))

    return Route(path, serve, methods=[method])


def _echoed(answer: Answer, request: Request) -> Answer:
    name = request.headers.get(REQUEST_ID, "")
    return answer._replace(headers={**answer.headers, REQUEST_ID: name}) if _REQUEST_ID.fullmatch(name) else answer


async def _missed(request: Request, error: Exception) -> Response:
    """No such path, or not by this method."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    allowed = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    reasons = {404: ("not_found", "there is nothing at this path"), 405: ("method", "the path takes another method")}
    reason, text = reasons.get(status, ("refused", "the request is refused"))
    refusal = WebError(status, reason, text, headers={name.lower(): value for name, value in allowed.items()})
    return response_of(_echoed(problem(refusal), request))
