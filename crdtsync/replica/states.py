"""The states of a document that are stored beside its logs.

What the logs begin above, if not their first entries; the newest snapshot, from which a document is
opened; checkpoints, for looking at the past. A state is never the only place where something is,
except for the first, which stands for the entries below it.

Read next: `crdtsync.replica.bases`, `crdtsync.replica.checkpoints`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, TypeAlias

from crdtsync.document import Snapshot
from crdtsync.replica.bases import Base
from crdtsync.vector import covers

if TYPE_CHECKING:
    from crdtsync.replica.store import Progress, Store
    from crdtsync.replica.stored import StoredLogs

__all__ = ["History", "States"]

History: TypeAlias = Literal["keep", "trim"]
"""What becomes of entries that a snapshot covers and the server holds: kept, or let go."""


class States:
    """The states of one document.

    Args:
        store: the file.
        stored: the document's logs in it.
        history: what becomes of what is below the state that the logs begin above.
    """

    def __init__(self, store: Store, stored: StoredLogs, history: History) -> None:
        self._store = store
        self._stored = stored
        self._history = history
        self._safe: dict[int, int] = {}

    def proved(self, vector: Mapping[int, int]) -> None:
        """Note that the server holds so much."""
        if self._history == "trim":
            self._safe = dict(vector)

    def may_begin_above(self, snapshot: Snapshot) -> bool:
        """Tell whether the entries that a snapshot covers are wanted here no more."""
        return self._history == "trim" and covers(self._safe, snapshot.vector)

    def begin_above(
        self,
        base: Base,
        state: Snapshot,
        progress: Progress,
        clamps: Mapping[tuple[int, int], int],
    ) -> None:
        """Store a state that the logs begin above, within the caller's transaction.

        Args:
            base: where they begin.
            state: what stands for the entries below.
            progress: how far that brings us.
            clamps: the times as of which entries count, by (replica, seq).
        """
        store, number = self._store, self._stored.number
        store.bases.write(number, base, state)
        store.drop_snapshot(number)
        for (replica, seq), clamp in clamps.items():
            log = store.logs.logs(number).get(replica)
            if log is None:
                log = store.logs.add_log(number, replica)
            store.logs.clamp(log, seq, clamp)
        for begun in base.logs.values():
            if begun.user is not None:
                store.write_user(number, begun.replica, begun.user)
        store.write_progress(number, progress)
        if self._history == "trim":
            for replica in self._stored.logs.keys() & base.logs.keys():
                store.logs.drop(self._stored.logs[replica], base.logs[replica].seq)

    @property
    def is_stale(self) -> bool:
        """Whether the state that the logs begin above holds what was erased."""
        with self._store.file.errors():
            return self._store.bases.is_stale(self._stored.number)

    def make_stale(self) -> None:
        """Note that it does, and so does the snapshot, which is dropped."""
        with self._store.file.transaction():
            self._store.bases.make_stale(self._stored.number)
            self._store.drop_snapshot(self._stored.number)

    def base(self) -> Snapshot | None:
        """Return the state that the logs begin above; None where they are here from their first."""
        with self._store.file.errors():
            return self._store.bases.state(self._stored.number)

    def snapshot(self, vector: Mapping[int, int]) -> Snapshot | None:
        """Return the newest snapshot, if a state vector covers it."""
        with self._store.file.errors():
            snapshot = self._store.snapshot(self._stored.number)
        return snapshot if snapshot is None or covers(vector, snapshot.vector) else None

    def save_snapshot(self, snapshot: Snapshot) -> None:
        """Keep a snapshot in place of the one before."""
        self._store.write_snapshot(self._stored.number, snapshot)

    def checkpoint(self, vector: Mapping[int, int]) -> Snapshot | None:
        """Return the latest state kept that a state vector covers."""
        newest = self.snapshot(vector)
        if newest is not None:
            return newest
        with self._store.file.errors():
            return self._store.checkpoints.latest(self._stored.number, vector)

    def save_checkpoint(self, state: Snapshot) -> None:
        """Keep a state that lies in the past; the store sees to it that there are not too many."""
        if not self._store.read_only:
            with self._store.file.transaction():
                self._store.checkpoints.add(self._stored.number, state)
