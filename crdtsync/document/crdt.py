"""The few things we must know about the CRDT library's bytes and habits (pycrdt, Yjs v1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pycrdt

from crdtsync.structs import varuint

__all__ = ["apply_updates", "clocks", "is_crdt_failure", "is_whole", "panics_as_errors"]

_NOTHING = b"\x00\x00"


def clocks(doc: pycrdt.Doc[Any]) -> dict[int, int]:
    """Return the CRDT clock of every client: how many structs of each are applied, without gaps.

    What waits for a missing predecessor is not counted, which is how gaps are found.
    """
    values = _numbers(doc.get_state())
    return dict(zip(values[1::2], values[2::2], strict=True))


def _numbers(data: bytes) -> list[int]:
    values: list[int] = []
    value = shift = 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        if byte & 0x80:
            shift += 7
        else:
            values.append(value)
            value = shift = 0
    return values


def is_whole(update: bytes, client: int, clock: int, reached: Mapping[int, int]) -> bool:
    """Tell whether an update that was applied has been applied as a whole.

    The library is asked, not our own reader: what counts is how it understands the update.

    Args:
        update: the update.
        client: whose structs it holds.
        clock: where they should end, or before.
        reached: the clocks that the document has reached; what it deletes should be below.
    """
    rest = pycrdt.get_update(update, b"\x01" + varuint(client) + varuint(clock))
    if rest == _NOTHING:
        return True
    if rest[0]:
        return False  # it has structs beyond
    numbers = iter(_numbers(rest))
    next(numbers)
    for _ in range(next(numbers)):
        known = reached.get(next(numbers), 0)
        for _ in range(next(numbers)):
            if next(numbers) + next(numbers) > known:
                return False
    return True


def apply_updates(doc: pycrdt.Doc[Any], updates: Iterable[bytes]) -> None:
    """Apply updates in one CRDT transaction.

    The library's Rust core is asked directly: the Python layer above would enter and leave a nested
    transaction for every update, which costs half as much again as applying it.
    """
    with doc.transaction() as transaction:
        apply, inner = doc._doc.apply_update, transaction._txn
        assert inner is not None
        for update in updates:
            apply(inner, update)


@contextmanager
def panics_as_errors() -> Iterator[None]:
    """Raise a failure inside the CRDT library's Rust core as a RuntimeError.

    As it comes it is no `Exception`, and would end whatever runs beside it too.
    """
    try:
        yield
    except BaseException as error:
        if isinstance(error, Exception) or not is_crdt_failure(error):
            raise
        raise RuntimeError(f"the CRDT library has failed: {error}") from error


def is_crdt_failure(error: BaseException) -> bool:
    """Tell whether the CRDT library itself failed on an update.

    A failure inside its Rust core is a `PanicException`, which is no `Exception` at all.
    """
    return isinstance(error, ValueError | RuntimeError) or (
        type(error).__name__ == "PanicException"
    )
