"""The token service of the trust domain: task tokens by OAuth 2.0.

They are opened, renewed and handed on (RFC 8693), revoked (RFC 7009) and introspected (RFC 7662).
The caller is authenticated by its SVID alone. That is why it may name a subject in its own words: the desk asks the policy
whether this caller opens tasks of the template, and writes down who said on whose behalf.
"""

from collections.abc import Callable, Collection
from math import ceil
from typing import Any, Final, NamedTuple, TypeVar

from authz_server.errors import StateUnavailableError
from authz_server.taskbook.desk import TaskDesk
from authz_server.taskbook.opening import TaskError
from authz_server.taskbook.ports import Grant, Issued
from authz_server.taskbook.record import TaskRecord
from authz_server.web.answers import Answer, WebError, unavailable
from authz_server.web.asking import Asked, read_form
from authz_server.web.callers import MAY_CONTAIN, OperatorOf, name_of
from authz_server.web.token_request import TXN_TOKEN, TokenRequest, read_token_request

MAX_TOKEN: Final = 8192
"""Characters of a token; the largest that is issued."""
_NO_CACHE: Final = {"pragma": "no-cache"}
"""RFC 6749 5.1 asks for it beside Cache-Control."""
_TOO_MANY: Final = "task_too_many"
_T = TypeVar("_T")


class OAuthPorts(NamedTuple):
    """What the token service is given."""

    desk: TaskDesk
    templates: Callable[[], Collection[str]]
    """Names of the templates in force."""
    operator_of: OperatorOf
    issuer: str
    """`iss` of the tokens."""
    audience: str
    """`aud`: the trust domain."""
    clock: Callable[[], float]
    """Unix seconds."""


class TokenService:
    """The endpoints. Threads share it."""

    def __init__(self, ports: OAuthPorts) -> None:
        self._ports = ports

    def token(self, asked: Asked) -> Answer:
        """Open a task, or renew or hand on one: POST /token (RFC 8693 2.1 and 2.2)."""
        caller, form = self._read(asked)
        request = read_token_request(form, self._ports.audience, caller)
        issued = self._exchange(caller, request) if request.replaces else self._open(caller, request)
        body = {
            "token_type": "N_A",
            "issued_token_type": TXN_TOKEN,
            "access_token": issued.token,
            "expires_in": max(0, ceil(issued.expires - self._ports.clock())),
        }
        return Answer(200, body, headers=_NO_CACHE)

    def revoke(self, asked: Asked) -> Answer:
        """End the task of a token: POST /revoke (RFC 7009). A token that is none, or is over, is revoked already.

        A caller that may not end it is told so (RFC 7009 2.1): it must not believe that the token is of no use any more.
        """
        caller, form = self._read(asked)
        token = _token(form)
        task = _act(lambda: self._ports.desk.to_end(token)) if len(token) <= MAX_TOKEN else None
        if task is not None:
            operator = self._ports.operator_of(asked.caller)
            all_of_them = operator is not None and MAY_CONTAIN in operator.rights
            try:
                _act(lambda: self._ports.desk.end(caller, task.id, "revoked", may_end_all=all_of_them))
            except WebError as error:
                if error.reason != "task_unknown":
                    raise
                text = "the token is another one's"
                raise WebError(400, "token_of_another", text, error="unauthorized_client") from None
        return Answer(200, headers=_NO_CACHE)

    def introspect(self, asked: Asked) -> Answer:
        """Say what a token grants now: POST /introspect (RFC 7662), to who has a part in its task, and to operators."""
        caller, form = self._read(asked)
        see_all = self._ports.operator_of(asked.caller) is not None
        found = self._find(caller, form, see_all=see_all)
        body = {"active": False} if found is None else self._described(*found)
        return Answer(200, body, headers=_NO_CACHE)

    def _read(self, asked: Asked) -> tuple[str, dict[str, str]]:
        """Who asks, and the parameters."""
        caller = name_of(asked.caller)
        if "authorization" in asked.headers:
            text = "a client proves itself in one way: here by its certificate (RFC 6749 2.3)"
            raise WebError(400, "client_authentication", text)
        return caller, read_form(asked)

    def _open(self, caller: str, request: TokenRequest) -> Issued:
        asked = request.opens(self._ports.templates(), caller)
        return _act(lambda: self._ports.desk.open(caller, asked))

    def _exchange(self, caller: str, request: TokenRequest) -> Issued:
        """Renew a token, or hand its task on to another agent; neither changes what the task is."""
        desk, token = self._ports.desk, request.replaces
        if len(token) > MAX_TOKEN:
            raise WebError(400, "token_too_large", "this is no task token", error="invalid_grant")
        if request.actions or request.steps or request.purpose or request.ttl_s or request.context:
            text = "a replaced token says what it said; only `agent` can be given, to hand the task on"
            raise WebError(400, "task_fixed", text)
        if request.scope:
            found = _act(lambda: desk.introspect(caller, token))
            if found is not None and set(request.scope) not in _scopes(found[1]):
                text = "a replaced token has the scope that it had"
                raise WebError(400, "task_wider", text, error="invalid_scope")
        if request.agent not in {"", caller}:
            return _act(lambda: desk.delegate(caller, token, request.agent))
        return _act(lambda: desk.replace(caller, token))

    def _find(self, caller: str, form: dict[str, str], *, see_all: bool) -> tuple[Grant, TaskRecord] | None:
        token = _token(form)
        if len(token) > MAX_TOKEN:
            return None
        return _act(lambda: self._ports.desk.introspect(caller, token, may_see_all=see_all))

    def _described(self, grant: Grant, task: TaskRecord) -> dict[str, Any]:
        member = task.member(grant.agent)
        actor: dict[str, Any] = {}
        for agent in task.chain(member) if member is not None else (grant.agent,):
            actor = {"sub": agent, "act": actor} if actor else {"sub": agent}
        return {
            "active": True,
            "scope": " ".join(task.actions or (task.template,)),
            "client_id": task.opened_by,
            "token_type": "N_A",
            "exp": int(grant.expires),
            "sub": task.originator,
            "aud": self._ports.audience,
            "iss": self._ports.issuer,
            "txn": task.id,
            "act": actor,
            "cnf": {"spiffe": grant.agent},
        }


def _token(form: dict[str, str]) -> str:
    token = form.get("token", "")
    if not token:
        raise WebError(400, "parameter_missing", "`token` is missing")
    return token


def _scopes(task: TaskRecord) -> tuple[set[str], ...]:
    """The ways to write the scope of a task: as it was asked for, and as its tokens say it."""
    return {task.template, *task.actions}, set(task.actions or (task.template,))


def _act(act: Callable[[], _T]) -> _T:
    try:
        return act()
    except TaskError as error:
        status = 429 if error.code == _TOO_MANY else 400
        raise WebError(status, error.code, error.text, error=error.error) from None
    except StateUnavailableError:
        raise unavailable() from None
