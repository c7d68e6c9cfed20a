"""The queries of one connection: which documents are of its patterns and tags, now and later.

An answer names only what the user may read, so nobody learns from it what else there is. It is
bounded: what goes beyond `query_documents_max` is counted and left out, the least urgent first.

A query does not send documents. The client subscribes to what is named, as to any other document,
with the priority that comes with the name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from anyio.lowlevel import checkpoint

from crdtsync.errors import ConfigurationError
from crdtsync.selection import Selection
from crdtsync.server.bench import Bench
from crdtsync.server.catalog import Catalog
from crdtsync.server.limits import ServerLimits
from crdtsync.server.tags import Tags, tags_of
from crdtsync.sync import Select, ServerProtocol

__all__ = ["Queries"]

_STEPS_AT_ONCE = 100_000  # characters of selectors by those of names: some ten milliseconds at most

_NAME_STEPS = 10  # what each name costs besides, as in asking whether the user may read it


class _Query:
    __slots__ = ("full", "named", "selection", "upto", "weight")

    def __init__(self, selection: Selection) -> None:
        self.selection = selection
        self.upto = 0  # so far in the catalog
        self.named: set[str] = set()
        self.full = False  # and the client was told
        self.weight = sum(map(len, selection.wide)) + len(selection.names) + 1


class Queries:
    """Answers the queries of one connection.

    Args:
        protocol: the connection.
        catalog: the server's documents.
        limits: how many of what.
        bench: tells what the user may read.
        tags: tells which tags a document bears.
        wake: called when there is something to say.
    """

    def __init__(
        self,
        protocol: ServerProtocol,
        catalog: Catalog,
        limits: ServerLimits,
        bench: Bench,
        tags: Tags,
        wake: Callable[[], None],
    ) -> None:
        self._protocol = protocol
        self._catalog = catalog
        self._limits = limits
        self._bench = bench
        self._tags = tags
        self._wake = wake
        self._queries: dict[int, _Query] = {}
        self._retagged: set[str] | None = None  # while names are looked through
        self._unlisten: Callable[[], None] | None = None

    async def ask(self, asked: Select) -> None:
        """Begin, replace or end a query.

        Raises:
            StorageError: it could not be read which documents there are.
        """
        self._queries.pop(asked.id, None)
        if not asked.selectors or self._protocol.closed:
            return
        if len(self._queries) >= self._limits.queries_max:
            reason = f"queries_max={self._limits.queries_max:,}: end one before you ask another"
            self._protocol.tell_selected(asked.id, {}, "limit", reason)
            return
        try:
            selection = Selection(asked.selectors)
        except ConfigurationError as error:
            self._protocol.tell_selected(asked.id, {}, "selector", str(error))
            return
        await self._catalog.read()
        query, found = _Query(selection), set[tuple[int, str]]()
        self._retagged = set()
        while query.upto < len(self._catalog.names):
            found.update(self._select(selection, self._next(query)))
            await checkpoint()
        found.update(self._select(selection, self._retagged))
        self._retagged = None
        if self._protocol.closed:
            return
        self._queries[asked.id] = query
        if self._unlisten is None:
            self._unlisten = self._catalog.listen(self._wake)
        self._tell(asked.id, query, sorted(found))

    def tell_news(self) -> bool:
        """Name some of the documents that came to be since; tell whether there are more."""
        if not self._queries or self._protocol.closed:
            return False
        # One query at a time: to go through them all would keep other connections waiting.
        id_, query = min(self._queries.items(), key=lambda item: item[1].upto)
        if found := self._select(query.selection, self._next(query)):
            self._tell(id_, query, found)
        end = len(self._catalog.names)
        return any(query.upto < end for query in self._queries.values())

    def retagged(self, document: str) -> None:
        """Name a document to those queries that select it now."""
        if self._retagged is not None:
            self._retagged.add(document)
        for id_, query in self._queries.items() if not self._protocol.closed else ():
            if not query.selection.tags or document in query.named:
                continue
            if found := self._select(query.selection, [document]):
                self._tell(id_, query, found)
                self._wake()

    def close(self) -> None:
        """End all queries."""
        self._queries.clear()
        if self._unlisten is not None:
            self._unlisten()

    def _next(self, query: _Query) -> Sequence[str]:
        """Take the next names of the catalog for a query."""
        names, begin, steps = self._catalog.names, query.upto, 0
        while query.upto < len(names) and steps < _STEPS_AT_ONCE:
            steps += query.weight * (len(names[query.upto]) + _NAME_STEPS)
            query.upto += 1
        return names[begin : query.upto]

    def _select(self, selection: Selection, names: Iterable[str]) -> list[tuple[int, str]]:
        user = self._bench.user
        found = []
        for name in names:
            tags = tags_of(self._tags, name) if selection.tags else ()
            priority = selection.priority(name, user, tags)
            if priority is not None and self._bench.may_read(name):
                found.append((priority, name))
        return found

    def _tell(self, id_: int, query: _Query, found: list[tuple[int, str]]) -> None:
        most = self._limits.query_documents_max
        found = [one for one in found if one[1] not in query.named]
        room = most - len(query.named)
        documents = {name: priority for priority, name in found[:room]}
        query.named.update(documents)
        code = reason = ""
        if len(found) > room:
            if query.full:
                return
            query.full = True
            code = "limit"
            reason = f"query_documents_max={most:,}: {len(found) - room:,} more are left out"
        self._protocol.tell_selected(id_, documents, code, reason)
