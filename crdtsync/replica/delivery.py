"""What of a document's log the server has, and how far we have got in the server's.

The file holds it, and this what was read of it. Who writes entries writes how far they bring us in
the same transaction: see `Ledger`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from crdtsync.log import EMPTY_HEAD, Cursor, Entry, Head
from crdtsync.replica.store import Carried, Progress

if TYPE_CHECKING:
    from crdtsync.replica.store import Store

__all__ = ["Delivery"]


class Delivery:
    """How far one document is handed on.

    Args:
        store: the file.
        number: the document's.

    Attributes:
        sent: number up to which our entries may have been seen by others.
        acknowledged: number up to which they are durable at the server.
        cursor: how far we have got in the server's log.
        known: the place up to which our last entry knew what had arrived, where that is stored.
        carried: our logs of former ids that the server is not known to have whole.
    """

    def __init__(self, store: Store, number: int) -> None:
        self._store = store
        self._number = number
        self.sent = self.acknowledged = 0
        self.cursor: Cursor | None = None
        self.known: int | None = None
        self.carried: dict[int, Carried] = {}
        self._formers: dict[int, int] = {}

    def read(self) -> None:
        """Know what is in the file. Its errors are the caller's."""
        logs = self._store.carried(self._number)
        self.sent, self.acknowledged, self.cursor, self.known = self._store.progress(self._number)
        self._formers = {replica: one.upto for replica, one in logs.items()}
        self.carried = {r: one for r, one in logs.items() if one.acknowledged < one.upto}

    def at(self, cursor: Cursor | None, known: int | None) -> Progress:
        """Return what to store where entries from elsewhere bring us so far."""
        return Progress(self.sent, self.acknowledged, cursor, known)

    def above(self, seq: int, cursor: Cursor | None) -> Progress:
        """Return what to store where our log begins above an entry that the server has."""
        sent, acknowledged = max(self.sent, seq), max(self.acknowledged, seq)
        return Progress(sent, acknowledged, cursor, self.known)

    def flush(self, own: int) -> None:
        """Make everything so far survive the loss of power, as what is about to be sent has to.

        Args:
            own: the number of our last entry.
        """
        if self.sent < own:
            progress = self.at(self.cursor, self.known)._replace(sent=own)
            with self._store.file.transaction(durable=True):
                self._store.write_progress(self._number, progress)
            self.sent = own

    def acknowledge(self, theirs: Mapping[int, int], heads: Mapping[int, Head], own: int) -> None:
        """Note which of our entries are durable at the server.

        Args:
            theirs: the server's state vector, which does not contradict ours.
            heads: the ends of all logs held.
            own: the id that we write under.
        """
        # Where they have more of a log than we, what they have may be a copy's, until it is here.
        known = {
            replica: seq
            for replica, seq in theirs.items()
            if replica in self._store.keys and seq <= heads.get(replica, EMPTY_HEAD).seq
        }
        seq = max(self.acknowledged, known.get(own, 0))
        carried = {
            replica: one._replace(acknowledged=min(known[replica], one.upto))
            for replica, one in self.carried.items()
            if known.get(replica, 0) > one.acknowledged
        }
        if seq == self.acknowledged and not carried:
            return
        with self._store.file.transaction():
            progress = self.at(self.cursor, self.known)._replace(acknowledged=seq)
            self._store.write_progress(self._number, progress)
            for replica, one in carried.items():
                self._store.write_carried(self._number, replica, one)
        self.acknowledged = seq
        everything = self.carried | carried
        self.carried = {r: one for r, one in everything.items() if one.acknowledged < one.upto}

    def carries(self, replica: int, seq: int) -> bool:
        """Tell whether what stands behind an entry is of a former id of ours, and still counts."""
        carried = self.carried.get(replica)
        return carried is not None and seq < carried.upto

    def ours(self, replica: int, own: int) -> dict[int, int]:
        """Return the number of our last entry, under our id and those before that still count.

        Args:
            replica: our id.
            own: the number under it.
        """
        carried = {former: one.upto for former, one in self.carried.items()}
        return {**carried, replica: own}

    def unacknowledged(self, own: int) -> int:
        """Return how many entries of ours, up to a number, are not known to be at the server."""
        carried = sum(one.upto - one.acknowledged for one in self.carried.values())
        return carried + own - self.acknowledged

    def formers(self, at: Callable[[int, int], Entry | None]) -> dict[int, int]:
        """Return our last entry's number under each former id, the oldest log first.

        Args:
            at: returns an entry by its replica and number.
        """
        begun = {replica: at(replica, 1) for replica in self._formers}
        times = {replica: first.time for replica, first in begun.items() if first is not None}
        return {r: self._formers[r] for r in sorted(times, key=times.__getitem__)}
