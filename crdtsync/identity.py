"""Who writes: replica ids.

A replica id is 53 bits, because it is the CRDT client id as well and JavaScript peers must read it
exactly. It is drawn at random when a store is made and is never used by a second store.
"""

from __future__ import annotations

import secrets

__all__ = ["REPLICA_ID_MAX", "is_replica_id", "new_replica_id"]

REPLICA_ID_MAX = 2**53 - 1


def new_replica_id() -> int:
    """Draw a replica id at random, always of full length so that logs look alike."""
    return secrets.randbelow(2**52) + 2**52


def is_replica_id(value: object) -> bool:
    """Tell whether a value can be a replica id."""
    return type(value) is int and 0 < value <= REPLICA_ID_MAX
