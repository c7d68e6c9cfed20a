"""A server in a few lines, without a wire, which puts marks on what it stores."""

from __future__ import annotations

from collections.abc import Callable

from crdtsync import Replica
from crdtsync.log import Cursor, Entry, Head, decode_entry, hash_of
from crdtsync.server.admission import admit
from crdtsync.server.timekeeper import Timekeeper

__all__ = ["DOCUMENT", "Server", "Wall"]

DOCUMENT = "board"
NOW_MS = 1_700_000_000_000


class Wall:
    """The true time, and clocks that are off by some milliseconds."""

    def __init__(self) -> None:
        self.ms = NOW_MS

    def off_by(self, ms: int) -> Callable[[], int]:
        return lambda: max(0, self.ms + ms)


class Server:
    """Holds one document.

    Attributes:
        rows: what it holds, in order; what has changed since stands there again.
    """

    def __init__(self, wall: Wall, epoch: bytes = bytes(16)) -> None:
        self.rows: list[Entry] = []
        self.epoch = epoch
        self._heads: dict[int, Head] = {}
        self._timekeeper = Timekeeper(60, wall.off_by(0))

    def take(self, datas: list[bytes]) -> None:
        entries = self._timekeeper.clamped([decode_entry(data) for data in datas])
        admission = admit(entries, self._heads, self._hash_at)
        assert not admission.gap
        self.rows += admission.new
        self._heads |= admission.heads

    def _hash_at(self, replica: int, seq: int) -> bytes:
        return hash_of(self.find(replica, seq).data)

    def find(self, replica: int, seq: int) -> Entry:
        return next(row for row in self.rows if (row.replica, row.seq) == (replica, seq))

    def mark(self, marked: Entry) -> None:
        """Put the marked form of an entry in its place, and have it told to all."""
        name = (marked.replica, marked.seq)
        self.rows = [marked if (row.replica, row.seq) == name else row for row in self.rows]
        self.rows.append(marked)

    def push(self, replica: Replica) -> None:
        ledger = replica.ledger(DOCUMENT)
        vector = {replica: head.seq for replica, head in self._heads.items()}
        missing = ledger.missing(vector, 2**30)
        self.take([one.data for one in missing])
        ledger.acknowledge({name: head.seq for name, head in self._heads.items()})

    def pull(self, replica: Replica) -> None:
        ledger = replica.ledger(DOCUMENT)
        cursor = ledger.cursor
        after = 0 if cursor is None or cursor.epoch != self.epoch else cursor.offset
        datas = [row.data for row in self.rows[after:]]
        ledger.receive(datas, Cursor(self.epoch, len(self.rows)))

    def sync(self, *replicas: Replica) -> None:
        for replica in replicas:
            self.push(replica)
        for replica in replicas:
            self.pull(replica)
