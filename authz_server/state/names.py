"""The keys of the control plane in the store.

They share the hash tag `c`, so that they lie in one slot of a cluster and one script covers them; the inbox is a key of its own, because a data role may only
write to that one.
"""

from typing import Final

FEED: Final = b"az:{c}:feed"
"""Stream of the signed records; an entry has the fields `n` (counter) and `r` (record)."""

HELD: Final = b"az:{c}:held"
"""Hash of the newest record of each entity: field = its tag (32 hexadecimal digits), value = `<version>|<record>`."""

EPOCH: Final = b"az:{c}:epoch"
"""Stream ID of the newest entry of the feed."""

META: Final = b"az:{c}:meta"
"""`1|<keyed hash>`: shows that replicas which share the store share the hash secret and the schema too."""

INBOX: Final = b"az:in"
"""Stream in which data roles ask for containment."""
