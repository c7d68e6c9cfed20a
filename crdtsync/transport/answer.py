"""The answer to one query, as it grows: what is held here, then what arrives, in a promised order.

1. `cached`: what this replica holds already, at once, the most urgent first.
2. For each document one more item: `arrived`, when all that the server held of it is here, or
   `failed`, if it does not go on. None comes while a more urgent one of the answer is still to
   come: neither one that was named, nor one that may yet be.
3. `complete`, once: every document that was selected when the question reached the server has
   arrived or failed.
4. What comes to be later, as in 2. A document that had failed may arrive after all; nothing else
   comes twice, whatever happens to the connection.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from crdtsync.selection import Selection

__all__ = ["Answer", "QueryItem"]


@dataclass(frozen=True, slots=True)
class QueryItem:
    """One item of the answer to a query.

    Attributes:
        kind: `cached`: the document is held here, as it was last time; `arrived`: it is here as
            the server has it; `failed`: it does not go on, and the others do; `complete`: that is
            the whole answer for now.
        document: its name; None where it is about the query as a whole.
        priority: of the document; a lower number comes first.
        done: how many documents have arrived or failed.
        total: how many there are; None while the server has not named them all.
        code: a word for programs, where something failed: `forbidden`, `limit` …
        reason: why, a sentence for people.
    """

    kind: Literal["cached", "arrived", "failed", "complete"]
    document: str | None
    priority: int
    done: int
    total: int | None
    code: str = ""
    reason: str = ""


class Answer:
    """Puts what happens to the documents of a query into the order of its items.

    Args:
        selection: what was asked.
        known: documents that exist, others than those selected as well.
        user: who asks.

    >>> answer = Answer(Selection({"board/*": 5, "diary": 0}), ["board/1", "tasks"])
    >>> answer.hold(["board/1"])
    >>> answer.settle("board/1")  # it has to wait for the diary
    >>> answer.named({"board/1": 5}, complete=True)
    >>> answer.settle("diary", "forbidden", "it is ann's")
    >>> while (item := answer.take()) is not None:
    ...     print(item.kind, item.document, f"{item.done}/{item.total}")
    cached board/1 0/2
    failed diary 1/2
    arrived board/1 2/2
    complete None 2/2
    """

    def __init__(
        self, selection: Selection, known: Iterable[str] = (), user: str | None = None
    ) -> None:
        self.selection = selection
        self.documents: dict[str, int] = {}
        self.done = 0
        self._pending: Counter[int] = Counter()  # documents that are neither here nor given up
        self._outcomes: dict[str, tuple[str, str]] = {}  # code and reason; empty: it arrived
        self._counted: set[str] = set()
        self._failures: deque[tuple[str, str]] = deque()  # of the query itself
        self._failed: set[str] = set()  # codes that were told
        self._ready: list[tuple[int, int, str]] = []  # a heap: priority, turn
        self._waiting: set[str] = set()  # documents in it
        self._turns = 0
        self._all_named = not selection.wide
        self._said_complete = False
        self._user = user
        self._cached: deque[tuple[int, str]] = deque()
        for name in [*selection.names, *known]:
            self.meet(name)

    @property
    def total(self) -> int | None:
        """How many documents there are; None while they are not all named."""
        return len(self.documents) if self._all_named else None

    def hold(self, documents: Iterable[str]) -> None:
        """Note which documents of the answer are held here; it begins with them."""
        self._cached.extend(sorted((self.documents[name], name) for name in documents))

    def meet(self, document: str) -> bool:
        """Take a document that exists; tell whether it is selected."""
        if document not in self.documents:
            priority = self.selection.priority(document, self._user)
            if priority is not None:
                self._name({document: priority})
        return document in self.documents

    def named(self, documents: Mapping[str, int], *, complete: bool) -> None:
        """Take documents that are selected; `complete` if those are all for now."""
        self._name(documents)
        self._all_named |= complete

    def fail(self, code: str, reason: str) -> None:
        """Note why some documents are not named; each code is told once."""
        if code not in self._failed:
            self._failed.add(code)
            self._failures.append((code, reason))

    def settle(self, document: str, code: str = "", reason: str = "") -> None:
        """Note that a document has arrived; with a code, that it does not go on."""
        priority = self.documents.get(document)
        if priority is None:
            return
        before = self._outcomes.get(document)
        if before is None:
            self._pending[priority] -= 1
        elif code or not before[0]:
            return
        self._outcomes[document] = code, reason
        if document in self._waiting:
            return  # its item is still to be taken, and says what is true then
        self._waiting.add(document)
        self._turns += 1
        heapq.heappush(self._ready, (priority, self._turns, document))

    def take(self) -> QueryItem | None:
        """Return the next item, if it is due."""
        if self._cached:
            priority, name = self._cached.popleft()
            return QueryItem("cached", name, priority, self.done, self.total)
        if self._failures:
            code, reason = self._failures.popleft()
            return QueryItem("failed", None, 0, self.done, self.total, code, reason)
        if self._ready and self._ready[0][0] <= self._most_urgent_awaited():
            priority, _, name = heapq.heappop(self._ready)
            self._waiting.remove(name)
            self._counted.add(name)
            self.done = len(self._counted)
            code, reason = self._outcomes[name]
            kind: Literal["arrived", "failed"] = "failed" if code else "arrived"
            return QueryItem(kind, name, priority, self.done, self.total, code, reason)
        if not self._said_complete and self._all_named and self.done == self.total:
            self._said_complete = True
            return QueryItem("complete", None, 0, self.done, self.total)
        return None

    def _name(self, documents: Mapping[str, int]) -> None:
        for name, priority in documents.items():
            before = self.documents.get(name)
            if before is not None and before <= priority:
                continue
            self.documents[name] = priority
            if name not in self._outcomes:
                self._pending[priority] += 1
                if before is not None:
                    self._pending[before] -= 1

    def _most_urgent_awaited(self) -> float:
        awaited = [priority for priority, count in self._pending.items() if count]
        unnamed = [] if self._all_named else self.selection.wide.values()
        return min([*awaited, *unnamed], default=math.inf)
