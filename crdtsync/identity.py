"""Who writes: replica ids.

A replica id is 53 bits, because it is the CRDT client id as well and JavaScript peers must read it
exactly. It is drawn at random when a store is made, and is not to be used by a second store: where
a store was copied, one of the copies takes the next one.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection

__all__ = ["REPLICA_ID_MAX", "is_replica_id", "new_replica_id", "next_replica_id"]

REPLICA_ID_MAX = 2**53 - 1
_NEAR = 2**32
"""So near is the next id: nobody's is likely to come in between later on."""
_ROOM_MIN = 2**20
"""Of so many ids at least the next one is drawn, lest two copies draw the same."""


def new_replica_id() -> int:
    """Draw a replica id at random, always of full length so that logs look alike."""
    return secrets.randbelow(2**52) + 2**52


def next_replica_id(replica: int, others: Collection[int]) -> int:
    """Draw an id for what was written under another one: it sorts among all others as that did.

    The CRDT settles by the clients' ids what stands first where two wrote into one spot. What was
    written on top of that must find it so.

    Args:
        replica: the id up to now.
        others: all other ids that are known.

    >>> 100 < next_replica_id(100, [7, 2**40, 2**50]) < 2**40
    True
    """
    above = min((other for other in others if other > replica), default=REPLICA_ID_MAX + 1)
    below = max((other for other in others if other < replica), default=0)
    if above - replica - 1 >= _ROOM_MIN:
        return replica + 1 + secrets.randbelow(min(above - replica - 1, _NEAR))
    if replica - below - 1 >= _ROOM_MIN:
        return replica - 1 - secrets.randbelow(min(replica - below - 1, _NEAR))
    return new_replica_id()  # somebody drew ids next to ours on purpose


def is_replica_id(value: object) -> bool:
    """Tell whether a value can be a replica id."""
    return type(value) is int and 0 < value <= REPLICA_ID_MAX
