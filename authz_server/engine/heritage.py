"""Under which lineage a credential was first accepted: what this replica knows of it, and how it is learned.

A credential that is known costs a look at a dict. Of those that are not the store is asked, for all steps of a batch at once and
before their readings; what it says is believed for a minute.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from authz_server.engine.owners import Owned, Owners
from authz_server.errors import StateUnavailableError
from authz_server.model import Credential
from authz_server.pdp import Decided
from authz_server.policy.heritage import OWNER, claims_of
from authz_server.signals import Hit

FIRST_S: Final = 86_400.0
"""So long a credential's lineage is remembered at first: a token that lives for minutes leaves nothing behind for longer."""
OWNED_S: Final = 31 * 86_400.0
"""So long after its owner used it again: as long as signals can remember."""
RENEW_S: Final = 3600.0
"""How old a record is before the owner's use renews it: one write an hour for a credential in use."""
KNOWN_S: Final = 60.0
"""So long this replica believes what it knows of a credential: a claim stands for a day at least."""
UNCLAIMED_S: Final = 2.0
"""The same where nobody had claimed it: the first use is answered, and told, in about that time."""
MAX_KNOWN: Final = 65_536
"""Credentials that a replica knows, about 20 MB; when it is full all are asked for again."""
MAX_QUEUED: Final = 4096
"""Claims that wait to be stored; the oldest are dropped, and made again with the next step."""
MAX_CARRIED: Final = 64
"""How many of them are looked at in one round trip."""
MAX_NEW: Final = 256
"""Credentials that one lineage claims in an hour on one replica: more than an agent has keys, and 100 KB in the store."""


class _Known(NamedTuple):
    """What this replica knows of a credential."""

    owned: Owned | None
    until: float


class Heritage:
    """Knows whose credentials are. Threads share it.

    Args:
        owners: where it is kept.
    """

    __slots__ = ("_known", "_made", "_made_until", "_owners", "_queue")

    def __init__(self, owners: Owners) -> None:
        self._owners = owners
        self._known: dict[str, _Known] = {}
        self._queue: deque[tuple[str, str]] = deque(maxlen=MAX_QUEUED)
        self._made: dict[str, int] = {}
        self._made_until = 0.0

    def knows_own(self, credentials: Sequence[Credential], lineage: str, now: float) -> bool:
        """Whether it is known that all credentials are of the lineage that presents them: the usual step, which inherits nothing."""
        known = self._known
        for credential in credentials:
            found = known.get(credential.id)
            if found is None or found[0] is None or found[0][0] != lineage or now >= found[1]:
                return False
        return True

    def owners_of(self, credentials: Iterable[str], now: float) -> Mapping[str, str]:
        """Whose credentials are.

        Args:
            credentials: their ids.
            now: Unix time in seconds.

        Returns:
            By id the lineage under which it was first accepted, `""` where there is none yet; without those of which the
            store did not say it.
        """
        known: dict[str, str] = {}
        unknown: dict[str, None] = {}
        for credential in credentials:
            found = self._known.get(credential)
            if found is not None and now < found.until:
                known[credential] = found.owned.lineage if found.owned is not None else ""
            else:
                unknown[credential] = None
        return known | self._look_up(tuple(unknown), now) if unknown else known

    def _look_up(self, credentials: Sequence[str], now: float) -> dict[str, str]:
        """Ask whose these are; without those of which the store does not say it."""
        lineages: dict[str, str] = {}
        for credential, owned in zip(credentials, self._owners.find(credentials, now), strict=True):
            if not isinstance(owned, StateUnavailableError):
                self._remember(credential, owned, now)
                lineages[credential] = owned.lineage if owned is not None else ""
        return lineages

    def _remember(self, credential: str, owned: Owned | None, now: float) -> None:
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        until = now + UNCLAIMED_S if owned is None else min(now + KNOWN_S, owned.until)
        self._known[credential] = _Known(owned, until)

    def trim(self, decided: Decided, now: float) -> Decided:
        """Leave out of what a step's outcome will feed the claims that would say nothing new."""
        expected = decided.expected
        kept = tuple([hit for hit in expected if hit.signal.name != OWNER or self._is_news(hit, now)])
        return decided if len(kept) == len(expected) else decided._replace(expected=kept)

    def _is_news(self, hit: Hit, now: float) -> bool:
        for credential, lineage in claims_of((hit,)):
            known = self._known.get(credential)
            if known is None or known.owned is None or now >= known.until:
                return True
            return known.owned.lineage == lineage and _is_old(known.owned, now)
        return False

    def learn(self, hits: tuple[Hit, ...]) -> tuple[Hit, ...]:
        """Take the claims out of what an outcome feeds; they are stored with the next tick.

        Args:
            hits: of a step that was allowed and answered below 400.

        Returns:
            The others.
        """
        self._queue.extend(claims_of(hits))
        return tuple([hit for hit in hits if hit.signal.name != OWNER])

    def flush(self, now: float) -> None:
        """Store what was claimed: the first claim stands. What the store does not take is tried again, and keeps nobody back."""
        if now >= self._made_until:
            self._made, self._made_until = {}, now + RENEW_S
        left: dict[str, str] = {}
        refuses = False
        while not refuses and (taken := self._take()):
            claims: dict[str, str] = {}
            for credential, lineage in taken:
                if credential not in left:
                    claims.setdefault(credential, lineage)
            for (credential, lineage), owned in zip(claims.items(), self._owners.find(tuple(claims), now), strict=True):
                if refuses or isinstance(owned, StateUnavailableError):
                    left[credential] = lineage
                    continue
                try:
                    self._settle(credential, lineage, owned, now)
                except StateUnavailableError:
                    left[credential], refuses = lineage, True
        self._queue.extendleft(reversed([*left.items()][: MAX_QUEUED - len(self._queue)]))

    def _take(self) -> list[tuple[str, str]]:
        taken: list[tuple[str, str]] = []
        while self._queue and len(taken) < MAX_CARRIED:
            taken.append(self._queue.popleft())  # only the ticker takes
        return taken

    def _settle(self, credential: str, lineage: str, owned: Owned | None, now: float) -> None:
        if owned is None:
            if self._made.get(lineage, 0) >= MAX_NEW:
                return
            claimed = Owned(lineage, now, now + FIRST_S)
            if not self._owners.claim(credential, claimed):  # another replica was quicker, or there is no room
                self._known.pop(credential, None)
                return
            self._made[lineage] = self._made.get(lineage, 0) + 1
            owned = claimed
        elif owned.lineage == lineage and _is_old(owned, now) and now < owned.until - KNOWN_S:
            # Shortly before its end it is left to end: another's claim must not be written over.
            owned = Owned(lineage, now, now + OWNED_S)
            self._owners.renew(credential, owned)
        self._remember(credential, owned, now)


def _is_old(owned: Owned, now: float) -> bool:
    return now - owned.written >= RENEW_S
