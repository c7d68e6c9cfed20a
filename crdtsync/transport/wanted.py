"""Which documents a session is to bring: what we have, what is asked for, what the server names.

Patterns and tags are asked of the server; so is, for a new client, what the user's other connection
follows. Whatever is named takes its turn, the most urgent first.

Read next: `crdtsync.transport.queries`, for what outlives the session.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

from crdtsync.errors import LocalProtocolError
from crdtsync.sync import ClientProtocol
from crdtsync.sync.frames import Selected, Subscriptions
from crdtsync.transport.following import Following
from crdtsync.transport.queries import Queries
from crdtsync.transport.status import ConnectionEvent
from crdtsync.transport.turns import Turns

__all__ = ["Wanted"]


class Wanted:
    """Finds out which documents to follow.

    Args:
        protocol: of the session.
        following: the documents that are followed already.
        queries: what to follow, and what is asked about it.
        publish: is told what the application should know.
    """

    def __init__(
        self,
        protocol: ClientProtocol,
        following: Following,
        queries: Queries,
        publish: Callable[[ConnectionEvent], None],
    ) -> None:
        self._protocol = protocol
        self._following = following
        self._queries = queries
        self._publish = publish
        self._touched = Turns()  # documents that are new or have grown
        self._named = False  # what our user's other connection follows was named, if it is to be

    def __len__(self) -> int:
        return len(self._touched)

    @property
    def named(self) -> Collection[str] | None:
        """What we are to follow, as far as the server names it; None: it has not yet."""
        if not self._named or not self._queries.known:
            return None
        return {*self._queries.inherited, *(self._queries.standing or ())}

    @property
    def is_all_begun(self) -> bool:
        """Whether all that another connection follows was named, and nothing waits for its turn."""
        return self._named and not self._touched

    def begin(self, held: Iterable[str], *, is_active: bool) -> None:
        """Begin with what the replica holds, once we are let in.

        Args:
            held: its documents.
            is_active: whether the server honours our cursors: then it names nothing.
        """
        self._named = is_active
        self._queries.begin()
        for name in self._queries.names(held):
            self.touch(name)

    def touch(self, name: str) -> None:
        """Note that a document has a new entry of ours, or is new. In whatever thread."""
        self._queries.met(name)
        if self._queries.is_wanted(name):
            self._touched.add(name, self._queries.priority(name))

    def take(self, most: int) -> Iterator[str]:
        """Take so many documents out, those whose turn it is."""
        return self._touched.take(most)

    def inherit(self, event: Subscriptions) -> None:
        """Take what our user's other connection follows."""
        self._named = True
        for name in self._queries.inherit(event.documents):
            self.touch(name)

    def ask(self) -> None:
        """Tell the server of queries that are new or have ended."""
        for id_, answer in self._queries.unasked():
            if answer is None:
                self._protocol.select(id_, {})
                continue
            if answer.selection.wide:
                try:
                    self._protocol.select(id_, answer.selection.wide)
                except LocalProtocolError as error:
                    self.selected(Selected(id_, {}, True, "local", str(error)))
            self._expect(answer.documents)

    def selected(self, event: Selected) -> None:
        """Take what the server has named in answer to a query."""
        named = self._queries.selected(event)
        if event.code:
            self._publish(ConnectionEvent("failed", f"{event.code}: {event.reason}"))
        self._expect(named)

    def _expect(self, documents: Iterable[str]) -> None:
        """See to it that documents which were selected come, as soon as they should."""
        for name in documents:
            follower = self._following.followers.get(name)
            if follower is None:
                self.touch(name)
            elif follower.failure is not None:
                self._queries.settle(name, *follower.failure)
            elif follower.complete:
                self._queries.settle(name)
            elif follower.doubt is None and self._queries.priority(name) < follower.priority:
                self._following.begin(name)
