"""Importing: logs received from a bundle."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

from crdtsync.errors import BundleError, EntryError, StorageError
from crdtsync.log import hash_of
from crdtsync.replica.bundle.exporting import Progress
from crdtsync.replica.bundle.records import Contents, End, Header, Part, Record, read_records
from crdtsync.vector import difference

if TYPE_CHECKING:
    from crdtsync.replica.ledger import Ledger

__all__ = ["Imported", "Source", "import_bundle"]

Source: TypeAlias = str | os.PathLike[str] | bytes | BinaryIO
"""Where a bundle comes from: a path, its bytes, or a file that is open for reading bytes."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What was imported.

    Attributes:
        documents: how many documents the bundle names.
        entries: how many entries it says it holds.
        new: how many of them were stored now; the others were here, or are missing.
        missing: what the bundle names and is still not here: for each document, replica to (first
            missing number, last one). Something is missing of a bundle that is cut off, and where
            the author's seal had not reached whoever exported.
    """

    documents: int
    entries: int
    new: int
    missing: Mapping[str, Mapping[int, tuple[int, int]]]


def import_bundle(
    source: Source,
    ledger_of: Callable[[str], Ledger],
    describe: Callable[[Ledger, Any], object],
    progress: Progress,
) -> Imported:
    """Receive what a bundle holds, as far as it is whole and its authors' own.

    Args:
        source: the bundle.
        ledger_of: returns a document's logs. Raises ValueError if there is no such name.
        describe: takes the description of a document's class, which may be anything.
        progress: is told how far it is.

    Raises:
        BundleError: it is damaged or cut off, or something in it cannot be taken in.
        StorageError: the store could not take it, or the bundle not be opened.
    """
    with _opened(source) as (file, path):
        intake = _Intake(ledger_of, describe, progress)
        failure: BundleError | None = None
        try:
            for record in read_records(file, path):
                intake.take(record)
        except BundleError as error:
            failure = error
        except ValueError as error:
            failure = BundleError(str(error), path=path)
        except OSError as error:
            failure = BundleError(f"it cannot be read: {error.strerror}", path=path)
    imported = intake.imported()
    if failure is not None:
        reason = f"{failure.reason}; {_account(intake.header, intake.done, imported)}"
        raise BundleError(
            reason, path=path, position=failure.position, imported=imported
        ) from failure
    if intake.failures:
        first, *others = intake.failures.values()
        more = f", and {len(others)} more documents" if others else ""
        reason = f"not all of it could be taken in: {first}{more}; everything else is here"
        raise BundleError(reason, path=path, imported=imported) from first
    return imported


@contextmanager
def _opened(source: Source) -> Iterator[tuple[BinaryIO, str]]:
    if isinstance(source, bytes):
        yield io.BytesIO(source), "bundle"
    elif isinstance(source, str | os.PathLike):
        path = os.fspath(source)
        try:
            file = open(path, "rb")  # noqa: SIM115 - closed below, where its own errors are others
        except OSError as error:
            raise StorageError(f"cannot be opened: {error.strerror}", path=path) from error
        with file:
            yield file, path
    else:
        yield source, str(getattr(source, "name", "bundle"))


def _account(header: Header | None, done: int, imported: Imported) -> str:
    if header is None:
        return "nothing was imported"
    return (
        f"{done:,} of its {header.entries:,} entries were read and {imported.new:,} were new; "
        "import a whole copy to go on"
    )


@dataclass
class _Intake:
    """Takes one record after the other."""

    ledger_of: Callable[[str], Ledger]
    describe: Callable[[Ledger, Any], object]
    progress: Progress
    header: Header | None = None
    contents: dict[str, Contents] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    failures: dict[str, EntryError] = field(default_factory=dict)
    done: int = 0
    new: int = 0

    def take(self, record: Record) -> None:
        """Take the next record.

        Raises:
            ValueError: it does not belong here.
        """
        match record:
            case Header() if self.header is None:
                self.header = record
            case Contents(name) if self._lacking() and name not in self.contents:
                self.describe(self.ledger_of(name), record.description)
                self.contents[name] = record
                self.names.append(name)
            case Part(number, entries) if not self._lacking() and 0 <= number < len(self.names):
                self._receive(self.names[number], entries)
            case End(entries) if not self._lacking() and entries == self.done:
                pass
            case _:
                raise ValueError(f"a {type(record).__name__} record does not belong there")

    def _lacking(self) -> bool:
        """Tell whether a document is still to be named."""
        return self.header is None or len(self.names) < self.header.documents

    def _receive(self, name: str, entries: list[bytes]) -> None:
        assert self.header is not None
        count = len(entries)
        if name not in self.failures:
            ledger = self.ledger_of(name)
            before, superseded = ledger.count, ledger.superseded()
            if superseded:  # a bundle from before a mending would do again what was written anew
                entries = [data for data in entries if hash_of(data) not in superseded]
            try:
                ledger.receive(entries, prove=True)
            except EntryError as error:  # the other documents may be sound
                self.failures[name] = error
            self.new += ledger.count - before
        self.done += count
        self.progress(self.done, self.header.entries)

    def imported(self) -> Imported:
        """Say what came of it."""
        missing = {}
        for name, one in self.contents.items():
            ledger = self.ledger_of(name)
            superseded = ledger.superseded()
            told = {r: head.seq for r, head in one.heads.items() if head.hash not in superseded}
            lacking = difference(told, ledger.vector)
            if lacking:
                missing[name] = lacking
        entries = 0 if self.header is None else self.header.entries
        return Imported(len(self.contents), entries, self.new, missing)
