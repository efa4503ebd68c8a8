"""Whom a containment stops, and whom a rule may contain: only what the caller proved in this step. Pure."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from authz_server.model import Containment, Entity, Principal, Request, Task
from authz_server.policy.evaluate import Outcome
from authz_server.policy.places import source_entity
from authz_server.policy.reporters import REPORTERS, TWO_REPORTERS
from authz_server.policy.rule import Rule
from authz_server.policy.step import LEGACY, Step
from authz_server.verdict import Effect

MAX_CALLERS: Final = 4096
"""Callers at their places of which the entities are remembered, about 1 kB each: making them anew costs a step 1 us."""


def containment_entities(principal: Principal | None, request: Request, task: Task | None = None) -> tuple[Entity, ...]:
    """Every entity whose containment stops this step: first what operators alone contain, then what rules may.

    A credential or a place by itself is contained by an operator, who knows whom that locks out, and stops whoever comes
    with it, anonymous or not.
    """
    presented = tuple([Entity("credential", (credential.id,)) for credential in request.credentials])
    source = _source_entities(request.source_address)
    if principal is None:
        return presented + source
    return presented + source + _proved_entities(principal, request, task)


def _proved_entities(principal: Principal, request: Request, task: Task | None) -> tuple[Entity, ...]:
    """What a rule may contain, from the smallest to the widest.

    Only what the caller proved counts, and what it presented only together with who presented it: showing a stolen
    credential once can not lock out its owner.
    """
    own = _own_entities(principal.id, request.destination_principal, request.source_address)
    if request.credentials:
        own = tuple([Entity("pair", (principal.id, credential.id)) for credential in request.credentials]) + own
    if task is None:
        return own
    return (*own, Entity("task", (task.id,)), Entity("lineage", (task.issuer, task.originator)))


@lru_cache(maxsize=MAX_CALLERS)
def _source_entities(address: str) -> tuple[Entity, ...]:
    return (Entity("source", (source_entity(address),)),) if address else ()


@lru_cache(maxsize=MAX_CALLERS)
def _own_entities(principal: str, destination: str, address: str) -> tuple[Entity, ...]:
    return (
        Entity("destination", (principal, destination)),
        Entity("instance", (principal, source_entity(address))),
        Entity("principal", (principal,)),
    )


def containments(step: Step, enforced: Iterable[Outcome]) -> tuple[Containment, ...]:
    """What the quarantine rules among these contain, the smallest first; of two ends of one containment the later."""
    if step.principal is None:
        return ()
    entities = _proved_entities(step.principal, step.request, step.task)
    found: dict[Entity, Containment] = {}
    for outcome in enforced:
        if outcome.rule.effect is not Effect.QUARANTINE or outcome.error:
            continue
        name = outcome.rule.name
        for entity, until in _scopes(step, entities, outcome.rule):
            known = found.get(entity)
            if known is None or (known.until, known.rule) < (until, name):  # of equal ones the name decides
                found[entity] = Containment(entity, until, name)
    return tuple(found[entity] for entity in dict.fromkeys(entities) if entity in found)


def _scopes(step: Step, entities: Sequence[Entity], rule: Rule) -> Iterable[tuple[Entity, float]]:
    if step.inherited and not step.inherited.isdisjoint(rule.signals):
        yield from _inherited_scopes(step, entities, rule)
        return
    vouched = _is_vouched_for(step, rule)
    legacy = step.principal is not None and step.principal.id.startswith(LEGACY)
    for written, seconds in rule.entry.contain:
        scope = written
        if scope == "lineage" and step.task is None:
            scope = "principal"  # who started it is the caller itself
        if legacy and scope == "principal":
            scope = "instance"  # it showed a header and proved nothing: others at other places are not to suffer for it
        # One destination alone could make its evidence up: it keeps the caller away from itself.
        chosen = [entity for entity in entities if entity.type == (scope if vouched else "destination")]
        if not chosen:  # a pair without a credential, a task without one: the caller at this place
            chosen = [entity for entity in entities if entity.type == "instance"]
        for entity in chosen:
            yield entity, step.now + seconds


def _inherited_scopes(step: Step, entities: Sequence[Entity], rule: Rule) -> Iterable[tuple[Entity, float]]:
    """What another's past contains: who presents the credential together with it, since neither is proved to belong to the other.

    Nothing, where one destination alone says that it was presented: the step is denied, and so is the next one with it.
    """
    if step.reporter:
        return
    until = step.now + max([seconds for _, seconds in rule.entry.contain], default=0)
    for entity in entities:
        if entity.type == "pair":
            yield entity, until


def _is_vouched_for(step: Step, rule: Rule) -> bool:
    """Whether a gateway says so, or two destinations do, of every signal that speaks against the caller."""
    if not step.reporter:
        return True
    readings = step.readings
    told = [name for name in rule.reporters if readings.get(name.removeprefix(REPORTERS), 0) > 0]
    return bool(told) and all(readings.get(name, 0) >= TWO_REPORTERS for name in told)
