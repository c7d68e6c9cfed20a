"""What goes up: entries that the server lacks, one block of one document at a time.

The ledgers are the queue: here stand only the names of the documents that may have something to
push, in turn, and of those of which the server holds more than was written down. Where a push did
not fit, the document waits for the answer to a Check: see `Follower.misfit`.
"""

from __future__ import annotations

from collections.abc import Callable

from crdtsync.errors import LocalProtocolError
from crdtsync.sync import ClientProtocol
from crdtsync.sync.frames import Heads, Receipt
from crdtsync.telemetry import ENTRIES
from crdtsync.transport.following import Following
from crdtsync.transport.ports import ReplicaPort
from crdtsync.transport.status import ConnectionEvent

__all__ = ["Pushing"]

PUSH_BYTES_MAX = 128 * 1024


class Pushing:
    """Pushes the documents of a session, and hears what became of it.

    Args:
        replica: whose documents.
        protocol: of the session.
        following: the documents of the session.
        publish: is told what the application should know.
    """

    def __init__(
        self,
        replica: ReplicaPort,
        protocol: ClientProtocol,
        following: Following,
        publish: Callable[[ConnectionEvent], None],
    ) -> None:
        self._replica = replica
        self._protocol = protocol
        self._following = following
        self._publish = publish
        self._due: dict[str, None] = {}  # documents with something to push, in turn
        self._advanced: set[str] = set()  # documents of which the server holds more than is stored

    def add(self, name: str) -> None:
        """Let a document have its turn: there may be something to push."""
        self._due.setdefault(name)

    @property
    def can_go_on(self) -> bool:
        """Whether something may be pushed now."""
        return bool(self._due) and self._protocol.can_push

    def push_next(self) -> None:
        """Push one block of the document whose turn it is.

        Raises:
            StorageError: the store could not be read or made safe.
        """
        if not self.can_go_on:
            return
        name = next(iter(self._due))
        del self._due[name]
        if self._push(name):
            self._due[name] = None  # at the end: first the others' turn

    def _push(self, name: str) -> bool:
        """Push one block of a document; tell whether there may be more."""
        follower, protocol = self._following.followers[name], self._protocol
        waits = follower.barrier is not None or follower.doubt is not None or follower.stuck
        if not follower.live or waits:
            return False  # it is queued again by what it waits for
        size = min(PUSH_BYTES_MAX, protocol.message_bytes_max // 2)
        missing = follower.ledger.missing(follower.sent, size)
        if not missing:
            return False
        # Nobody may hold an entry that its author could still lose.
        follower.ledger.flush()
        pushed = False
        try:
            for part in follower.ledger.parts(missing, protocol.push_entries_max):
                pushed = True
                if not protocol.can_push:
                    break
                protocol.push(name, [entry.data for entry in part])
                follower.pushed(part)
                ENTRIES.add(len(part), "out")
        except LocalProtocolError as error:
            self._following.give_up(name, "local", str(error))
            return False
        return pushed

    def receipt(self, event: Receipt) -> None:
        """Take note of what is durable at the server, and of what it has refused."""
        follower = self._following.followers[event.document]
        for seq, reason in event.refused:
            if self._replica.owns(event.replica):
                follower.ledger.refuse(event.replica, seq, reason)
            detail = f"entry {seq} of replica {event.replica:x}: {reason}"
            self._publish(ConnectionEvent("rejected", detail, event.document))
        follower.receipt(event.replica, event.seq)
        self.advanced(event.document)

    def advanced(self, name: str) -> None:
        """Take note that more of a document is durable at the server than we have written down."""
        self._advanced.add(name)

    def acknowledge(self) -> None:
        """Write down which of our entries are durable at the server.

        Raises:
            StorageError: it could not be written.
        """
        for name in self._advanced:
            follower = self._following.followers[name]
            if follower.live and follower.doubt is None:
                follower.ledger.acknowledge(follower.theirs)
        self._advanced.clear()

    def misfit(self, event: Heads) -> bool:
        """Deal with heads that come because a push did not fit; tell whether these do."""
        name = event.document
        follower = self._following.followers[name]
        if event.nonce == 0:
            if follower.barrier is None:
                follower.misfit(self._protocol.check(name))
            return True
        if event.nonce != follower.barrier:
            return False
        if follower.barrier_passed(event.heads):
            self.add(name)
        else:
            detail = "the server lacks what our entries build on; they wait for others' to come"
            self._publish(ConnectionEvent("stuck", detail, name))
        return True
