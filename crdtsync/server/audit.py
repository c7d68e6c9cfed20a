"""The audit of a server's file: is everything in it as it was pushed?

A server forwards entries and does not check them again: who receives them does. Here all of them
are checked at once, with what an entry can be checked by: its place, its chain, what it depends on,
its author's seal, and what its device is bound to. The file is only looked at.

Read next: `crdtsync.replica.verify`, which does the same for a replica's file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from crdtsync.errors import EntryError, StorageError
from crdtsync.identity import is_replica_id
from crdtsync.keys import is_public_key
from crdtsync.log import EMPTY_HEAD, Entry, Head, check_follows, decode_entry
from crdtsync.replica import Problem
from crdtsync.replica.audit import STORED
from crdtsync.replica.inbox import Batch, has_past
from crdtsync.replica.verify import SealAudit
from crdtsync.seal import binding
from crdtsync.server.backend import EPOCH_BYTES, Row
from crdtsync.server.backends.snapshot_table import is_dropped
from crdtsync.server.backends.table import SCHEMA, DeviceTable, EntryTable, digest_of
from crdtsync.server.devices import Device
from crdtsync.storage import StoreFile, open_file
from crdtsync.structs import check_structs

__all__ = ["Audit", "audit_file"]

_UNSEALED = "it bears no seal of its author's, and neither does what follows it"
_BYTES_AT_ONCE = 1024 * 1024
_PLACES = 1 << 40


@dataclass(frozen=True, slots=True)
class Audit:
    """What an audit found.

    Attributes:
        entries: how many entries each document holds.
        problems: what is not as it should be.
    """

    entries: dict[str, int]
    problems: list[Problem]


def audit_file(path: str | os.PathLike[str], progress: Callable[[int, int], object]) -> Audit:
    """Check a server's file, also while a server has it open.

    Args:
        path: the file.
        progress: called with how many entries are checked, and how many there are.

    Raises:
        StorageError: it is no server's file, or not even the names in it can be read.
    """
    file = open_file(path, "server", SCHEMA, durability="power", read_only=True)
    try:
        table = EntryTable(file.connection)
        problems = [Problem("", None, None, message) for message in _file_problems(file, table)]
        with file.errors():
            names = table.names()
            devices = DeviceTable(file.connection).all()
            total = table.count()
        problems += _device_problems(devices)
        entries: dict[str, int] = {}
        for name in names:
            auditor = _Auditor(name, table, {device.replica: device for device in devices})
            try:
                with file.errors():
                    for found in auditor.run():
                        problems += found
                        progress(sum(entries.values()) + auditor.count, total)
            except StorageError as error:
                problems.append(Problem(name, None, None, error.reason))
            entries[name] = auditor.count
        return Audit(entries, problems)
    finally:
        file.close()


def _file_problems(file: StoreFile, table: EntryTable) -> Iterator[str]:
    for text in file.damage():
        yield f"the file is damaged: {text}"
    with file.errors():
        strays = table.strays()
        epoch = file.connection.execute("SELECT value FROM meta WHERE name = 'epoch'").get
    if strays:
        yield f"{strays} of its entries are in no document, or no bytes"
    if type(epoch) is not bytes or len(epoch) != EPOCH_BYTES:
        yield "it does not say of which epoch its cursors are"


def _device_problems(devices: list[Device]) -> Iterator[Problem]:
    for device in devices:
        if not is_replica_id(device.replica):
            yield Problem("", None, None, f"there is no replica {device.replica!r} to be a device")
        elif not is_public_key(device.key):
            yield Problem("", device.replica, None, "the key that it is bound to is none")


class _Auditor:
    """Checks one document."""

    def __init__(self, name: str, table: EntryTable, devices: dict[int, Device]) -> None:
        self.count = 0
        self._name = name
        self._table = table
        self._devices = devices
        self._heads: dict[int, Head] = {}
        self._hashes: dict[tuple[int, int], bytes] = {}
        self._seals = SealAudit()

    def run(self) -> Iterator[list[Problem]]:
        """Yield what is wrong with each entry in the order of offsets, and then with the whole."""
        number = self._table.document(self._name)
        if number is None:
            return
        marked, notices = self._table.marked(number), self._table.notices(number)
        after = 0
        while rows := self._table.read(number, after, _PLACES, _BYTES_AT_ONCE, dropped=True):
            for row in rows:
                if row.offset in notices:  # the same bytes, which are checked in their place
                    continue
                self.count += 1
                yield [self._problem(row, text) for text in self._check(row, marked)]
            if rows[-1].offset <= after:
                yield [Problem(self._name, None, None, "its entries are not in order in the file")]
                break
            after = rows[-1].offset
        yield [Problem(self._name, r, seq, _UNSEALED) for r, seq in self._seals.unsealed()]
        yield [
            Problem(self._name, None, None, f"the marked entry at offset {offset} is not here")
            for offset in marked
        ]

    def _check(self, row: Row, marked: dict[int, bytes]) -> Iterator[str]:
        digest = marked.pop(row.offset, None)
        if is_dropped(row.data):  # of which nothing but the number can be checked
            if row.seq != self._heads.get(row.replica, EMPTY_HEAD).seq + 1:
                yield "entries before it are missing"
            self._heads[row.replica] = Head(row.seq, row.data)
            self._hashes[row.replica, row.seq] = row.data
            return
        known = Batch(self._heads, lambda replica, seq: self._hashes.get((replica, seq)))
        try:
            entry = decode_entry(row.data, STORED)
            if (entry.document, entry.replica, entry.seq) != (self._name, row.replica, row.seq):
                yield "another entry stands in its place"
                return
            check_follows(entry, known.head(row.replica))
            check_structs(entry)
            if not has_past(entry, known):
                yield "an entry that it depends on is missing"
        except EntryError as error:
            yield error.reason
            return
        self._heads[entry.replica] = Head(entry.seq, entry.hash)
        self._hashes[entry.replica, entry.seq] = entry.hash
        if not self._seals.holds(entry):
            yield "its seal is false"
        if row.is_marked != (digest is not None) or digest not in {None, digest_of(row.data)}:
            yield "it was refused, erased or clamped, and is not as it was stored then"
        yield from self._check_author(entry)

    def _check_author(self, entry: Entry) -> Iterator[str]:
        device = self._devices.get(entry.replica)
        bound = binding(entry)
        if device is None or bound is None:
            return
        if bound.public != device.key:
            yield "its log begins with another key than its device is bound to"
        if bound.user not in {None, device.user}:
            yield f"its log is in the name of {bound.user!r}, its device is of {device.user!r}"

    def _problem(self, row: Row, text: str) -> Problem:
        return Problem(self._name, row.replica, row.seq, text)
