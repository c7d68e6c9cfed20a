"""Forks: where two stores hold one log in two ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from crdtsync.replica.ledger import Ledger

__all__ = ["Fork", "find_fork"]


class Fork(NamedTuple):
    """A log that was continued in two places.

    Attributes:
        replica: the id under which it stands.
        common: number of the last entry that both branches have.
    """

    replica: int
    common: int


def find_fork(ours: Ledger, theirs: Ledger) -> Fork | None:
    """Return a log that two stores hold in two ways; None if there is none.

    By the chain, what is the same at one number is the same at all below.
    """
    for replica, head in ours.heads.items():
        other = theirs.heads.get(replica)
        if other is None:
            continue
        # Of what is below where one of them begins, nothing can be compared.
        same = max(ours.begins(replica), theirs.begins(replica))
        different = min(head.seq, other.seq) + 1
        if same >= different or ours.hash_at(replica, same) != theirs.hash_at(replica, same):
            continue
        if ours.hash_at(replica, different - 1) == theirs.hash_at(replica, different - 1):
            continue
        while different - same > 1:
            middle = (same + different) // 2
            if ours.hash_at(replica, middle) == theirs.hash_at(replica, middle):
                same = middle
            else:
                different = middle
        return Fork(replica, same)
    return None
