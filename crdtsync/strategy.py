"""What a conflict strategy is: the only thing that a strategy imports.

A *candidate* is one replica's live write to a field. Where several replicas wrote without having
seen each other there are several candidates, and the field's *strategy* decides its value. Any
total, deterministic, pure function of the candidates converges by construction, because every
replica that holds the same log holds the same candidates and sees them in one order.

The bundled strategies live in `strategies/crdtsync_strategies` and are registered by the entry
point group `crdtsync.strategies`, exactly as a third party's are; only that name is ever stored.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from importlib import metadata
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

from crdtsync.errors import SchemaError

__all__ = ["GROUP", "Candidate", "Presence", "Removal", "Strategy", "load_strategy"]

GROUP = "crdtsync.strategies"
"""The entry point group in which strategies are registered."""

T = TypeVar("T")


class Candidate(NamedTuple, Generic[T]):
    """One live write to a field.

    Attributes:
        value: what was written.
        replica: id of the replica that wrote it.
        user: who used that replica, where known.
        seq: number of the entry in that replica's log.
        time: hybrid logical clock of the write.
    """

    value: T
    replica: int
    user: str | None
    seq: int
    time: int


class Removal(NamedTuple):
    """One live deletion of a record.

    Attributes:
        replica: id of the replica that deleted it.
        seq: number of the entry in that replica's log.
        time: hybrid logical clock of the deletion.
        seen: the writes that it had seen, as replica to highest sequence number.
    """

    replica: int
    seq: int
    time: int
    seen: dict[int, int]


@runtime_checkable
class Strategy(Protocol):
    """Decides a field's value from its candidates.

    Attributes:
        name: the entry point's name (`lww`), stored in the schema fingerprint.
        version: raised whenever the same candidates would give another value.
    """

    name: str
    version: int

    def resolve(self, candidates: Sequence[Candidate[Any]], /) -> Any:
        """Return the field's value.

        Args:
            candidates: at least one, ordered by (time, replica).
        """
        ...


@runtime_checkable
class Presence(Protocol):
    """Decides whether a record that was deleted on one replica and written on another exists."""

    name: str
    version: int

    def present(self, writes: Sequence[Candidate[Any]], removals: Sequence[Removal], /) -> bool:
        """Tell whether the record exists.

        Args:
            writes: all live writes to the record, ordered by (time, replica).
            removals: all live deletions, at least one.
        """
        ...


@functools.cache
def load_strategy(name: str) -> Any:
    """Return the strategy registered under a name, made without arguments.

    Raises:
        SchemaError: none, or more than one, is installed under that name.
    """
    found = metadata.entry_points(group=GROUP, name=name)
    if len(found) != 1:
        known = sorted({point.name for point in metadata.entry_points(group=GROUP)})
        raise SchemaError(
            f"{len(found)} strategies are installed under the name {name!r}; "
            f"known names: {', '.join(known) or 'none'}"
        )
    return next(iter(found)).load()()
