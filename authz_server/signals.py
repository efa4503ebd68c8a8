"""What a store measures, and what the readings mean. The arithmetic is here; `state/step.lua` is its other copy.

A *signal* is a definition of the policy; a *hit* is one step's contribution to one instance of it; a *reading* is the
whole number that comes back. Semantics (times in milliseconds, `d = max(0, now - last)`), the same in every store:

count     Sliding window of two buckets: `index = now // window`; on a new index the previous bucket is the current one
          if the indices adjoin, else 0. A silence of a whole window empties both. The step counts one, or
          the `amount` of steps that it stands for, up to `cap` (twice the largest limit: a caller who keeps trying cannot
          push its own recovery away for ever). With `amount` 0 the step only reads. Reading: `current + previous * (window - now % window) // window`.
distinct  The members seen within the window, each with its last time. A known member is refreshed; a new one is added
          after the members older than the window are dropped. A full list (`cap`) stores nothing and reads `cap + 1`.
          Reading: how many members are alive, this one included. An empty member only reads: a step that has no such
          value (another action's path capture) adds nothing and still sees what was seen.
sequence  Per stage a depth in half steps and its last time. Stages older than the window are nothing. A depth halves with
          each *whole* half-life that has passed (whole, so that a chain of quick steps keeps its whole depth). A step on
          stage s gets `2 + max over j < s of (depth[j] + (s - j - 1))`, or 2 when no earlier stage is alive: a skipped
          stage counts half, because an intruder who arrives at a late stage took the skipped one out of sight. It never
          lowers what is stored. A step without a stage (-1) only reads. Reading: `max(depth) // 2`.
familiar  What is known: members, each with its last time, the moment `born` of the first, and how many `events` taught it
          (at most 1 023). Members older than the window are dropped; when all are, and nothing is left, it is born anew
          with the next. With `amount` 1 the step teaches: its member is refreshed, or added in the place of the longest
          unseen one when the list is full (`cap`). With `amount` 0 or an empty member it only reads. Reading: a
          `Familiarity` as one number, of the list *before* this step: how many members are alive, whether this one is
          among them, the whole seconds since `born`, the events.
level     A number that fades: kept in thousandths with its last time, halved by each half-life (`faded`). The step adds
          `amount` thousandths, which may be negative; the result stays within 0 and `cap` units. A step that changes nothing
          stores nothing. With a `ring`, the last `ring` members that changed it are remembered, and one of them changes
          nothing; with `share` as well, a member adds nothing when `share` remembered members that did are of its group.
          What is stored is the time up to which it has faded, in whole 1 024ths of a half-life: a level that is written
          often fades as fast as one that is not. With `amount` 0 the step only reads.
          Reading: the whole part of what it is afterwards, `value // 1000`.
budget    What is used up of a quantity, from the first reservation until `window` later, when all is free again. A step
          with `amount` > 0 reserves it if the sum stays within `cap`, else it stores nothing. One with `amount` < 0 gives
          back, down to 0. Reading: what was used and `amount` together, whether it was stored or not; at least 0.

Two members of one step on one instance are both measured, and each of the two hits reads what the step makes of it.
A *repeat* of the same step (Envoy's retry, byte for byte) reads and counts nothing.
"""

from enum import StrEnum
from typing import Final, NamedTuple

from authz_server.model import Entity


class SignalKind(StrEnum):
    """The kinds of state that both stores implement."""

    COUNT = "count"
    DISTINCT = "distinct"
    SEQUENCE = "sequence"
    FAMILIAR = "familiar"
    LEVEL = "level"
    BUDGET = "budget"


class Signal(NamedTuple):
    """The compiled definition of one signal, as far as a store needs it."""

    name: str
    id: str
    """8 hexadecimal digits over name and definition: a changed definition starts afresh."""
    kind: SignalKind
    window_ms: int
    """level: unused, 0."""
    cap: int = 0
    """count: where the bucket saturates; distinct, familiar: how many members are kept; level: units; budget: the quantity."""
    half_life_ms: int = 0
    """sequence: 0 = no decay; level: required."""
    stages: int = 0
    """sequence: how many stages it has."""
    ring: int = 0
    """level: how many members it remembers, at most 32."""
    share: int = 0
    """level: how many of the ring may come from one group; 0 = all."""


class Hit(NamedTuple):
    """One step's contribution to one instance of a signal."""

    signal: Signal
    entity: Entity
    """Carries the cluster hash tag: all signals of an entity lie in one slot."""
    rest: tuple[str, ...] = ()
    """The further parts of a composite key."""
    member: str = ""
    """distinct, familiar: the value; level: what the ring remembers."""
    stage: int = -1
    """sequence: the stage of this step from 0, or -1 to read only."""
    amount: int = 1
    """count: so many steps, up to 255; familiar: 1; of both 0 to read only; level: thousandths; budget: units."""
    group: str = ""
    """level: who vouches for the member, for `share`."""


class Measurement(NamedTuple):
    """All that one step asks of the store."""

    hits: tuple[Hit, ...]
    fingerprint: bytes
    """16 bytes that a byte-identical retry shares; `b""` turns the detection of repeats off."""
    flags: tuple[Entity, ...] = ()
    """Entities whose containment is to be read in the same round trip; of type `OPEN_TASK`: whether the task is open."""
    lasting: bool = False
    """The fingerprint is that of an outcome, whose repeat is recognised for an hour instead of some seconds."""


class Readings(NamedTuple):
    """The store's answer to one `Measurement`."""

    values: tuple[int, ...]
    """Parallel to `hits`."""
    repeated: bool = False
    contained: tuple[Entity, ...] = ()
    """Those of `flags` that are contained."""
    degraded: bool = False
    """Read from this replica alone because the store was not to be had."""


NO_READINGS = Readings(())

UNIT: Final = 1000
"""Thousandths of a level."""
MAX_EVENTS: Final = 1023
"""Where the events of a familiar list stop being counted."""
MAX_AGE_S: Final = (1 << 31) - 1
_COUNT_BITS: Final = 11
_EVENT_BITS: Final = 10


class Familiarity(NamedTuple):
    """The reading of a familiar list, taken apart."""

    members: int
    """How many are alive, at most 1 024."""
    known: bool
    """Whether the step's own member is among them."""
    age_s: int
    """Whole seconds since the list was born; 0 when it is empty."""
    events: int
    """How often it was taught, at most `MAX_EVENTS`."""


def pack_familiarity(members: int, known: int, age_s: int, events: int) -> int:
    """Pack a `Familiarity` into one number below 2^53: age, events, known, members, from the high bits to the low."""
    return (((min(age_s, MAX_AGE_S) << _EVENT_BITS) + events << 1) + known << _COUNT_BITS) + members


def unpack_familiarity(reading: int) -> Familiarity:
    """Take the reading of a familiar list apart."""
    rest, members = reading >> _COUNT_BITS, reading & ((1 << _COUNT_BITS) - 1)
    return Familiarity(members, bool(rest & 1), rest >> 1 + _EVENT_BITS, rest >> 1 & MAX_EVENTS)


MAX_HALVINGS: Final = 24
"""After so many half-lives a level is 0: the largest is below 2^24 thousandths."""
FADING: Final = tuple(round(2**20 * 2 ** -(bit / 1024)) for bit in (512, 256, 128, 64, 32, 16, 8, 4, 2, 1))
"""2^20 times the share that is left after each binary fraction of a half-life, so that all arithmetic is in whole numbers."""


def faded(value: int, age_ms: int, half_life_ms: int) -> int:
    """What is left of a level: halved by each whole half-life, and by the rest in 1 024ths of one.

    Args:
        value: thousandths, below 2^24.
        age_ms: at least 0.
        half_life_ms: at least 1, at most 2^36.
    """
    halvings, rest = divmod(age_ms, half_life_ms)
    if halvings >= MAX_HALVINGS:
        return 0
    fraction = rest * 1024 // half_life_ms
    left = 1 << 20
    for place, share in enumerate(FADING):
        if fraction >> 9 - place & 1:
            left = left * share >> 20
    return (value >> halvings) * left >> 20
