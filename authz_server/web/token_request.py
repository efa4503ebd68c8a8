"""A request for a transaction token, as its parameters say it; what may be had is the desk's to say.

Sources: RFC 8693 section 2.1, and draft-ietf-oauth-transaction-tokens, section on the Txn-Token Request.
"""

from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

from authz_server.content.json_strict import JsonValue, parse_json
from authz_server.errors import DecodeError
from authz_server.taskbook.opening import OpenTask
from authz_server.web.answers import WebError

TOKEN_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - the name of a grant
TXN_TOKEN: Final = "urn:ietf:params:oauth:token-type:txn_token"  # noqa: S105 - the name of a type
UNSIGNED_JSON: Final = "urn:ietf:params:oauth:token-type:unsigned_json"
"""The subject in the caller's own words: what the caller's certificate proves is who says so."""
_REFUSED: Final = ("resource", "client_secret", "client_assertion", "client_assertion_type", "refresh_token")
"""Parameters that ask for something else than this service gives; to ignore them would be to misunderstand the caller."""
_DETAILS: Final = frozenset({"agent", "actions", "steps", "purpose", "ttl"})


class TokenRequest(NamedTuple):
    """What is asked for."""

    scope: tuple[str, ...]
    replaces: str
    """A task token to be renewed or handed on; `""` to open a task."""
    originator: str
    """On whose behalf a task is opened."""
    agent: str
    """Who is to work; `""`: the caller."""
    actions: tuple[str, ...] = ()
    steps: int = 0
    purpose: str = ""
    ttl_s: int = 0
    context: tuple[tuple[str, str], ...] = ()

    def opens(self, templates: Collection[str], caller: str) -> OpenTask:
        """The task that is asked for: the scope names its template, and beside it patterns of actions.

        Raises:
            WebError: `invalid_scope`: it names none or several templates, or patterns that stand in the details too.
        """
        named = [word for word in self.scope if word in templates]
        if len(named) != 1:
            code = "scope_ambiguous" if named else "task_template_unknown"
            raise WebError(400, code, "the scope names exactly one template that is in force", error="invalid_scope")
        patterns = tuple(word for word in self.scope if word != named[0])
        if patterns and self.actions and set(patterns) != set(self.actions):
            text = "patterns of actions stand in the scope or in the details"
            raise WebError(400, "scope_ambiguous", text, error="invalid_scope")
        return OpenTask(
            template=named[0],
            agent=self.agent or caller,
            originator=self.originator,
            actions=patterns or self.actions,
            steps=self.steps,
            ttl_s=self.ttl_s,
            purpose=self.purpose,
            context=self.context,
        )


def read_token_request(form: Mapping[str, str], audience: str, caller: str) -> TokenRequest:
    """Read the parameters; unknown ones are ignored, as RFC 6749 3.2 asks.

    Args:
        form: each once.
        audience: our trust domain.
        caller: who asks.

    Raises:
        WebError: with the error of OAuth that RFC 6749 5.2 and RFC 8693 2.2.2 name for it.
    """
    _check_kind(form, audience, caller)
    subject, originator = _read_subject(form)
    details = _read_details(form)
    agent = _read_agent(form, details)
    return TokenRequest(
        scope=_read_scope(form),
        replaces=subject,
        originator=originator,
        agent=agent,
        actions=_texts(details, "actions"),
        steps=_whole(details, "steps"),
        purpose=_text(details, "purpose"),
        ttl_s=_whole(details, "ttl"),
        context=_read_context(form),
    )


def _check_kind(form: Mapping[str, str], audience: str, caller: str) -> None:
    grant = _needed(form, "grant_type")
    if grant != TOKEN_EXCHANGE:
        text = "the grant is that of token exchange (RFC 8693)"
        raise WebError(400, "grant_type", text, error="unsupported_grant_type")
    for name in _REFUSED:
        if name in form:
            raise WebError(400, "parameter_unsupported", f"`{name}` is not taken here")
    if form.get("client_id", caller) != caller:
        raise WebError(
            401, "client_id", "the client is another one than the caller proved to be", error="invalid_client"
        )
    if _needed(form, "audience") != audience:
        raise WebError(400, "audience", "the audience is the trust domain of this service", error="invalid_target")
    if _needed(form, "requested_token_type") != TXN_TOKEN:
        raise WebError(400, "requested_token_type", f"only {TXN_TOKEN} is issued")


def _read_subject(form: Mapping[str, str]) -> tuple[str, str]:
    """The token to replace, or the originator."""
    kind, subject = _needed(form, "subject_token_type"), _needed(form, "subject_token")
    if kind == TXN_TOKEN:
        return subject, ""
    if kind != UNSIGNED_JSON:
        text = (
            f"a subject token is {UNSIGNED_JSON}, or {TXN_TOKEN} to be replaced; of a refresh token nothing is issued"
        )
        raise WebError(400, "subject_token_type", text)
    return "", _read_sub(subject, "subject_token")


def _read_agent(form: Mapping[str, str], details: Mapping[str, JsonValue]) -> str:
    """Who is to work: `agent` of the details, or the actor; where both are there they are the same."""
    agent = _text(details, "agent")
    kind, token = form.get("actor_token_type", ""), form.get("actor_token", "")
    if not kind and not token:
        return agent
    if kind != UNSIGNED_JSON or not token:
        raise WebError(400, "actor_token_type", f"an actor is named by {UNSIGNED_JSON}, or by `agent` of the details")
    actor = _read_sub(token, "actor_token")
    if agent not in {"", actor}:
        raise WebError(400, "actor_ambiguous", "actor and `agent` of the details are two different ones")
    return actor


def _read_scope(form: Mapping[str, str]) -> tuple[str, ...]:
    words = tuple(form["scope"].split(" ")) if "scope" in form else ()
    if not all(words) or len(set(words)) != len(words):
        raise WebError(
            400,
            "scope_malformed",
            "a scope is a list of words, each once, with one blank between",
            error="invalid_scope",
        )
    return words


def _read_details(form: Mapping[str, str]) -> Mapping[str, JsonValue]:
    details = _object(form.get("request_details", "{}"), "request_details")
    unknown = sorted(details.keys() - _DETAILS)
    if unknown:
        known = ", ".join(sorted(_DETAILS))
        raise WebError(400, "details_unknown", f"`request_details` has the members {known}, and none else")
    return details


def _read_context(form: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    found = _object(form.get("request_context", "{}"), "request_context")
    return tuple(sorted((name, _text(found, name, "request_context")) for name in found))


def _read_sub(text: str, name: str) -> str:
    found = _object(text, name)
    sub = found.get("sub")
    if found.keys() != {"sub"} or not isinstance(sub, str) or not sub:
        raise WebError(400, "unsigned_json", f'`{name}` is {{"sub": "…"}}')
    return sub


def _object(text: str, name: str) -> dict[str, JsonValue]:
    try:
        found = parse_json(text.encode())
    except DecodeError as error:
        raise WebError(400, error.code, f"`{name}` is a JSON object that all read alike") from None
    if not isinstance(found, dict):
        raise WebError(400, "json_not_object", f"`{name}` is a JSON object")
    return found


def _needed(form: Mapping[str, str], name: str) -> str:
    if name not in form:
        raise WebError(400, "parameter_missing", f"`{name}` is missing")
    return form[name]


def _text(found: Mapping[str, JsonValue], name: str, of: str = "request_details") -> str:
    value = found.get(name, "")
    if not isinstance(value, str):
        raise WebError(400, "member_invalid", f"`{name}` of `{of}` is a string")
    return value


def _texts(found: Mapping[str, JsonValue], name: str) -> tuple[str, ...]:
    value = found.get(name, [])
    texts = [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
    if texts != value:
        raise WebError(400, "member_invalid", f"`{name}` of `request_details` is a list of strings")
    return tuple(texts)


def _whole(found: Mapping[str, JsonValue], name: str) -> int:
    value = found.get(name, 0)
    if type(value) is not int or value < 0:
        raise WebError(400, "member_invalid", f"`{name}` of `request_details` is a whole number")
    return value
