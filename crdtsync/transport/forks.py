"""Forks: where the server holds other entries of a log than we do.

Where it may be a log of ours, because a copy of the store has gone on with it, the document is in
`doubt`: it is asked for once more, as if we held nothing of our own. Then what comes shows where
the log forks, and the replica mends it. Any other fork is not ours to mend: the document is given
up.

Read next: `crdtsync.replica.mending`.
"""

from __future__ import annotations

from collections.abc import Callable

from crdtsync.errors import ActionError, BrokenChainError, EntryError, ForkError
from crdtsync.sync import ClientProtocol
from crdtsync.sync.frames import Complete, Failed, Heads, Subscribed
from crdtsync.transport.following import Following
from crdtsync.transport.greeting import Greeting
from crdtsync.transport.ports import ReplicaPort
from crdtsync.transport.status import ConnectionEvent

__all__ = ["Forks"]

_FORKED = frozenset({"fork", "chain"})
"""Codes of a document's end after which it is seen whether a log of ours forks."""


class Forks:
    """Finds the forks of a session's documents, and has them mended.

    Args:
        replica: mends its logs.
        protocol: of the session.
        greeting: tells whether our id is still the one that the server knows.
        following: the documents of the session.
        publish: is told what the application should know.

    Attributes:
        mended: how many logs were mended.
        postponed: a log is to be mended, and an action is open: the session has to end first.
    """

    def __init__(
        self,
        replica: ReplicaPort,
        protocol: ClientProtocol,
        greeting: Greeting,
        following: Following,
        publish: Callable[[ConnectionEvent], None],
    ) -> None:
        self.mended = 0
        self.postponed = False
        self._replica = replica
        self._protocol = protocol
        self._greeting = greeting
        self._following = following
        self._publish = publish

    def contradicts(self, event: Subscribed | Complete | Heads) -> bool:
        """Tell whether the server's heads contradict what we hold; if so, find out where."""
        follower = self._following.followers[event.document]
        if follower.doubt is not None:
            return False
        ledger = follower.ledger
        for replica, head in event.heads.items():
            held = ledger.heads.get(replica)
            if held is None or held.seq < head.seq or held == head:
                continue
            if ledger.hash_at(replica, head.seq) != head.hash:
                reason = f"the server holds another entry {head.seq} of replica {replica:x}"
                self._doubt(event.document, "fork", reason)
                return True
        return False

    def judge(self, name: str, error: EntryError) -> None:
        """Deal with an entry that came and is bad."""
        if isinstance(error, ForkError) and error.common is not None:
            assert error.replica is not None
            if self._replica.owns(error.replica):
                self._mend(name, error.replica, error.common)
                return
        if isinstance(error, ForkError | BrokenChainError):
            self._doubt(name, "entry", str(error))
        else:
            self._following.give_up(name, "entry", str(error))

    def failed(self, event: Failed) -> None:
        """Deal with the server's word that a document does not go on."""
        name = event.document
        if event.code not in _FORKED:
            self._following.drop(name, event.code, event.reason)
        elif self._following.followers[name].live:
            self._doubt(name, event.code, event.reason)
        else:  # said of what was pushed before it was asked for anew
            self._following.begin_anew(name)

    def _doubt(self, name: str, code: str, reason: str) -> None:
        """Find out whether it is a log of ours that forks; give the document up if it is not."""
        follower = self._following.followers[name]
        if follower.doubt is not None or not any(map(self._replica.owns, follower.ledger.heads)):
            self._following.give_up(name, code, reason)
            return
        follower.doubt = code, reason
        self._protocol.unsubscribe(name)
        self._following.begin_anew(name)

    def _mend(self, name: str, replica: int, common: int) -> None:
        try:
            self._replica.mend(name, replica, common)
        except ActionError:
            self.postponed = True
        except EntryError as error:
            self._following.give_up(name, "fork", str(error))
        else:
            self.mended += 1
            detail = (
                f"a copy of this store went on with log {replica:x} after entry {common}; what was "
                f"done here counts as replica {self._replica.id:x}'s"
            )
            self._publish(ConnectionEvent("mended", detail, name))
            self._following.followers[name].doubt = None
            if not self._greeting.outdated:
                self._protocol.unsubscribe(name)
                self._following.begin_anew(name)
