"""Erasures: which entries' content is to be gone, for all and for good.

An erasure outlives what it was made for: an entry that is not held is erased as soon as it comes.
So the list of them can be carried out again on a server that was restored from an older backup.

Read next: `crdtsync.document.erasure` (what is left of an entry).
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

__all__ = ["Erasure", "ErasureStore"]


class Erasure(NamedTuple):
    """An entry to be erased.

    Attributes:
        document: its document.
        replica: whose entry.
        seq: its number.
        reason: a sentence for people, which everybody gets in place of the content.
    """

    document: str
    replica: int
    seq: int
    reason: str


class ErasureStore(Protocol):
    """The part of a backend that erases."""

    async def erase(self, erasure: Erasure) -> bool:
        """Take an entry's content away; it is gone durably when this returns.

        The entry's row holds its erased form from then on. The same form is added to the sequence
        once more, so that those hear of it who are past that row; watchers are told by an `Added`
        that is `rewritten`. An entry that comes later is stored in its erased form, and so is one
        that comes in whole after it was erased.

        Returns:
            Whether the entry is held. One that is erased already is; one that was dropped is not,
            and what is left of it in the snapshot stays there until it is deleted in the document.

        Raises:
            StorageError: nothing was changed.
        """

    async def erasures_due(self) -> list[Erasure]:
        """Return what another process has asked to be erased and `erase` has not been called for.

        Raises:
            StorageError: they could not be read.
        """
