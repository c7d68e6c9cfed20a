"""What comes of a document: entries, gathered so that many small frames cost one transaction.

Credit is not given back here: whoever stores what was gathered does that when it is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from crdtsync.log import Cursor
from crdtsync.sync.frames import Entries, SnapshotPart
from crdtsync.transport.follower import Follower, now
from crdtsync.transport.greeting import Greeting
from crdtsync.transport.ports import ReplicaPort
from crdtsync.transport.status import ConnectionEvent

__all__ = ["Intake"]

BATCH_BYTES_MAX = 256 * 1024  # of small Entries frames that are stored in one transaction
ADVANCE_MAX = 100  # offsets that a cursor may be ahead of the stored one


class Intake:
    """Gathers the entries of one document, and stores what comes.

    Args:
        replica: whose documents.
        greeting: tells the server's epoch, and whether it honours our cursors.
        publish: is told what the application should know.
    """

    def __init__(
        self,
        replica: ReplicaPort,
        greeting: Greeting,
        publish: Callable[[ConnectionEvent], None],
    ) -> None:
        self._replica = replica
        self._greeting = greeting
        self._publish = publish
        self._gathered: list[Entries] = []  # of one document
        self._gathered_bytes = 0

    def fits(self, frame: Entries) -> bool:
        """Tell whether a frame can be stored together with those that were gathered."""
        return not self._gathered or (
            self._gathered[0].document == frame.document
            and self._gathered_bytes + frame.size <= BATCH_BYTES_MAX
        )

    def gather(self, frame: Entries) -> None:
        """Keep a frame that fits, to be stored with others."""
        self._gathered.append(frame)
        self._gathered_bytes += frame.size

    def take(self) -> list[Entries]:
        """Take out what was gathered."""
        gathered, self._gathered = self._gathered, []
        self._gathered_bytes = 0
        return gathered

    def store(self, name: str, follower: Follower, datas: Sequence[bytes], offset: int) -> None:
        """Store entries, and that we are at an offset of the server's sequence with them.

        Raises:
            EntryError: one of them is bad; those before it are kept.
            StorageError: they could not be stored.
        """
        ledger = follower.ledger
        stored, cursor = ledger.cursor, Cursor(self._greeting.epoch, offset)
        is_echo = not datas and self._greeting.is_active  # mostly of our own push
        if is_echo and stored is not None and stored.epoch == cursor.epoch:
            # It is not worth a transaction each time.
            follower.advance = cursor
            if cursor.offset - stored.offset < ADVANCE_MAX:
                follower.reach(cursor.offset, now())
                return
        before = dict(ledger.heads)
        received = ledger.receive(datas, cursor, prove=True)
        follower.advance = None
        if received.clamped:
            detail = (
                "this device's clock is ahead: what it did counts as of the time at which the "
                f"server got it ({received.clamped:,} actions)"
            )
            self._publish(ConnectionEvent("clock", detail, name))
        if received.new:
            # Whatever became longer did so by what the server sent, except our own log: an
            # observer may have acted on what came.
            follower.learn(
                {
                    replica: head.seq
                    for replica, head in ledger.heads.items()
                    if head != before.get(replica) and replica != self._replica.id
                }
            )
        follower.reach(cursor.offset, now())

    def store_part(self, follower: Follower, part: SnapshotPart) -> bool:
        """Keep a part of a clone; tell whether that is whole now, and begun from.

        Raises:
            CloneError, EntryError: the clone cannot be gone on from; nothing was changed.
            StorageError: nothing was changed.
        """
        cursor = Cursor(self._greeting.epoch, part.offset)
        whole = follower.ledger.take_part(part.id, part.position, part.total, part.data, cursor)
        if whole:
            detail = f"begun anew from its state at the server, {part.total:,} bytes"
            self._publish(ConnectionEvent("cloned", detail, part.document))
            follower.progressed(now())
        return whole
