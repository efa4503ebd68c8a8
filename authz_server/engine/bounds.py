"""How many keys callers can make in the store: new instances are limited, and what goes beyond shares one.

What a client can choose (a path capture, a tool's argument, a credential, an address) becomes part of a key, and whoever sends
a new value with each step makes a key with each step. So each principal may make a number of new instances in a while, and
each trust domain, as a backstop, a larger one. A hit beyond that is *folded*: it is counted in the one instance `~other`
that the principal has for all such hits. A step without a principal makes no keys at all: what it is about is one of
`CELLS` cells, chosen by keyed hash.

Folding must not let anybody off. Whoever has made its own quota of junk and then comes to an instance that is watched would
find an empty one in its place. So a folded hit is read together with the instance that it is really about: reading makes no
key, and the sum of both is at least what an unfolded reading would have been, but for what rounds away and for two kinds: a
budget is free a window after the first reservation in `~other`, whichever instance that was for, and a sequence does not
join the stages that it was in before with those that came later. For a day after it was folded, a principal's other steps
are read with `~other` likewise. What lowers a level does nothing in `~other`, and of what is familiar `~other` tells only
that something is there, never that this is known.

The cells are a count-min sketch (Cormode and Muthukrishnan, 2005) of one row: two addresses that share a cell read each
other's counts as well as their own, never less than their own. Of `n` steps that all anonymous callers make in a window,
`n / CELLS` are expected in a stranger's cell; the hash is keyed, so nobody can choose whose. Only anonymous callers can be
hit, and all of them are when addresses enough take part: that is what an attack from many addresses is. A level that
successes lower can be lowered by a stranger too.
"""

from threading import Lock
from typing import Final

from authz_server.engine.folds import FREE, costs_nothing, folded, in_cell, readers
from authz_server.keyhash import KeyedHash
from authz_server.model import Entity
from authz_server.signals import Hit, SignalKind

HALF_S: Final = 300.0
"""An instance is known for ten minutes after a step, and at least five: they are remembered in two halves."""
MAX_NEW: Final = 256
"""New instances of one principal in a half: far more than an agent's tools, destinations and credentials, and at 100 bytes a
key not worth an attack."""
MAX_NEW_OF_DOMAIN: Final = 16_384
"""... and of one trust domain: 64 principals that each use up their own; 2 MB of keys for each signal."""
MAX_KNOWN: Final = 262_144
"""Instances known in a half, from 16 trust domains at their limits on: 20 MB. Beyond it all that is new is folded."""
OVER_S: Final = 86_400.0
"""So long after it was folded a principal's steps are read with `~other`: as long as the widest of usual windows."""
MAX_OVER: Final = 16_384
"""Principals of which this is remembered; beyond it the one that was folded first is forgotten."""


class KeyBounds:
    """Folds the hits of those who make too many keys. Threads share it.

    What is known is looked at without a lock; whatever is new, and the turn of a half, takes one. A step that is judged
    while the half turns may be admitted once more.

    Args:
        keyed: chooses the cells, on every replica the same ones.
    """

    __slots__ = ("_before", "_domains", "_keyed", "_known", "_lock", "_made", "_over", "_turn_at")

    def __init__(self, keyed: KeyedHash) -> None:
        self._keyed = keyed
        self._lock = Lock()
        self._known: set[int] = set()
        """Hashes of instances: Python keys its own hash of texts, so that nobody can choose one that is known."""
        self._before: set[int] = set()
        self._made: dict[str, int] = {}
        """By principal the new instances of this half; as few entries as there can be new instances."""
        self._domains: dict[str, int] = {}
        self._over: dict[str, float] = {}
        """Principals that were folded, and until when that counts; who was folded first comes first."""
        self._turn_at = 0.0

    def fold(
        self, principal_id: str, trust_domain: str, hits: tuple[Hit, ...], now: float, *, reads: bool = False
    ) -> tuple[Hit, ...]:
        """Fold what would make too many keys; hits that are folded already stay as they are.

        Args:
            principal_id: who makes the step, `""` for an anonymous caller.
            trust_domain: its own, `""` for none.
            hits: of one step: those that are measured with it, those that follow its answer, or those that wait for its outcome.
            now: seconds, best of a clock that is never set: set back, it would put off the next half.
            reads: somebody reads what is measured: what was folded away is then read as well, by hits behind the others, and
                the readings have to go through `folds.raised`. Not for hits that wait for their outcome, which are all fed.

        Returns:
            The same tuple when there is nothing to fold.
        """
        if not principal_id:
            return self._put_in_cells(hits, reads=reads)
        if now >= self._turn_at:
            self._turn(now)
        if principal_id not in self._over:
            known = self._known
            for hit in hits:
                entity, rest = hit[1], hit[2]
                if (rest or entity[0] not in FREE) and hash((entity, rest)) not in known:
                    break
            else:
                return hits
        with self._lock:
            return self._fold(principal_id, trust_domain, hits, now, reads=reads)

    def _fold(self, whose: str, domain: str, hits: tuple[Hit, ...], now: float, *, reads: bool) -> tuple[Hit, ...]:
        over = self._over.get(whose, 0.0) > now
        found: list[Hit] = []
        beside: list[tuple[int, Hit]] = []
        changed = False
        for place, hit in enumerate(hits):
            if costs_nothing(hit):
                found.append(hit)
                continue
            shared = folded(hit, whose)
            if self._admits(whose, domain, hash((hit.entity, hit.rest))):
                found.append(hit)
                if over and reads:
                    beside.append((place, shared))
                continue
            changed = True
            familiar = hit.signal.kind is SignalKind.FAMILIAR
            # What is familiar is read where it is: reading makes no key.
            only_read = familiar and not hit.amount
            found.append(hit if only_read else shared)
            if reads:
                beside.append((place, shared if only_read else hit))
        if changed:
            self._remember(whose, now)
        return (*found, *readers(beside)) if changed or beside else hits

    def _admits(self, whose: str, domain: str, instance: int) -> bool:
        known = self._known
        if instance in known:
            return True
        full = len(known) >= MAX_KNOWN
        if instance in self._before:
            if not full:
                known.add(instance)
            return True
        made, of_domain = self._made.get(whose, 0), self._domains.get(domain, 0)
        if full or made >= MAX_NEW or of_domain >= MAX_NEW_OF_DOMAIN:
            return False
        self._made[whose], self._domains[domain] = made + 1, of_domain + 1
        known.add(instance)
        return True

    def _remember(self, whose: str, now: float) -> None:
        over = self._over
        over.pop(whose, None)
        if len(over) >= MAX_OVER:
            del over[next(iter(over))]
        over[whose] = now + OVER_S

    def _turn(self, now: float) -> None:
        """Start a new half."""
        with self._lock:
            if now < self._turn_at:
                return
            self._before = self._known if now < self._turn_at + HALF_S else set()
            self._known = set()
            self._made, self._domains = {}, {}
            self._over = {whose: until for whose, until in self._over.items() if until > now}
            self._turn_at = now + HALF_S

    def _put_in_cells(self, hits: tuple[Hit, ...], *, reads: bool) -> tuple[Hit, ...]:
        found: list[Hit] = []
        beside: list[tuple[int, Hit]] = []
        hashes: dict[tuple[Entity, tuple[str, ...]], bytes] = {}
        for place, hit in enumerate(hits):
            entity, rest = instance = (hit.entity, hit.rest)
            if costs_nothing(hit):
                found.append(hit)
                continue
            digest = hashes.get(instance)
            if digest is None:
                digest = hashes[instance] = self._keyed.digest((entity.type, *entity.parts, *rest), 8)
            found.append(in_cell(hit, digest))
            if reads:
                beside.append((place, hit))
        return (*found, *readers(beside)) if hashes else hits
