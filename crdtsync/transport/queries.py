"""What a connection is to bring, over all its sessions: its documents, and the queries about them.

A connection follows either all that the replica has, or a selection; and besides, for as long as it
lasts, whatever a query has selected. Names are known here; patterns and tags are asked of the
server, in each session anew. Of what has arrived already, no query hears again.

Read next: `crdtsync.transport.answer`, for the order in which a query is answered.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping
from weakref import WeakValueDictionary

from crdtsync.errors import RefusedError
from crdtsync.selection import PRIORITY, Documents, Selection
from crdtsync.sync import Selected
from crdtsync.transport.answer import Answer, QueryItem
from crdtsync.transport.status import EventFeed

__all__ = ["Queries", "Query"]

NAMED_MAX = 100_000
"""So many documents may be followed because a server has named them."""

_STANDING = 0  # the id of the connection's own selection


class Query(AsyncIterator[QueryItem]):
    """What `connection.query(…)` gives: an iterator over the items of the answer.

    It goes on for as long as the connection does: leave it at `complete` if later documents are of
    no interest. Whoever lets go of it ends the query; what it has brought stays in
    synchronization for as long as the connection lasts.

    Attributes:
        done: how many documents have arrived or failed.
        total: how many there are; None while the server has not named them all.
    """

    def __init__(
        self, answer: Answer, feed: EventFeed, refusal: Callable[[], RefusedError | None]
    ) -> None:
        self._answer: Answer | None = answer
        self._feed = feed
        self._refusal = refusal
        self.done = 0
        self.total = answer.total

    async def __anext__(self) -> QueryItem:
        """Return the next item, waiting for it.

        Raises:
            RefusedError: the server refuses us, for good.
            StopAsyncIteration: the query was closed, or its connection.
        """
        while self._answer is not None:
            item = self._answer.take()
            if item is not None:
                self.done, self.total = item.done, item.total
                return item
            refusal = self._refusal()
            if refusal is not None:
                raise RefusedError(refusal.code, refusal.reason)
            if self._feed.closed:
                break
            await self._feed.news()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """End the query. Without effect when it has ended."""
        self._answer = None
        self._feed.notify()

    def __repr__(self) -> str:
        return f"<Query {self.done}/{'?' if self.total is None else self.total}>"


class Queries:
    """The selection of a connection, and its queries.

    Args:
        documents: what the connection is to follow; None: all that the replica has or gets.
        user: who asks, as far as the replica knows.
    """

    def __init__(self, documents: Documents | None = None, user: str | None = None) -> None:
        self._user = user
        self._answers: WeakValueDictionary[int, Answer] = WeakValueDictionary()
        self._standing: Answer | None = None
        self._ids = _STANDING
        self._priorities: dict[str, int] = {}  # of all that was ever selected
        self._inherited: dict[str, int] = {}
        self._asked: dict[int, bool] = {}  # in this session; and whether of the server
        self._known = False
        if documents is not None:
            self._standing = Answer(Selection(documents), user=user)
            self._answers[_STANDING] = self._standing
            self._note(self._standing.documents)

    # What to follow.

    @property
    def standing(self) -> Collection[str] | None:
        """What belongs to the selection of the connection, so far; None: all there is."""
        return None if self._standing is None else self._standing.documents.keys()

    @property
    def known(self) -> bool:
        """Whether the server has named, in this session, all that the connection is to follow."""
        return self._standing is None or not self._standing.selection.wide or self._known

    def names(self, held: Iterable[str]) -> list[str]:
        """Return which documents the connection follows, if the replica holds these."""
        wanted = filter(self.is_wanted, held)
        return list(dict.fromkeys([*self._priorities, *wanted]))

    def is_wanted(self, name: str) -> bool:
        """Tell whether a document is to be followed."""
        standing = self._standing
        return (
            standing is None
            or name in self._priorities
            or standing.selection.priority(name, self._user) is not None
        )

    def has_answered(self, name: str) -> bool:
        """Tell whether it is for a query alone to say what became of a document."""
        return name in self._priorities and name not in (self.standing or ())

    def priority(self, name: str) -> int:
        """Return how urgent a document is."""
        return self._priorities.get(name, self._inherited.get(name, PRIORITY))

    def inherit(self, documents: Mapping[str, int]) -> Collection[str]:
        """Take what another connection of the user follows; return what of it is taken."""
        taken = _bounded(documents, self._inherited)
        self._inherited.update(taken)
        return taken

    @property
    def inherited(self) -> list[str]:
        """What another connection of the user follows, and we are to."""
        return [name for name in self._inherited if self.is_wanted(name)]

    # Queries.

    def open(self, selection: Selection, known: Iterable[str]) -> Answer:
        """Begin a query.

        Args:
            selection: what is asked.
            known: the documents that the replica has.
        """
        answer = Answer(selection, known, self._user)
        self._ids += 1
        self._answers[self._ids] = answer
        self._note(answer.documents)
        return answer

    def begin(self) -> None:
        """Begin a session, in which nothing was asked yet."""
        self._asked.clear()
        self._known = False

    def unasked(self) -> Iterator[tuple[int, Answer | None]]:
        """Yield what is to be asked in this session and was not; None for what has ended."""
        for id_ in [one for one in self._asked if one not in self._answers]:
            if self._asked.pop(id_):
                yield id_, None  # first, for it makes room
        for id_, answer in list(self._answers.items()):
            if id_ not in self._asked:
                self._asked[id_] = bool(answer.selection.wide)
                yield id_, answer

    def selected(self, event: Selected) -> Collection[str]:
        """Take what the server has named; return what of it is taken.

        What was not asked for is passed over: else a server could have us follow, and push to it,
        documents that are none of its business.
        """
        answer = self._answers.get(event.id)
        if answer is None:
            return ()
        admits = answer.selection.admits
        asked = {name: p for name, p in event.documents.items() if admits(name, p, self._user)}
        taken = _bounded(asked, self._priorities)
        if event.code:
            answer.fail(event.code, event.reason)
        if len(taken) < len(asked):
            answer.fail("limit", f"the server names more than {NAMED_MAX:,} documents")
        self._note(taken)
        answer.named(taken, complete=event.complete)
        self._known |= event.complete and answer is self._standing
        return taken

    def met(self, name: str) -> None:
        """Take note of a document that the replica has."""
        for answer in list(self._answers.values()):
            if answer.meet(name):
                self._note({name: answer.documents[name]})

    def settle(self, name: str, code: str = "", reason: str = "") -> None:
        """Take note that a document has arrived; with a code, that it does not go on."""
        for answer in list(self._answers.values()):
            answer.settle(name, code, reason)

    def _note(self, documents: Mapping[str, int]) -> None:
        for name, priority in documents.items():
            self._priorities[name] = min(priority, self._priorities.get(name, priority))


def _bounded(documents: Mapping[str, int], known: Collection[str]) -> dict[str, int]:
    """Return those of some documents that are known, or for which there is room."""
    taken, room = {}, NAMED_MAX - len(known)
    for name, priority in documents.items():
        if name not in known:
            if room <= 0:
                continue
            room -= 1
        taken[name] = priority
    return taken
