"""The catalog: the names of all documents, in the order in which this server came to know of them.

It is read once, when somebody first asks, and grows by what the backend reports from then on. Who
wants to hear of new names keeps a position in it: like a log, it costs a reader no memory here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import anyio

from crdtsync.server.backend import Added, Backend

__all__ = ["Catalog"]


class Catalog:
    """The documents that hold an entry.

    Args:
        backend: where they are.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._names: list[str] = []
        self._known: set[str] = set()
        self._listeners: set[Callable[[], None]] = set()
        self._reading = anyio.Lock()
        self._wanted = False
        self._read = False

    @property
    def names(self) -> Sequence[str]:
        """The names so far. It only grows, at its end."""
        return self._names

    async def read(self) -> None:
        """See to it that all names are there; does nothing where they are.

        Raises:
            StorageError: they could not be read. The next caller tries again.
        """
        async with self._reading:
            if not self._read:
                self._wanted = True  # what is added while we read must not be missed
                for name in await self._backend.documents():
                    self._add(name)
                self._read = True

    def watch(self) -> Callable[[], None]:
        """Begin to take in what is added to the backend; returns the cancel function."""
        return self._backend.watch(self._on_added)

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call back after each new name; returns the cancel function."""
        self._listeners.add(listener)
        return lambda: self._listeners.discard(listener)

    def _on_added(self, added: Added) -> None:
        if self._wanted:
            self._add(added.document)

    def _add(self, name: str) -> None:
        if name in self._known:
            return
        self._known.add(name)
        self._names.append(name)
        for listener in self._listeners:
            listener()
