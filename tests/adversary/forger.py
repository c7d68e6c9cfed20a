"""A device that keeps no rule but one: what it sends bears its own valid seal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pycrdt

from crdtsync.keys import DeviceKey
from crdtsync.log import EMPTY_HEAD, EMPTY_UPDATE, Dependency, Entry, Head, make_entry, with_seal
from crdtsync.seal import KEY, make_seal

__all__ = ["Forger"]


class Forger:
    """Writes whatever it likes into its own log, chained and sealed as it should be.

    Args:
        replica: its id.
        document: where it writes.
        user: whom it names in the log's first entry.
    """

    def __init__(self, replica: int, document: str = "b", user: str | None = None) -> None:
        self.replica = replica
        self.document = document
        self.user = user
        self.key = DeviceKey.generate()
        self.head = EMPTY_HEAD
        self.entries: list[Entry] = []
        self.time = 1 << 40
        self.doc: pycrdt.Doc[Any] = pycrdt.Doc(client_id=replica)

    def see(self, *updates: bytes) -> None:
        """Take in what others wrote, without a word about it in the log."""
        for update in updates:
            self.doc.apply_update(update)

    def edit(self, change: Callable[[pycrdt.Doc[Any]], object], **fields: Any) -> Entry:
        """Make the entry of a change to the CRDT."""
        updates: list[bytes] = []
        subscription = self.doc.observe(lambda event: updates.append(event.update))
        try:
            with self.doc.transaction():
                change(self.doc)
        finally:
            self.doc.unobserve(subscription)
        return self.write(updates[0] if updates else EMPTY_UPDATE, **fields)

    def write(
        self,
        update: bytes = EMPTY_UPDATE,
        *,
        name: str = "forged",
        head: Head | None = None,
        time: int | None = None,
        dependencies: tuple[Dependency, ...] = (),
        replica: int | None = None,
        document: str | None = None,
        seal: bool = True,
        **fields: Any,
    ) -> Entry:
        """Make an entry that follows the last one, or another head."""
        follows = self.head if head is None else head
        extra: dict[str, Any] = fields.pop("extra", {})
        if not follows.seq and not extra:
            extra = {KEY: self.key.public} | ({"user": self.user} if self.user else {})
        entry = make_entry(
            document or self.document,
            replica or self.replica,
            follows,
            self.time if time is None else time,
            name,
            update,
            dependencies=dependencies,
            extra=extra,
            **fields,
        )
        if seal:
            entry = with_seal(entry, make_seal(self.key, entry.document, entry.replica, entry))
        if head is None and replica is None and document is None:
            self.head = Head(entry.seq, entry.hash)
            self.entries.append(entry)
        return entry
