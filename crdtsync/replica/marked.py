"""Entries that count otherwise than they were written: refused, erased, or as of another time.

Read next: `crdtsync.marks` (which marks there are), `crdtsync.refusal`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from crdtsync.log import Entry, decode_entry, hash_of
from crdtsync.marks import reconciled
from crdtsync.replica.audit import STORED

if TYPE_CHECKING:
    from crdtsync.clock import HybridLogicalClock
    from crdtsync.replica.store import Store
    from crdtsync.replica.stored import StoredLogs

__all__ = ["Marked"]


class Marked:
    """The marked entries of one document.

    Args:
        store: the file.
        stored: the document's logs in it.
        clock: the replica's; it follows when entries of ours count as of an earlier time.

    Attributes:
        clamps: the times as of which clamped entries count, by (replica, seq). Views look at it.
    """

    def __init__(self, store: Store, stored: StoredLogs, clock: HybridLogicalClock) -> None:
        self.clamps: dict[tuple[int, int], int] = {}
        self._store = store
        self._stored = stored
        self._clock = clock

    def read(self) -> None:
        """Know what is in the file. Its errors are the caller's."""
        self.clamps.clear()
        for replica, log in self._stored.logs.items():
            for seq, clamp in self._store.logs.clamps(log).items():
                self.clamps[replica, seq] = clamp

    def changed(
        self, marked: Sequence[Entry], *, from_server: bool
    ) -> tuple[list[Entry], list[Entry]]:
        """Return what changes of entries that are held and have come again with a mark.

        First those that have another effect now, then those that only count as of another time.
        """
        neutral: list[Entry] = []
        clamped: list[Entry] = []
        for came in marked:
            held = self._stored.at(came.replica, came.seq)
            if held is None:
                continue
            kept = reconciled(held, came, from_server=from_server)
            if kept is not held:
                same = (kept.extra, kept.update) == (held.extra, held.update)
                (clamped if same else neutral).append(kept)
        return neutral, clamped

    def write(
        self,
        logs: Mapping[int, int],
        entries: Sequence[Entry],
        neutral: Sequence[Entry],
        clamped: Sequence[Entry],
        wrote_after: Callable[[int, int], bool],
    ) -> bool:
        """Store what is marked, within the caller's transaction.

        Args:
            logs: the numbers of the logs in the file.
            entries: new ones, which the caller stores.
            neutral: held ones that have no effect any more.
            clamped: held ones that count as of another time.
            wrote_after: tells whether we wrote what stands behind an entry.

        Returns:
            Whether something was erased: then the file is to be scrubbed.
        """
        table = self._store.logs
        erased = [entry for entry in (*entries, *neutral) if entry.erasure is not None]
        for entry in erased:
            table.forget_erased(logs[entry.replica], entry.seq)
        for entry in neutral:
            if entry.erasure is None and wrote_after(entry.replica, entry.seq - 1):
                table.keep_refused(logs[entry.replica], entry.seq, entry.refusal or "")
        for entry in (*neutral, *clamped):
            table.replace(logs[entry.replica], entry)
        if neutral:
            self._store.drop_snapshot(self._stored.number)  # it holds their effects
        return bool(erased)

    def note(self, entries: Iterable[Entry]) -> None:
        """Take note of the times as of which entries count that are stored now."""
        found = {(e.replica, e.seq): e.clamp for e in entries if e.clamp is not None}
        self.clamps.update(found)
        ours = [clamp for (replica, _), clamp in found.items() if replica in self._store.keys]
        if ours:
            self._clock.recede(max(ours))

    def refused(self) -> list[tuple[Entry, str]]:
        """Return our entries that were refused, as they were, and why."""
        with self._store.file.errors():
            rows = [row for log in self._our_logs() for row in self._store.logs.refused(log)]
        return [(decode_entry(data, STORED), reason) for reason, data in rows]

    def forget_refused(self, entry: Entry) -> None:
        """Keep no longer what a refused entry of ours was."""
        with self._store.file.transaction():
            self._store.logs.forget_refused(self._stored.logs[entry.replica], entry.seq)

    def superseded(self) -> set[bytes]:
        """Return the hashes of entries of ours that were written anew: what they did is here."""
        with self._store.file.errors():
            logs = self._our_logs()
            return {hash_of(data) for log in logs for data in self._store.logs.superseded(log)}

    def _our_logs(self) -> list[int]:
        return [log for replica, log in self._stored.logs.items() if replica in self._store.keys]
