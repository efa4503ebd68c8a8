"""What operators do: contain, release, look. Every act, done or refused, is a record for the audit log."""

from collections.abc import Callable
from math import isfinite
from threading import Lock
from typing import Final

from authz_server.containment.act import Act
from authz_server.containment.publisher import TRIES, Publisher
from authz_server.containment.record import CONTAIN, FOREVER, RELEASE, Record, whole_ms
from authz_server.containment.refusal import Refusal
from authz_server.containment.registry import Registry
from authz_server.errors import StateUnavailableError
from authz_server.model import TASK_ENDED, Containment, Entity
from authz_server.state.containment import ContainedSet

MAX_SECONDS: Final = 10 * 366 * 86_400.0
"""Ten years: what shall last longer lasts for ever."""
MAX_BY_AUTHOR: Final = 10_000
"""Records by one operator: a tenth of all that are held, so that no program with an operator's rights pushes out the others'."""
ASKED_S: Final = 86_400.0
"""For a day somebody else may agree to the release of a critical containment; then it has to be asked for again."""
MIN_KEPT_S: Final = 30 * 86_400.0
"""A release is remembered for so long at least: there may be records of its entity that this replica never saw."""
MAX_KEPT_S: Final = 366 * 86_400.0
"""... and at most: the release of what would have lasted for ever must not stay for ever."""

CAN_CONTAIN, CAN_RELEASE = "contain", "release"
"""The rights that acts need; whoever has any right may look."""


class Desk:
    """Where operators' acts are done. Threads share it.

    Args:
        publisher: of this replica.
        registry: of this replica.
        contained: the local set, in which is also what nobody has signed yet.
        never: says of an entity that it is contained only if the operator insists.
        clock: Unix seconds.
        new_id: makes 32 random hexadecimal digits.
        log: takes a record for the audit log; called once for each act, in the caller's thread.
    """

    def __init__(
        self,
        publisher: Publisher,
        registry: Registry,
        contained: ContainedSet,
        *,
        never: Callable[[Entity], bool],
        clock: Callable[[], float],
        new_id: Callable[[], str],
        log: Callable[[dict[str, object]], None],
    ) -> None:
        self._publisher = publisher
        self._registry = registry
        self._contained = contained
        self._never = never
        self._clock = clock
        self._new_id = new_id
        self._log = log
        self._lock = Lock()

    def contain(
        self,
        author: str,
        rights: frozenset[str],
        entity: Entity,
        seconds: float | None,
        reason: str,
        *,
        critical: bool = False,
        force: bool = False,
    ) -> Record:
        """Contain an entity, or extend its containment; nothing here ever shortens or softens one.

        Args:
            author: the operator's SPIFFE ID, or `local`.
            rights: of `contain`, `release` and `approve` what the operator may.
            entity: as an operator writes it.
            seconds: how long; None: until somebody releases it.
            reason: 1 to 512 printable characters.
            critical: two operators must release it.
            force: contain it although it is one of those that are never contained.

        Returns:
            The record in force. Its end is later than asked for where it was contained for longer already.

        Raises:
            Refusal: see there. After `stored_later` the entity is contained here.
        """
        act = Act("contain", author, entity, reason, self._log, critical=critical)
        with act, self._lock:
            act.check(rights, CAN_CONTAIN)
            entity = act.name_entity()
            if seconds is not None and not (isfinite(seconds) and seconds > 0):
                raise Refusal("duration_invalid", "a containment lasts for more than 0 seconds, or for ever")
            if seconds is not None and seconds > MAX_SECONDS:
                raise Refusal("duration_too_long", "a containment lasts for at most ten years, or for ever")
            if self._never(entity) and not force:
                raise Refusal(
                    "protected", "the configuration names it as never contained; it takes force to do it all the same"
                )
            if self._registry.count(author, self._clock()) >= MAX_BY_AUTHOR:
                raise Refusal("too_many", f"one operator has at most {MAX_BY_AUTHOR} records; release some")
            return act.done(self._publish(lambda now: self._containing(act, seconds, now), "stored_later"))

    def release(self, author: str, rights: frozenset[str], entity: Entity, reason: str) -> Record:
        """Release an entity, everywhere. A critical one is released by the second operator who asks for it.

        Args:
            author: the operator's SPIFFE ID, or `local`.
            rights: of `contain`, `release` and `approve` what the operator may.
            entity: as an operator writes it.
            reason: 1 to 512 printable characters.

        Returns:
            The record of the release.

        Raises:
            Refusal: see there. After `second_person_needed` the release is asked for; after `not_contained` a release is
                published all the same, for replicas that enforce something that nobody else heard of.
        """
        act = Act("release", author, entity, reason, self._log)
        with act, self._lock:
            act.check(rights, CAN_RELEASE)
            entity = act.name_entity()
            now = self._clock()
            known = self._registry.find(entity)
            if known is not None and known.rule == TASK_ENDED and known.contains(now):
                raise Refusal("not_contained", "the task is over; work goes on under a new one")
            unknown = (known is None or not known.contains(now)) and self._contained.find((entity,), now) is None
            if unknown and self._registry.count(author, now) >= MAX_BY_AUTHOR:
                raise Refusal("not_contained", "nothing is known to contain it")
            record = act.done(self._publish(lambda now: self._releasing(act, now), "store_unavailable"))
            if record.kind == CONTAIN:
                raise Refusal(
                    "second_person_needed",
                    "it is critical: the release is asked for, and another operator has to release it too",
                )
            if unknown:
                raise Refusal("not_contained", "nothing was known to contain it; a release was published all the same")
            return record

    def listing(self) -> list[Record]:
        """List what is contained, the first to end first; what rules contained here and nobody has signed yet has version 0."""
        now = self._clock()
        signed = self._registry.records(now)
        known = {record.entity for record in signed}
        unsigned = [_unsigned(held) for held in self._contained.all(now) if held.entity not in known]
        return sorted([*signed, *unsigned], key=lambda record: record.until)

    def _publish(self, make: Callable[[float], Record], code: str) -> Record:
        """Publish what `make` makes of the present state; again when somebody else did something at the same moment."""
        try:
            for _ in range(TRIES):
                record = make(self._clock())
                if record == self._registry.find(record.entity) or self._publisher.publish(record):
                    return record
        except StateUnavailableError as error:
            text = (
                "it is enforced here, and published as soon as the store answers"
                if code == "stored_later"
                else "nothing is known to have changed; try again"
            )
            raise Refusal(code, f"the store did not answer ({error.code}): {text}") from None
        raise Refusal("conflict", "others act on this entity at the same time; look, and try again")

    def _containing(self, act: Act, seconds: float | None, now: float) -> Record:
        known = self._registry.find(act.entity)
        standing = known if known is not None and known.contains(now) else None
        until = FOREVER if seconds is None else whole_ms(min(now + seconds, FOREVER))
        return Record(
            id=self._new_id(),
            kind=CONTAIN,
            entity=act.entity,
            until=until if standing is None else max(until, standing.until),
            version=self._registry.next_version(act.entity, now),
            rule="",
            reason=act.reason,
            author=act.author,
            since=whole_ms(now) if standing is None else standing.since,
            critical=act.critical or (standing is not None and standing.critical),
            keep=until if known is None else max(until, known.end),
        )

    def _releasing(self, act: Act, now: float) -> Record:
        known = self._registry.find(act.entity)
        standing = known if known is not None and known.contains(now) else None
        version = self._registry.next_version(act.entity, now)
        if standing is not None and standing.critical:
            asked = standing.asked_by if standing.version / 1000 > now - ASKED_S else ""
            if asked == act.author:
                return standing
            if not asked:
                return standing._replace(id=self._new_id(), version=version, asked_by=act.author)
        kept = max(now + MIN_KEPT_S, 0.0 if known is None else known.end)
        return Record(
            id=self._new_id(),
            kind=RELEASE,
            entity=act.entity,
            until=whole_ms(min(kept, now + MAX_KEPT_S)),
            version=version,
            rule="",
            reason=act.reason,
            author=act.author,
            since=whole_ms(now) if standing is None else standing.since,
            critical=standing is not None and standing.critical,
            asked_by="" if standing is None else standing.asked_by,
        )


def _unsigned(held: Containment) -> Record:
    return Record("", CONTAIN, held.entity, held.until, 0, held.rule, "", "rules", 0.0)
