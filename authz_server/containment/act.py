"""One act of an operator: what is asked, whether it may be, and its record for the audit log."""

from collections.abc import Callable
from typing import Self

from authz_server.containment.entities import canonical_entity
from authz_server.containment.record import MAX_PART, MAX_REASON, Record
from authz_server.containment.refusal import Refusal
from authz_server.model import Entity


class Act:
    """An act under way. As a context it leaves exactly one record in the audit log, however it ends.

    Args:
        name: `contain` or `release`.
        author: the operator's SPIFFE ID, or `local`.
        entity: as the operator wrote it.
        reason: as the operator wrote it.
        log: takes the record.
        critical: two operators must release it.
    """

    def __init__(
        self,
        name: str,
        author: str,
        entity: Entity,
        reason: str,
        log: Callable[[dict[str, object]], None],
        *,
        critical: bool = False,
    ) -> None:
        self.name = name
        self.author = author
        self.entity = entity
        self.reason = reason
        self.critical = critical
        self._log = log
        self._record: Record | None = None

    def check(self, rights: frozenset[str], right: str) -> None:
        """Check that the operator may, and says who and why.

        Raises:
            Refusal: `permission_denied`, `author_invalid`, `reason_missing`, `reason_too_long` or `reason_invalid`.
        """
        if right not in rights:
            raise Refusal("permission_denied", f"this takes the right to {right}")
        if not 0 < len(self.author) <= MAX_PART:
            raise Refusal("author_invalid", "nobody is named who does it")
        if not self.reason.strip():
            raise Refusal("reason_missing", "say why: an incident's number, or a sentence")
        if len(self.reason) > MAX_REASON:
            raise Refusal("reason_too_long", f"a reason has at most {MAX_REASON} characters")
        if not self.reason.isprintable():
            raise Refusal("reason_invalid", "a reason has printable characters on one line")

    def name_entity(self) -> Entity:
        """Bring the entity into the form in which steps carry it.

        Raises:
            Refusal: `entity_invalid`.
        """
        try:
            self.entity = canonical_entity(self.entity)
        except ValueError as error:
            raise Refusal("entity_invalid", str(error)) from None
        return self.entity

    def done(self, record: Record) -> Record:
        """Note what came of it."""
        self._record = record
        return record

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        parts = [part[:MAX_PART] for part in self.entity.parts[:2]]
        said: dict[str, object] = {
            "event": "containment_act",
            "act": self.name,
            "author": self.author[:MAX_PART],
            "entity": {"type": self.entity.type[:MAX_PART], "parts": parts},
            "reason": self.reason[:MAX_REASON],
            "result": "done" if error is None else error.code if isinstance(error, Refusal) else "failed",
        }
        record = self._record
        if record is not None:
            said |= {"id": record.id, "version": record.version, "until": record.until, "critical": record.critical}
            said |= {"asked_by": record.asked_by} if record.asked_by else {}
        self._log(said)
