"""Merging: two replicas in one process give each other what they lack, document by document.

Where a log of one of them was continued in two places, it is mended first: see `forks`, `mending`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdtsync.errors import ForkError
from crdtsync.replica.forks import find_fork

if TYPE_CHECKING:
    from crdtsync.replica.ledger import Ledger
    from crdtsync.replica.replica import Replica

__all__ = ["merge_document"]

_BLOCK_BYTES = 1024 * 1024


def merge_document(name: str, here: Replica, there: Replica) -> None:
    """Exchange a document between two replicas, both ways.

    Args:
        name: of the document.
        here: mends what both of them could.
        there: the other one.

    Raises:
        ForkError: the two hold what others wrote in two ways.
        ActionError: one of them has to rotate its id, and an action is open.
    """
    ours, theirs = here.ledger(name), there.ledger(name)
    while (fork := find_fork(ours, theirs)) is not None:
        if ours.wrote_after(*fork):
            here.mend(name, *fork)
        elif theirs.wrote_after(*fork):
            there.mend(name, *fork)
        else:
            raise ForkError(
                "the two replicas hold different entries of this number: the log was "
                "continued in two places, by a device that has not mended it yet",
                document=name,
                replica=fork.replica,
                seq=fork.common + 1,
            )
    _copy(ours, theirs)
    _copy(theirs, ours)


def _copy(source: Ledger, target: Ledger) -> None:
    source.flush()
    while found := source.missing(target.vector, _BLOCK_BYTES):
        target.receive([entry.data for entry in found])
