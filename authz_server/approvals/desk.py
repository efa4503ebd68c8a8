"""Where people grant and refuse: whoever is in a rule's group of approvers and has no part in the step."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from threading import Lock
from typing import Any, Final, Protocol

from authz_server.approvals.asking import is_genuine
from authz_server.approvals.record import PENDING_S, Ask, Grant
from authz_server.approvals.shelf import Shelf
from authz_server.errors import AuthzError
from authz_server.keyhash import KeyedHash

MAX_OPEN: Final = 5
"""Asks of one lineage for one action and one group at once: who is asked too often agrees without looking (fatigue)."""
MAX_REASON: Final = 512
CAN_APPROVE: Final = "approve"


class ApprovalError(AuthzError):
    """Why nothing was granted or refused.

    Attributes:
        code: `permission_denied`, `approval_unknown`, `approval_own`, `approval_group` or `reason_invalid`.
        text: for whoever wants to.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class Collector(Protocol):
    """Collects what replicas without a signing key have asked."""

    def collect(self) -> Sequence[Ask]:
        """Take out what is there."""


class ApprovalDesk:
    """The acts of approvers. Threads share it. All may raise StateUnavailableError.

    Args:
        shelf: where asks and grants lie.
        clock: Unix seconds.
        new_id: 32 random hexadecimal digits.
        log: takes a record of each act.
        keyed: names approvals.
        chain: everybody who has a part in a task, by its id.
    """

    __slots__ = ("_chain", "_clock", "_keyed", "_lock", "_log", "_new_id", "_shelf", "tired")

    def __init__(
        self,
        shelf: Shelf,
        clock: Callable[[], float],
        new_id: Callable[[], str],
        log: Callable[[dict[str, Any]], None],
        *,
        keyed: KeyedHash,
        chain: Callable[[str], Collection[str]] = lambda _: (),
    ) -> None:
        self._shelf = shelf
        self._keyed = keyed
        self._chain = chain
        self._clock = clock
        self._new_id = new_id
        self._log = log
        self._lock = Lock()
        self.tired = 0
        """Asks that were not taken because their lineage asks too often."""

    def collect(self, source: Collector) -> None:
        """Take what replicas without a signing key ask."""
        found = source.collect()
        if not found:
            return
        with self._lock:
            known = self._open()
            for ask in found:
                self._take(ask, known)

    def take(self, ask: Ask) -> bool:
        """Take what is asked, within the limits of `MAX_OPEN`; False when it is not, or was before."""
        with self._lock:
            return self._take(ask, self._open())

    def _open(self) -> dict[str, Ask]:
        return {ask.id: ask for ask in self._shelf.asks(self._clock())}

    def _take(self, ask: Ask, known: dict[str, Ask]) -> bool:
        """Take one; `known` are the open ones, all of which are opened for each look at the shelf."""
        if not is_genuine(self._keyed, ask):
            self._log({"event": "approval_forged", "alert": "critical", "approval": ask.id, "action": ask.action})
            return False
        now = self._clock()
        # Now, whatever it says itself: dated back, it would be taken for what was granted and used up before.
        ask = ask.model_copy(update={"asked": now, "until": min(ask.until, now + PENDING_S)})
        open_now = Counter(key for other in known.values() if other.id != ask.id for key in _crowds(other))
        if any(open_now[key] >= MAX_OPEN for key in _crowds(ask)):
            self.tired += 1
            told = {
                "event": "approval_fatigue",
                "alert": "high",
                "lineage": list(ask.lineage),
                "action": ask.action,
            }
            self._log(told)
            return False
        taken = self._shelf.ask(ask)
        if taken:
            known[ask.id] = ask
        return taken

    def pending(self, author: str, rights: frozenset[str], groups: frozenset[str]) -> Sequence[Ask]:
        """What this author may grant, the oldest first."""
        if CAN_APPROVE not in rights:
            return []
        asks = self._shelf.asks(self._clock())
        mine = [ask for ask in asks if _lifted(ask, groups) and author not in _named(ask)]
        return sorted(mine, key=lambda ask: (ask.asked, ask.id))

    def approve(self, author: str, rights: frozenset[str], groups: frozenset[str], ask_id: str, reason: str) -> Grant:
        """Grant an ask for the rules whose approver the author is; the caller repeats its step.

        Args:
            author: the SPIFFE ID, or `local`.
            rights: of the author.
            groups: names of the author's groups.
            ask_id: of the ask.
            reason: up to 512 printable characters.

        Raises:
            ApprovalError: the author may not.
        """
        with self._lock:
            ask = self._checked(author, rights, ask_id, reason)
            rules = _lifted(ask, groups)
            if not rules:
                raise ApprovalError("approval_group", "the approvers of this step are other groups")
            now = self._clock()
            known = self._shelf.find(ask_id, now)
            # What was granted before this was asked is another matter, and may be used up.
            holds = known is not None and known.state == "approved" and known.at >= ask.asked
            earlier = known if holds else None
            grant = Grant(
                id=ask.id,
                key=self._new_id(),
                state="approved",
                rules=tuple(sorted({*rules, *(earlier.rules if earlier is not None else ())})),
                uses=ask.uses,
                at=now,
                until=now + ask.expires_s,
                authors=tuple(dict.fromkeys((*(earlier.authors if earlier is not None else ()), author))),
                reason=reason,
            )
            self._shelf.give(grant, now)
            if {rule.name for rule in ask.rules} <= set(grant.rules):
                self._shelf.drop(ask_id)
        self._tell("approval_granted", author, ask, grant)
        return grant

    def deny(self, author: str, rights: frozenset[str], groups: frozenset[str], ask_id: str, reason: str) -> Grant:
        """Refuse an ask: the challenge stands, and nobody is asked about this step again for as long as a grant would last.

        Raises:
            ApprovalError: the author may not.
        """
        with self._lock:
            ask = self._checked(author, rights, ask_id, reason)
            if not _lifted(ask, groups):
                raise ApprovalError("approval_group", "the approvers of this step are other groups")
            now = self._clock()
            until = now + ask.expires_s
            rules = tuple(rule.name for rule in ask.rules)
            grant = Grant(
                id=ask.id, key=self._new_id(), state="denied", rules=rules, uses=1, at=now, until=until, authors=(author,),
                reason=reason,
            )  # fmt: skip
            self._shelf.give(grant, now)
            self._shelf.drop(ask_id)
        self._tell("approval_denied", author, ask, grant)
        return grant

    def waiting_tasks(self) -> list[str]:
        """The tasks of which a step waits for somebody: they are not idle."""
        return sorted({ask.task_id for ask in self._shelf.asks(self._clock()) if ask.task_id})

    def state(self, ask_id: str) -> tuple[str, Ask | None, Grant | None]:
        """What became of an ask: `pending`, `approved`, `denied` or `unknown`, for whoever polls."""
        now = self._clock()
        grant = self._shelf.find(ask_id, now)
        ask = next((ask for ask in self._shelf.asks(now) if ask.id == ask_id), None)
        if ask is not None:
            return "pending", ask, grant
        return (grant.state, None, grant) if grant is not None else ("unknown", None, None)

    def _checked(self, author: str, rights: frozenset[str], ask_id: str, reason: str) -> Ask:
        if CAN_APPROVE not in rights:
            raise ApprovalError("permission_denied", "this takes the right to approve")
        if len(reason) > MAX_REASON or not reason.isprintable():
            raise ApprovalError("reason_invalid", f"a reason has up to {MAX_REASON} printable characters")
        ask = next((ask for ask in self._shelf.asks(self._clock()) if ask.id == ask_id), None)
        if ask is None:
            raise ApprovalError("approval_unknown", "nobody asks for this, or not any more")
        if self._has_part(author, ask):
            raise ApprovalError("approval_own", "nobody grants what is done in their own name")
        return ask

    def _has_part(self, author: str, ask: Ask) -> bool:
        """Whether the step is made in this author's name; an ask that leaves somebody out is not believed."""
        return author in _named(ask) or (bool(ask.task_id) and author in self._chain(ask.task_id))

    def _tell(self, event: str, author: str, ask: Ask, grant: Grant) -> None:
        self._log(
            {
                "event": event,
                "at": grant.at,
                "author": author,
                "approval": ask.id,
                "principal": ask.principal,
                "action": ask.action,
                "rules": list(grant.rules),
                "until": grant.until,
                "reason": grant.reason,
            }
        )


def _lifted(ask: Ask, groups: frozenset[str]) -> tuple[str, ...]:
    """The rules of which somebody in these groups is an approver."""
    return tuple(
        rule.name for rule in ask.rules if any(group.removeprefix("group:") in groups for group in rule.groups)
    )


def _named(ask: Ask) -> frozenset[str]:
    """Everybody who an ask says has a part in the step."""
    return frozenset((ask.principal, *ask.lineage, *ask.parties))


def _crowds(ask: Ask) -> list[tuple[object, ...]]:
    return [(*ask.lineage, ask.action, group) for rule in ask.rules for group in rule.groups]
