"""The past: a document's log read up to a state vector, as if nothing had come after."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from crdtsync.document.journal import Journal, Snapshot
from crdtsync.document.materialize import Material
from crdtsync.errors import ActionError
from crdtsync.log import Entry
from crdtsync.vector import covers

__all__ = ["PastJournal"]

_ENTRIES_BETWEEN_MIN = 2000
_CHECKPOINTS = 16


class PastJournal:
    """A journal up to a state vector. Nothing can be written to it.

    Args:
        journal: all of the log.
        vector: up to where it is read.
    """

    def __init__(self, journal: Journal, vector: Mapping[int, int]) -> None:
        self.name = journal.name
        self.replica = journal.replica
        self.sent = journal.sent
        self.acknowledged = journal.acknowledged
        self.users = journal.users
        self.clamps = journal.clamps
        self.tick = journal.tick
        self.set_damage_aside = journal.set_damage_aside
        self.base = journal.base
        self.below = journal.below
        self.begun_at = journal.begun_at
        self.vector = {replica: seq for replica, seq in vector.items() if seq}
        self._journal = journal
        self._between = max(_ENTRIES_BETWEEN_MIN, journal.count // _CHECKPOINTS)
        start = self.snapshot()
        self._kept_at = 0 if start is None else sum(start.vector.values())

    @property
    def count(self) -> int:
        """How many entries there were."""
        return sum(self.vector.values())

    @property
    def next_seq(self) -> int:
        """The number that our next entry had."""
        return self.vector.get(self.replica, 0) + 1

    def snapshot(self) -> Snapshot | None:
        """Return the latest state kept of what was there."""
        return self._journal.checkpoint(self.vector)

    def passing(self, material: Material) -> None:
        """Keep a state that was far from the one before, so that the next look is quick."""
        reached = sum(material.vector.values())
        if reached - self._kept_at >= self._between:
            self._journal.save_checkpoint(material.snapshot())
            self._kept_at = reached

    def entries(
        self, after: Mapping[int, int] | None = None, upto: Mapping[int, int] | None = None
    ) -> Iterator[Entry]:
        """Yield the entries that were there, between two state vectors, in causal order."""
        vector = self.vector
        if upto is not None:
            vector = {replica: min(seq, upto.get(replica, 0)) for replica, seq in vector.items()}
        return self._journal.entries(after, vector)

    def at(self, replica: int, seq: int) -> Entry | None:
        """Return an entry by its number; None if it was not there."""
        return self._journal.at(replica, seq) if seq <= self.vector.get(replica, 0) else None

    def own_logs(self) -> dict[int, int]:
        """Return which logs were ours, and how far they went."""
        return {r: min(seq, self.vector.get(r, 0)) for r, seq in self._journal.own_logs().items()}

    def held_before(self, replica: int, seq: int) -> dict[int, int]:
        """Return the state vector of what had arrived before an entry."""
        return self._journal.held_before(replica, seq)

    def checkpoint(self, vector: Mapping[int, int]) -> Snapshot | None:
        """Return the latest state kept that a state vector covers."""
        return self._journal.checkpoint(vector) if covers(self.vector, vector) else None

    def save_checkpoint(self, state: Snapshot) -> None:
        """Keep a state, for the next look."""
        self._journal.save_checkpoint(state)

    def save_snapshot(self, snapshot: Snapshot) -> None:
        """Keep nothing: the snapshot is the present's."""

    def refused(self) -> list[tuple[Entry, str]]:
        """Return nothing: what was refused had no effect at any time."""
        return []

    def forget_refused(self, entry: Entry) -> NoReturn:
        """Refuse."""
        raise self.over()

    def record(
        self, time: int, name: str, arguments: dict[str, Any], update: bytes, schema_version: int
    ) -> NoReturn:
        """Refuse."""
        raise self.over()

    def over(self) -> ActionError:
        """Return the error for whoever wants to change it."""
        return ActionError(
            f"this is document {self.name!r} as it was {self.count:,} entries into its log: what "
            "has passed cannot be changed; act on the document that its replica opens"
        )
