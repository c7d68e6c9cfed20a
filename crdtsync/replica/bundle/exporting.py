"""Exporting: logs written to a bundle."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

from crdtsync.errors import BundleError, CorruptLogError, StorageError
from crdtsync.replica.bundle.records import Contents, End, Header, Part, RecordWriter
from crdtsync.replica.stored import Missing

if TYPE_CHECKING:
    from crdtsync.replica.ledger import Ledger

__all__ = ["Exported", "Progress", "Target", "export_bundle"]

Target: TypeAlias = str | os.PathLike[str] | BinaryIO
"""Where a bundle goes: a path, or a file that is open for writing bytes."""
Progress: TypeAlias = Callable[[int, int], object]
"""Called with (how many entries are done, how many there are)."""

_PART_BYTES = 256 * 1024
_SQLITE = b"SQLite format 3\0"


@dataclass(frozen=True, slots=True)
class Exported:
    """What was exported.

    Attributes:
        documents: how many documents.
        entries: how many entries of theirs.
        bytes: how long the bundle is.
        damage: entries of the store that are damaged, and are therefore not in the bundle.
    """

    documents: int
    entries: int
    bytes: int
    damage: tuple[CorruptLogError, ...] = ()


def export_bundle(
    ledgers: Sequence[Ledger],
    describe: Callable[[Ledger], Any],
    replica: int,
    target: Target,
    progress: Progress,
) -> Exported:
    """Write logs to a bundle.

    Args:
        ledgers: of the documents.
        describe: returns the description of a document's class.
        replica: who exports.
        target: where to. A path is written to only when the bundle is whole.
        progress: is told how far it is.

    Raises:
        BundleError: a log is not here from its first entry.
        StorageError: the bundle could not be written, or would take the place of a store, or the
            store could not be read.
    """
    for ledger in ledgers:
        if ledger.below:
            raise BundleError(
                f"document {ledger.name!r} was begun from its state here, without the log below: "
                "export it where all of its log is",
                path=str(target),
            )
    if not isinstance(target, str | os.PathLike):
        return _export(ledgers, describe, replica, target, progress)
    path = os.fspath(target)
    if _is_database(path):
        raise StorageError("this is a store, not a bundle: write to a file of its own", path=path)
    with _whole_file(path) as file:
        return _export(ledgers, describe, replica, file, progress)


def _is_database(path: str) -> bool:
    """Tell whether a bundle would take the place of a store: one slip would lose all its work."""
    try:
        with open(path, "rb") as file:
            return file.read(len(_SQLITE)) == _SQLITE
    except OSError:  # none, or one that writing will complain of
        return False


@contextmanager
def _whole_file(path: str) -> Iterator[BinaryIO]:
    """Open a file that is put in its place when it is written, flushed and closed."""
    unfinished = path + ".part"
    try:
        with open(unfinished, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(unfinished)
        if isinstance(error, OSError):
            raise StorageError(f"cannot be written: {error.strerror}", path=path) from error
        raise


def _export(
    ledgers: Sequence[Ledger],
    describe: Callable[[Ledger], Any],
    replica: int,
    file: BinaryIO,
    progress: Progress,
) -> Exported:
    total, done = sum(ledger.count for ledger in ledgers), 0
    writer = RecordWriter(file)
    writer.write(Header(replica, len(ledgers), total))
    for ledger in ledgers:
        writer.write(Contents(ledger.name, dict(ledger.heads), describe(ledger)))
    for number, ledger in enumerate(ledgers):
        for part in _parts(ledger):
            writer.write(Part(number, [one.data for one in part]))
            done += len(part)
            progress(done, total)
    writer.write(End(done))
    damage = [error for ledger in ledgers for error in ledger.damage]
    return Exported(len(ledgers), done, writer.size, tuple(damage))


def _parts(ledger: Ledger) -> Iterator[list[Missing]]:
    """Yield all entries in causal order, with a seal on the last one of each of our logs in a part.

    Those of our former ids are ours too.
    """
    vector: dict[int, int] = {}
    while found := _missing(ledger, vector):
        for one in found:
            vector[one.replica] = one.seq
        yield ledger.with_seals(found)


def _missing(ledger: Ledger, vector: dict[int, int]) -> list[Missing]:
    """Return what comes next; of a damaged store that is only looked at, what is sound."""
    try:
        return ledger.missing(vector, _PART_BYTES)
    except CorruptLogError:
        ledger.set_damage_aside()
        return ledger.missing(vector, _PART_BYTES)
