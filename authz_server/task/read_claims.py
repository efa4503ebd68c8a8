"""Reading the claims of a task token, as its forger would write them.

The signature is verified before; this is the second wall, and what keeps the token service itself from issuing anything
that two readers could take for different things. Members of `act`, `cnf` and `tctx` that are not known are refused:
each of them would restrict. Other unknown claims are ignored, as RFC 7519 section 4 asks.
"""

import re
from typing import Final

from authz_server.content.json_strict import JsonValue
from authz_server.errors import DecodeError
from authz_server.spiffe import is_trust_domain, parse_spiffe_id
from authz_server.task.claims import (
    BY_CERTIFICATE,
    BY_KEY,
    BY_SPIFFE,
    MAX_ACTIONS,
    MAX_BUDGETS,
    MAX_CONTEXT,
    MAX_DEPTH,
    MAX_GENERATION,
    MAX_STEPS,
    Confirmation,
    TaskClaims,
)
from authz_server.task.members import MAX_TIME, read_table, read_text, read_time, read_whole

MAX_PURPOSE: Final = 256
"""Characters: one line of a console."""

_OLD_NAMES: Final = frozenset({"azd", "purp"})
"""Until draft -05 and -07; a reader that took them for `tctx` and `scope` would follow whichever it knows."""
_UNSUPPORTED: Final = frozenset({"nbf", "authorization_details", "status"})
"""Registered claims that restrict (RFC 7519 4.1.5, RFC 9396, Token Status List) and are not evaluated here."""
_TASK: Final = frozenset({"template", "opener", "originator", "deadline", "depth", "generation"})
_TASK_OPTIONAL: Final = frozenset({"actions", "budget", "purpose"})
_NOTHING: Final[frozenset[str]] = frozenset()

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_ID: Final = re.compile(r"[A-Za-z0-9_.~-]{1,128}")
_VISIBLE: Final = re.compile(r"[\x21-\x7e]{1,2048}")
_SCOPE: Final = re.compile(r"[A-Za-z0-9_.* -]{1,8192}")
_ACTION: Final = re.compile(r"[A-Za-z0-9_.*-]{1,192}")
_GROUP: Final = re.compile(r"group:[A-Za-z0-9_.-]{1,64}")
_SHA256: Final = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")
"""43 characters of canonical base64url."""
_MEMBER: Final = re.compile(r"[a-z0-9_]{1,32}")
_ANY: Final = re.compile(r"[^\x00]{1,256}")


def read_claims(body: dict[str, JsonValue]) -> TaskClaims:
    """Read the claims.

    Args:
        body: the payload, parsed strictly.

    Raises:
        DecodeError: the name of the claim that is absent, of another type, too long or outside of its alphabet (`aud`,
            `exp`, `cnf`, …); `old_name`, `unsupported`, `chain` for too many agents, `loop` for one that occurs twice,
            `depth` and `scope` where they contradict the rest.
    """
    if not _OLD_NAMES.isdisjoint(body):
        raise DecodeError("old_name")
    if not _UNSUPPORTED.isdisjoint(body):
        raise DecodeError("unsupported")
    agents = _read_agents(body)
    task = read_table(body, "tctx", _TASK, _TASK_OPTIONAL, "tctx")
    expires = read_time(body, "exp")
    claims = TaskClaims(
        issuer=read_text(body, "iss", _VISIBLE, "iss"),
        audience=_read_audience(body),
        txn=read_text(body, "txn", _ID, "txn"),
        jti=read_text(body, "jti", _ID, "jti"),
        subject=read_text(body, "sub", _VISIBLE, "sub"),
        issued=read_time(body, "iat"),
        expires=expires,
        req_wl=read_text(body, "req_wl", _VISIBLE, "req_wl"),
        agents=agents,
        confirmation=_read_confirmation(body, agents[-1]),
        template=read_text(task, "template", _NAME, "tctx"),
        opener=_read_opener(task),
        originator=read_text(task, "originator", _VISIBLE, "tctx"),
        deadline=read_whole(task, "deadline", expires, MAX_TIME, "tctx"),
        actions=_read_actions(task),
        steps=_read_steps(task),
        budgets=_read_budgets(task),
        purpose=_read_purpose(task),
        generation=read_whole(task, "generation", 0, MAX_GENERATION, "tctx"),
        context=_read_context(body),
    )
    if read_whole(task, "depth", 0, MAX_DEPTH, "depth") != claims.depth:
        raise DecodeError("depth")
    if read_text(body, "scope", _SCOPE, "scope") != " ".join(claims.scope):
        raise DecodeError("scope")
    return claims


def _read_audience(body: dict[str, JsonValue]) -> str:
    """One trust domain as a string: in an array a token could be for two at once."""
    audience = body.get("aud")
    if not isinstance(audience, str) or not is_trust_domain(audience):
        raise DecodeError("aud")
    return audience


def _is_workload(text: JsonValue) -> bool:
    spiffe_id = parse_spiffe_id(text) if isinstance(text, str) else None
    return spiffe_id is not None and bool(spiffe_id.path)


def _read_agents(body: dict[str, JsonValue]) -> tuple[str, ...]:
    """The carriers, the first one first: the outermost `act` is the present one (RFC 8693 4.1)."""
    agents: list[str] = []
    holder: dict[str, JsonValue] = body
    while "act" in holder or not agents:
        if len(agents) > MAX_DEPTH:
            raise DecodeError("chain")
        holder = read_table(holder, "act", frozenset({"sub"}), frozenset({"act"}), "act")
        agent = holder["sub"]
        if not isinstance(agent, str) or not _is_workload(agent):
            raise DecodeError("act")
        if agent in agents:
            raise DecodeError("loop")
        agents.append(agent)
    return tuple(reversed(agents))


def _read_confirmation(body: dict[str, JsonValue], agent: str) -> Confirmation:
    """Exactly one method: of two, a reader might check the easier one."""
    members = read_table(body, "cnf", _NOTHING, frozenset({BY_SPIFFE, BY_CERTIFICATE, BY_KEY}), "cnf")
    if len(members) != 1:
        raise DecodeError("cnf")
    ((method, value),) = members.items()
    if method == BY_SPIFFE:
        if value != agent:
            raise DecodeError("cnf")
        return Confirmation(method, agent)
    return Confirmation(method, read_text(members, method, _SHA256, "cnf"))


def _read_opener(task: dict[str, JsonValue]) -> str:
    opener = task["opener"]
    if not isinstance(opener, str) or not (_is_workload(opener) or _GROUP.fullmatch(opener)):
        raise DecodeError("tctx")
    return opener


def _read_actions(task: dict[str, JsonValue]) -> tuple[str, ...]:
    if "actions" not in task:
        return ()
    found = task["actions"]
    if not isinstance(found, list) or not 0 < len(found) <= MAX_ACTIONS:
        raise DecodeError("tctx")
    actions = [each for each in found if isinstance(each, str) and _ACTION.fullmatch(each)]
    if len(set(actions)) != len(found):
        raise DecodeError("tctx")
    return tuple(actions)


def _budget(task: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if "budget" not in task:
        return {}
    budget = read_table(task, "budget", _NOTHING, frozenset({"steps", "actions"}), "tctx")
    if not budget:
        raise DecodeError("tctx")
    return budget


def _read_steps(task: dict[str, JsonValue]) -> int:
    budget = _budget(task)
    return read_whole(budget, "steps", 1, MAX_STEPS, "tctx") if "steps" in budget else 0


def _read_budgets(task: dict[str, JsonValue]) -> tuple[tuple[str, int], ...]:
    budget = _budget(task)
    if "actions" not in budget:
        return ()
    found = budget["actions"]
    if not isinstance(found, dict) or not 0 < len(found) <= MAX_BUDGETS or not all(map(_ACTION.fullmatch, found)):
        raise DecodeError("tctx")
    return tuple((pattern, read_whole(found, pattern, 1, MAX_STEPS, "tctx")) for pattern in found)


def _read_purpose(task: dict[str, JsonValue]) -> str:
    """Printable text of any script; no control characters and none that turn the direction of writing."""
    purpose = task.get("purpose", "")
    if not isinstance(purpose, str) or len(purpose) > MAX_PURPOSE or not purpose.isprintable():
        raise DecodeError("tctx")
    if "purpose" in task and not purpose:
        raise DecodeError("tctx")
    return purpose


def _read_context(body: dict[str, JsonValue]) -> tuple[tuple[str, str | int | bool], ...]:
    if "rctx" not in body:
        return ()
    found = body["rctx"]
    if not isinstance(found, dict) or not 0 < len(found) <= MAX_CONTEXT or not all(map(_MEMBER.fullmatch, found)):
        raise DecodeError("rctx")
    return tuple((name, _read_circumstance(found, name)) for name in found)


def _read_circumstance(found: dict[str, JsonValue], name: str) -> str | int | bool:
    value = found[name]
    if isinstance(value, (bool, int)):
        return value
    text = read_text(found, name, _ANY, "rctx")
    if not text.isprintable():
        raise DecodeError("rctx")
    return text
