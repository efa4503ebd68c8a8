"""From a challenged step to what is asked of people, and whether an ask is what it says. Pure."""

import json
from typing import Any, Final

from authz_server.approvals.binding import ARGUMENTS, Bound, Challenged, approval_id, digest_of
from authz_server.approvals.record import MAX_SEALED, MAX_SHOWN, PENDING_S, Ask, AskedRule, encode_record
from authz_server.content.json_strict import parse_json
from authz_server.errors import DecodeError
from authz_server.keyhash import KeyedHash

MAX_PARTIES: Final = 32
"""In an ask: the longest chain has nine members."""
_CALL: Final = "call "


def describe(name: str, challenged: Challenged, bound: Bound, now: float) -> Ask:
    """Make the ask for the approval of a step.

    Args:
        name: the approval's.
        challenged: the step.
        bound: what the approval is for.
        now: Unix time in seconds.
    """
    task = challenged.task
    ask = Ask(
        id=name,
        principal=bound.principal,
        lineage=bound.lineage,
        parties=tuple(sorted(challenged.parties))[:MAX_PARTIES],
        task=task.template if task is not None else "",
        task_id=bound.task_id,
        action=bound.action,
        destination=bound.destination,
        method=bound.method,
        host=bound.host,
        path=bound.path,
        query=bound.query,
        body=bound.body,
        size=len(bound.text),
        text=_plain(bound.text),
        rules=tuple(
            AskedRule(name=name, reason=reason, groups=groups, digest=digest)
            for name, digest, reason, groups in bound.rules
        ),
        binds=ARGUMENTS if bound.body else "action",
        uses=bound.uses,
        expires_s=bound.expires_s,
        asked=now,
        until=now + PENDING_S,
    )
    # In bytes a text may be several times as long, which nobody would read: then it is asked for without it.
    return ask if len(encode_record(ask)) <= MAX_SEALED else ask.model_copy(update={"text": ""})


def is_genuine(keyed: KeyedHash, ask: Ask) -> bool:
    """Whether an ask is named by what it says, and shows the arguments that it is for.

    A replica that is not itself any more could have one step shown and another approved.
    """
    bound = Bound(
        ask.lineage,
        ask.principal,
        ask.task_id,
        ask.destination,
        ask.action,
        ask.method,
        ask.host,
        ask.path,
        ask.query,
        ask.body,
        tuple(sorted((rule.name, rule.digest, rule.reason, rule.groups) for rule in ask.rules)),
        ask.uses,
        ask.expires_s,
    )
    if approval_id(keyed, bound) != ask.id or (ask.binds == ARGUMENTS) != bool(ask.body):
        return False
    text = ask.text.encode()
    if not ask.body or (ask.size and not text):
        return not text  # nothing is shown
    return len(text) == ask.size and digest_of(text, is_call=ask.body.startswith(_CALL)) == ask.body


def shown(ask: Ask) -> str:
    """What an approver can read of the arguments: JSON in one line, of a call its parameters, or how much there is of something else."""
    if not ask.size:
        return ""
    if not ask.text:
        return f"{ask.size} bytes that cannot be shown"
    try:
        found: Any = parse_json(ask.text.encode())
    except DecodeError:
        return f"{ask.size} bytes that are no JSON"
    if ask.body.startswith(_CALL):
        if not isinstance(found, dict):  # a replica that is not itself any more says that it is one
            return f"{ask.size} bytes that are no call"
        # Only where the catalogue said that it is a call: else an agent could hide what matters beside `params`.
        found = found.get("params")
    told = json.dumps(found, ensure_ascii=True, separators=(",", ":"))
    return told if len(told) <= MAX_SHOWN else f"{ask.size} bytes that cannot be shown"


def _plain(text: bytes) -> str:
    """The arguments where they can be shown, else `""`."""
    try:
        found = text.decode()
    except UnicodeDecodeError:
        return ""
    return found if len(found) <= MAX_SHOWN else ""
