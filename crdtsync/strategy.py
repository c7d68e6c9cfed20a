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
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

from crdtsync.errors import SchemaError

__all__ = [
    "GROUP",
    "Base",
    "Candidate",
    "Claim",
    "ColumnIndex",
    "ColumnStrategy",
    "Positional",
    "Presence",
    "Removal",
    "Settled",
    "Strategy",
    "load_strategy",
]

GROUP = "crdtsync.strategies"
"""The entry point group in which strategies are registered."""

T = TypeVar("T")


class Base(NamedTuple, Generic[T]):
    """What a field held when a write replaced it.

    Attributes:
        value: the value that the writer saw: the field's default if nobody had written it.
        time: hybrid logical clock of the newest write that made it so; 0 if nobody had.
    """

    value: T
    time: int


class Candidate(NamedTuple, Generic[T]):
    """One live write to a field.

    Attributes:
        value: what was written.
        replica: id of the replica that wrote it.
        user: who used that replica, where known.
        seq: number of the entry in that replica's log.
        time: hybrid logical clock of the write.
        base: what the write replaced, where the field's strategy has it kept (`uses_base`).
            Writes that nobody else can have seen yet keep the base of the first of them.
    """

    value: T
    replica: int
    user: str | None
    seq: int
    time: int
    base: Base[T] | None = None


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
        name: the entry point's name (`lww`), by which documents name it.
        version: raised whenever the same candidates would give another value.

    A strategy may also have these, which are asked for where they are there:

    - `parameters`: a dict of the keyword arguments that make an equal strategy, as values that can
      be stored. They are part of its name.
    - `uses_base`: True lets every write keep what it replaced, for `Candidate.base`.
    - `explain(candidates, chosen)`: says in a sentence, for people, why that value was chosen.
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


class Claim(NamedTuple, Generic[T]):
    """What one record says in a column: the value of one field, and the write behind it.

    Attributes:
        value: what the field's candidates gave.
        time: hybrid logical clock of the newest write; 0 where the value is the field's default.
        replica: id of the replica that wrote it; 0 likewise.
        base: what that write replaced, if the strategy uses it.
    """

    value: T
    time: int
    replica: int
    base: Base[T] | None = None


class Settled(NamedTuple, Generic[T]):
    """What a record gets in a column where its claim is at odds with other records'.

    Attributes:
        value: what the field shows; its claim's own value where that one prevailed.
        reason: why, in a sentence for people.
        rivals: keys of the other records concerned, sorted.
    """

    value: T
    reason: str
    rivals: tuple[str, ...]


class ColumnIndex(Protocol):
    """The claims of a table's records in one column, and what comes of them.

    What `settled` returns depends on the claims that hold, not on the order in which they came nor
    on any that were withdrawn: an index that is built afresh from the same claims says the same.
    """

    def put(self, key: str, claim: Claim[Any] | None, /) -> None:
        """Take over a record's claim in place of the one before; None where it is gone."""
        ...

    def settled(self) -> Mapping[str, Settled[Any]]:
        """Return the records whose claims are at odds, by key. All others get what they claim."""
        ...


@runtime_checkable
class ColumnStrategy(Strategy, Protocol):
    """Decides a field of all the records of a table together.

    `resolve` first decides what each record claims, from the candidates of its own field.
    """

    def index(self) -> ColumnIndex:
        """Return an index without claims."""
        ...


@runtime_checkable
class Positional(Strategy, Protocol):
    """Decides a field that holds a record's place among others."""

    def between(self, low: str | None, high: str | None, replica: int, /) -> str:
        """Return a position above `low` and below `high` that no other replica can make.

        Args:
            low: the position before it; None for the beginning.
            high: the position after it; None for the end.
            replica: who asks.
        """
        ...


def load_strategy(
    name: str, version: int | None = None, parameters: Mapping[str, Any] | None = None
) -> Any:
    """Return a strategy that is installed.

    Args:
        name: its name. A version that is not the newest may be registered as `name.version`.
        version: which version; by default the one registered under the plain name.
        parameters: the keyword arguments to make it with.

    Raises:
        SchemaError: none, or more than one, is installed under that name; or not in that version;
            or it cannot be made with these parameters.
    """
    names = [name] if version is None else [f"{name}.{version}", name]
    classes = [found for found in map(_registered, names) if found is not None]
    if not classes:
        known = sorted({point.name for point in metadata.entry_points(group=GROUP)})
        raise SchemaError(
            f"no strategy is installed under the name {name!r}; "
            f"known names: {', '.join(known) or 'none'}"
        )
    try:
        strategy = classes[0](**(parameters or {}))
    except Exception as error:
        raise SchemaError(
            f"strategy {name!r} cannot be made with {dict(parameters or {})}: {error}"
        ) from error
    if version is not None and strategy.version != version:
        raise SchemaError(
            f"strategy {name!r} is installed in version {strategy.version}, not {version}"
        )
    return strategy


@functools.cache
def _registered(name: str) -> Any:
    """Return what is registered under an entry point's name, None if nothing is."""
    found = metadata.entry_points(group=GROUP, name=name)
    if len(found) > 1:
        owners = ", ".join(sorted(point.dist.name for point in found if point.dist is not None))
        raise SchemaError(
            f"{len(found)} strategies are installed under the name {name!r}, by {owners}: "
            "uninstall all but one"
        )
    return next(iter(found)).load() if found else None
