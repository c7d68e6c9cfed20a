"""Makes chained entries as a replica would, without a replica."""

from __future__ import annotations

from crdtsync.log import EMPTY_HEAD, EMPTY_UPDATE, Dependency, Entry, Head, make_entry

__all__ = ["Author"]


class Author:
    """One replica's log in one document."""

    def __init__(self, replica: int, document: str = "board") -> None:
        self.replica = replica
        self.document = document
        self.head = EMPTY_HEAD
        self.entries: list[Entry] = []

    def write(self, *seen: tuple[int, Head], size: int = 0, update: bytes = EMPTY_UPDATE) -> Entry:
        """Write the next entry; `seen`: heads of others it depends on, by replica."""
        dependencies = tuple(Dependency(replica, head.seq, head.hash) for replica, head in seen)
        entry = make_entry(
            self.document,
            self.replica,
            self.head,
            self.head.seq + 1,
            "write",
            update,
            dependencies=dependencies,
            arguments={"pad": "x" * size} if size else None,
        )
        self.head = Head(entry.seq, entry.hash)
        self.entries.append(entry)
        return entry

    def write_many(self, count: int, size: int = 0) -> list[Entry]:
        """Write several entries."""
        return [self.write(size=size) for _ in range(count)]

    def copy(self) -> Author:
        """Return what a copied store would go on as."""
        other = Author(self.replica, self.document)
        other.head = self.head
        other.entries = list(self.entries)
        return other
