"""The few things we must know about the CRDT library's bytes and habits (pycrdt, Yjs v1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import pycrdt

from crdtsync.structs import varuint

__all__ = [
    "Clocks",
    "Reached",
    "apply_updates",
    "clocks",
    "is_crdt_failure",
    "is_whole",
    "panics_as_errors",
]

_CLOCK_BYTES_MAX = 5  # a clock has 32 bits
_NOTHING = b"\x00\x00"


def clocks(doc: pycrdt.Doc[Any]) -> dict[int, int]:
    """Return the CRDT clock of every client: how many structs of each are applied, without gaps.

    What waits for a missing predecessor is not counted, which is how gaps are found.
    """
    return _clocks(doc.get_state())


def _clocks(state: bytes) -> dict[int, int]:
    values = _numbers(state)
    return dict(zip(values[1::2], values[2::2], strict=True))


class Clocks(Protocol):
    """CRDT clocks by client: a dict, or what `Reached` reads from a document."""

    def get(self, client: int, default: int, /) -> int:
        """Return how many structs of a client there are."""


class Reached:
    """The CRDT clocks of a document at one moment, for those who ask for a few of them.

    A document may have thousands of clients, and reading all their clocks would cost more than
    applying an entry does.

    >>> doc = pycrdt.Doc(client_id=7)
    >>> doc["text"] = pycrdt.Text("spam")
    >>> Reached(doc).get(7, 0), Reached(doc).get(8, 0)
    (4, 0)
    """

    def __init__(self, doc: pycrdt.Doc[Any]) -> None:
        self._state = doc.get_state()
        self._read: dict[int, int | None] = {}

    def get(self, client: int, default: int, /) -> int:
        """Return how many structs of a client are applied, without gaps."""
        if client not in self._read:
            self._read[client] = self._find(client)
        clock = self._read[client]
        return default if clock is None else clock

    def _find(self, client: int) -> int | None:
        name, state = varuint(client), self._state
        if len(name) <= _CLOCK_BYTES_MAX:  # it could be taken for a clock
            return _clocks(state).get(client)
        at = state.find(name)
        while at > 0 and state[at - 1] & 0x80:  # the end of another client's name
            at = state.find(name, at + 1)
        return None if at < 0 else _number(state, at + len(name))


def _number(data: bytes, at: int) -> int:
    value = shift = 0
    while data[at] & 0x80:
        value |= (data[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
    return value | data[at] << shift


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


def is_whole(update: bytes, client: int, clock: int, reached: Clocks) -> bool:
    """Tell whether an update that was applied has been applied as a whole.

    The library is asked, not our own reader: what counts is how it understands the update.

    Args:
        update: the update.
        client: whose structs it holds.
        clock: where they should end, or before.
        reached: the clocks that the document has reached; what it deletes should be below.
    """
    name = varuint(client)
    rest = pycrdt.get_update(update, b"\x01" + name + varuint(clock))
    if rest == _NOTHING:
        return True
    if rest[0]:
        return False  # it has structs beyond
    own = b"\x00\x01" + name + b"\x01"
    if rest.startswith(own):  # one run of its author's, as a write over a field leaves it
        first, length = _numbers(rest[len(own) :])
        return first + length <= reached.get(client, 0)
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
