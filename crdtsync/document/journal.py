"""What a document needs of the store that keeps its log. `crdtsync.replica.Ledger` is one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from crdtsync.log import Entry

__all__ = ["Journal", "Loadable", "Snapshot"]


class Snapshot(NamedTuple):
    """A document's CRDT state up to a state vector.

    Attributes:
        vector: the entries it holds.
        state: a Yjs v1 update of the whole state.
        clocks: the CRDT clocks it must give once loaded.
        slots: the live slots in it, which the CRDT library would be slow to list.
    """

    vector: dict[int, int]
    state: bytes
    clocks: dict[int, int]
    slots: dict[str, bytes]


class Loadable(Protocol):
    """What a document can be materialized from.

    Attributes:
        name: of the document.
        replica: our id.
    """

    name: str
    replica: int

    def snapshot(self) -> Snapshot | None:
        """Return the newest snapshot."""
        ...

    def base(self) -> Snapshot | None:
        """Return the state that the logs begin above; None where they are here from their first.

        The newest snapshot covers it, or is it.
        """
        ...

    def entries(self, after: Mapping[int, int] | None = None) -> Iterator[Entry]:
        """Yield the entries above a state vector, in causal order.

        Each is checked against its chain.

        None from below the base is among them.

        Raises:
            CorruptLogError: a stored entry does not fit.
        """
        ...

    def set_damage_aside(self) -> None:
        """Keep what does not fit any more out of the way, so that the rest can be read."""
        ...


class Journal(Loadable, Protocol):
    """One document's logs, durably kept."""

    @property
    def sent(self) -> int:
        """Number up to which somebody else may have seen our entries."""
        ...

    @property
    def acknowledged(self) -> int:
        """Number up to which our entries can no longer be refused."""
        ...

    def entries(
        self, after: Mapping[int, int] | None = None, upto: Mapping[int, int] | None = None
    ) -> Iterator[Entry]:
        """Yield the entries between two state vectors; without a second one, all above the first.

        See `Loadable.entries`.
        """
        ...

    @property
    def clamps(self) -> Mapping[tuple[int, int], int]:
        """The times as of which clamped entries count, by (replica, seq). Kept up to date."""
        ...

    @property
    def below(self) -> Mapping[int, int]:
        """The state vector of `base`; empty where the logs are here from their first entries."""
        ...

    @property
    def begun_at(self) -> int:
        """As of when the latest entry in `base` counts; 0 where there is none."""
        ...

    @property
    def users(self) -> Mapping[int, str]:
        """Who uses each replica, as far as known."""
        ...

    @property
    def next_seq(self) -> int:
        """The number our next entry will have."""
        ...

    @property
    def vector(self) -> dict[int, int]:
        """The state vector of all that is stored."""
        ...

    @property
    def count(self) -> int:
        """How many entries are stored."""
        ...

    def tick(self) -> int:
        """Return the time of a new action."""
        ...

    def record(
        self, time: int, name: str, arguments: dict[str, Any], update: bytes, schema_version: int
    ) -> Entry:
        """Make our next entry and store it. When this returns, the action has happened.

        Raises:
            StorageError, LimitError: nothing was stored.
        """
        ...

    def refused(self) -> list[tuple[Entry, str]]:
        """Return our entries that were refused, as they were, and why."""
        ...

    def forget_refused(self, entry: Entry) -> None:
        """Keep no longer what a refused entry of ours was."""
        ...

    def save_snapshot(self, snapshot: Snapshot) -> None:
        """Keep a snapshot in place of the one before."""
        ...

    def at(self, replica: int, seq: int) -> Entry | None:
        """Return an entry by its number; None if it is not stored."""
        ...

    def own_logs(self) -> dict[int, int]:
        """Return which logs are ours, oldest first: under each id, the number of our last entry.

        We have several where our id was rotated. What a copy of us did under a former id is not
        ours.
        """
        ...

    def held_before(self, replica: int, seq: int) -> dict[int, int]:
        """Return the state vector of what had arrived before an entry."""
        ...

    def checkpoint(self, vector: Mapping[int, int]) -> Snapshot | None:
        """Return the latest state kept that a state vector covers."""
        ...

    def save_checkpoint(self, state: Snapshot) -> None:
        """Keep a state that lies in the past, to make looking back quick."""
        ...
