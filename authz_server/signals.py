"""What is measured, and what the readings mean. The arithmetic is here; `state/step.lua` is its other copy.

A *signal* is a definition of the policy; a *hit* is one step's contribution to one instance of it; a *reading* is the
whole number that comes back. Semantics (times in milliseconds, `d = max(0, now - last)`), the same in every store:

count     Sliding window of two buckets: `index = now // window`; on a new index the previous bucket is the current one
          if the indices adjoin, else 0. A silence of a whole window empties both. The step counts one, unless the current
          bucket has reached `cap` (twice the largest limit: a caller who keeps trying cannot push its own recovery away
          for ever). Reading: `current + previous * (window - now % window) // window`.
distinct  The members seen within the window, each with its last time. A known member is refreshed; a new one is added
          after the members older than the window are dropped. A full list (`cap`) stores nothing and reads `cap + 1`.
          Reading: how many members are alive, this one included. An empty member only reads: a step that has no such
          value (another action's path capture) adds nothing and still sees what was seen.
sequence  Per stage a depth in half steps and its last time. Stages older than the window are nothing. A depth halves with
          each *whole* half-life that has passed (whole, so that a chain of quick steps keeps its whole depth). A step on
          stage s gets `2 + max over j < s of (depth[j] + (s - j - 1))`, or 2 when no earlier stage is alive: a skipped
          stage counts half, because an intruder who arrives at a late stage took the skipped one out of sight. It never
          lowers what is stored. A step without a stage (-1) only reads. Reading: `max(depth) // 2`.

A *repeat* of the same step (Envoy's retry, byte for byte) reads and counts nothing.
"""

from enum import StrEnum
from typing import NamedTuple

from authz_server.model import Entity


class SignalKind(StrEnum):
    """The kinds of state that both stores implement."""

    COUNT = "count"
    DISTINCT = "distinct"
    SEQUENCE = "sequence"


class Signal(NamedTuple):
    """The compiled definition of one signal, as far as a store needs it."""

    name: str
    id: str
    """8 hexadecimal digits over name and definition: a changed definition starts afresh."""
    kind: SignalKind
    window_ms: int
    cap: int = 0
    """count: where the bucket saturates; distinct: how many members are kept."""
    half_life_ms: int = 0
    """sequence: 0 = no decay."""
    stages: int = 0
    """sequence: how many stages it has."""


class Hit(NamedTuple):
    """One step's contribution to one instance of a signal."""

    signal: Signal
    entity: Entity
    """Carries the cluster hash tag: all signals of an entity lie in one slot."""
    rest: tuple[str, ...] = ()
    """The further parts of a composite key."""
    member: str = ""
    """distinct: the value that is counted."""
    stage: int = -1
    """sequence: the stage of this step from 0, or -1 to read only."""


class Measurement(NamedTuple):
    """All that one step asks of the store."""

    hits: tuple[Hit, ...]
    fingerprint: bytes
    """16 bytes that a byte-identical retry shares; `b""` turns the detection of repeats off."""
    flags: tuple[Entity, ...] = ()
    """Entities whose containment is to be read in the same round trip."""


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
