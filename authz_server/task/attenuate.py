"""Handing a task on and replacing its tokens: what comes out is never wider than what went in.

A token is narrowed for the next agent of the chain, or replaced for the agent that holds it. Either way `txn`, `sub`,
`aud`, opener, originator, template and purpose stay; actions, budgets, depth, deadline and the way of proof can only become
tighter. Whether the task is still wanted is the token service's to ask anew; here only the shape is held.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from authz_server.errors import DecodeError
from authz_server.spiffe import parse_spiffe_id
from authz_server.task.claims import BY_KEY, BY_SPIFFE, MAX_BUDGETS, MAX_DEPTH, MAX_GENERATION, Confirmation, TaskClaims

UNCLASSIFIED: Final = "unclassified"
"""The name of what no entry fits: meant by its own word only and never by a pattern."""


class Narrowing(NamedTuple):
    """What is asked for; what is left out stays as it is."""

    jti: str
    """The id of the new token."""
    now: int
    """Unix seconds; its `iat`."""
    expires: int
    """Its `exp`."""
    agent: str = ""
    """SPIFFE ID of who shall carry it; `""` for the present agent."""
    confirmation: Confirmation | None = None
    """How that one proves itself; None for by its SPIFFE ID, or as before where the agent stays."""
    actions: tuple[str, ...] = ()
    steps: int = 0
    budgets: tuple[tuple[str, int], ...] = ()
    deadline: int = 0
    """An earlier end of the task for this agent; 0 to leave it."""
    context: tuple[tuple[str, str | int | bool], ...] | None = None
    """`rctx` of the request for the new token; None to keep the former."""


def covers(pattern: str, narrower: str) -> bool:
    """Whether every action name that the narrower pattern means is meant by the other one too.

    A `*` of the narrower one stands for texts that only a `*` can swallow, so it is read as one more character, which
    no pattern spells. That is exact: put a character there that the other pattern does not contain, and it must match.
    """
    if pattern == narrower:
        return True
    if narrower == UNCLASSIFIED:
        return False
    first, *rest = pattern.split("*")
    if not rest or not narrower.startswith(first):
        return False
    last = rest.pop()
    at, end = len(first), len(narrower) - len(last)
    if end < at or not narrower.endswith(last):
        return False
    for part in rest:  # the leftmost place for each part leaves the most room for the others
        found = narrower.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


def narrow(parent: TaskClaims, request: Narrowing, max_depth: int = MAX_DEPTH) -> TaskClaims | str:
    """Make the claims of a token for the next agent.

    Args:
        parent: verified, and shown by its own agent.
        request: names the next agent.
        max_depth: what the template allows; never more than 8.

    Returns:
        The claims, or why there are none: `narrow_expired`, `narrow_agent` for a text that is no SPIFFE ID of a workload,
        `narrow_loop` for an agent that carried the task before, `narrow_depth`, `narrow_binding`, `narrow_expiry`,
        `narrow_actions` or `narrow_budget`.
    """
    agent = parse_spiffe_id(request.agent)
    if agent is None or not agent.path:
        return "narrow_agent"
    if request.agent in parent.agents:
        return "narrow_loop"
    if parent.depth + 1 > min(max_depth, MAX_DEPTH):
        return "narrow_depth"
    if request.expires > parent.expires:
        return "narrow_expiry"
    confirmation = request.confirmation or Confirmation(BY_SPIFFE, request.agent)
    return _tighten(parent, request, (*parent.agents, request.agent), confirmation, 0)


def replace(parent: TaskClaims, request: Narrowing) -> TaskClaims | str:
    """Make the claims of a further token for the agent that holds this one; it may last longer, to the task's deadline.

    Args:
        parent: verified, not expired, and shown by its own agent.
        request: names no other agent.

    Returns:
        The claims, or a code of `narrow`, or `narrow_generation` when it was replaced as often as any token may be.
    """
    if request.agent not in {"", parent.agent}:
        return "narrow_agent"
    if parent.generation + 1 > MAX_GENERATION:
        return "narrow_generation"
    return _tighten(parent, request, parent.agents, request.confirmation or parent.confirmation, parent.generation + 1)


def _tighten(
    parent: TaskClaims, request: Narrowing, agents: tuple[str, ...], confirmation: Confirmation, generation: int
) -> TaskClaims | str:
    if request.now >= parent.expires:
        return "narrow_expired"
    if not _holds(parent, agents[-1], confirmation):
        return "narrow_binding"
    deadline = request.deadline or parent.deadline
    if deadline > parent.deadline or not request.now < request.expires <= deadline:
        return "narrow_expiry"
    try:
        actions = _narrow_actions(parent.actions, request.actions)
        steps = _least(parent.steps, request.steps)
        budgets = _narrow_budgets(dict(parent.budgets), request.budgets)
    except DecodeError as error:
        return error.code
    return parent._replace(
        jti=request.jti,
        issued=request.now,
        expires=request.expires,
        req_wl=parent.agent,
        agents=agents,
        confirmation=confirmation,
        deadline=deadline,
        actions=actions,
        steps=steps,
        budgets=budgets,
        generation=generation,
        context=parent.context if request.context is None else request.context,
    )


def _holds(parent: TaskClaims, agent: str, confirmation: Confirmation) -> bool:
    """Whether the new way of proof is as strong: a certificate or key beside the name does not become the name alone.

    A further certificate of the same agent is no weaker, since the policy's caller is proved by it; the key of DPoP
    proofs stays, since nothing but that key proves who asks.
    """
    if confirmation.method == BY_SPIFFE and confirmation.value != agent:
        return False
    before = parent.confirmation
    if before.method == BY_SPIFFE:
        return True
    if agent != parent.agent:
        return confirmation.method != BY_SPIFFE
    return confirmation.method == before.method and (before.method != BY_KEY or confirmation.value == before.value)


def _narrow_actions(before: tuple[str, ...], wanted: tuple[str, ...]) -> tuple[str, ...]:
    """The wanted patterns, each within one of the former; where there are none, those of the template are around them."""
    for action in wanted if before else ():
        if not any(covers(pattern, action) for pattern in before):
            raise DecodeError("narrow_actions")
    return wanted or before


def _least(before: int, wanted: int) -> int:
    if wanted < 0 or (before and wanted > before):
        raise DecodeError("narrow_budget")
    return wanted or before


def _narrow_budgets(before: Mapping[str, int], wanted: Iterable[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    """The former budgets, each as it was or smaller, and further ones."""
    budgets = dict(before)
    for pattern, steps in wanted:
        if steps <= 0:
            raise DecodeError("narrow_budget")
        budgets[pattern] = _least(before.get(pattern, 0), steps)
    if len(budgets) > MAX_BUDGETS:
        raise DecodeError("narrow_budget")
    return tuple(budgets.items())
