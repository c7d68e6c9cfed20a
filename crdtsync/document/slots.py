"""Slots: one replica's live write to one path.

All slots of a document live in one CRDT map. A slot's key is `path@replica.generation`, its value
the CBOR of `[seq, time, value, base?, schema?, seen?]`. To write a field, a replica deletes every
slot it sees on that path and sets a fresh one of its own: concurrent writes survive side by side,
and a write that has seen another always replaces it, whatever the clocks say.

`base`, where the field's strategy uses it, is `[time, value]` of what the write replaced; `schema`
is the version of the schema that it was written under, where that is not 1.

**Refusal.** A refused write must be removable without harming its neighbours: its own slot goes,
and those that it deleted come back. Two things see to that.

- *Seen.* What comes back must not stand beside a later write over the refused one, whose author had
  seen it too. So a write names in `seen` the slots of others that it replaces, and those that its
  author's pending slots under it had replaced. A slot that one of its path has seen does not count.
  One that has seen itself has no value: it only takes others away.
- *Generations.* The key of a slot that is live, or that an unacknowledged entry wrote or deleted,
  is not used again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

from crdtsync.codec import DEPTH_MAX, FLAT, check_value, decode, encode
from crdtsync.errors import CodecError
from crdtsync.identity import is_replica_id
from crdtsync.strategy import Base
from crdtsync.vector import from_pairs, join, to_pairs

__all__ = [
    "NO_CLAMPS",
    "ROOT",
    "Clamps",
    "Slot",
    "decode_slot",
    "encode_slot",
    "newest",
    "next_generation",
    "path_of",
    "read_slots",
    "slot_key",
    "unseen",
]

ROOT = "slots"
"""Name of the root map that holds all slots."""
_PLAIN_ITEMS = 3

Clamps: TypeAlias = Mapping[tuple[int, int], int]
"""The times as of which clamped entries count, by (replica, seq); see `crdtsync.marks`."""
NO_CLAMPS: Clamps = MappingProxyType({})


class Slot(NamedTuple):
    """A decoded slot.

    Attributes:
        time: when it was written, by the hybrid logical clock.
        replica: who wrote it.
        seq: in which entry.
        generation: tells it from other slots of that replica on its path.
        value: what was written.
        base: what that replaced, where the strategy uses it.
        schema: version of the schema that it was written under.
        seen: state vector of the writes to its path that it replaced; None if there were none.
    """

    time: int
    replica: int
    seq: int
    generation: int
    value: Any
    base: Base[Any] | None = None
    schema: int = 1
    seen: Mapping[int, int] | None = None


def slot_key(path: str, replica: int, generation: int) -> str:
    """Return the key of a slot in the root map."""
    return f"{path}@{replica:x}.{generation:x}"


def path_of(key: str) -> str:
    """Return the path that a slot's key names."""
    return key.rpartition("@")[0]


def encode_slot(slot: Slot) -> bytes:
    """Return the bytes of a slot's value."""
    items: tuple[Any, ...] = (slot.seq, slot.time, slot.value)
    if slot.seen is not None:
        items = (*items, _base_items(slot.base), slot.schema, to_pairs(slot.seen))
    elif slot.schema != 1:
        items = (*items, _base_items(slot.base), slot.schema)
    elif slot.base is not None:
        items = (*items, _base_items(slot.base))
    return encode(items, flat=len(items) == _PLAIN_ITEMS and type(slot.value) in FLAT)


def _base_items(base: Base[Any] | None) -> list[Any] | None:
    return None if base is None else [base.time, base.value]


def decode_slot(key: str, data: bytes) -> Slot | None:
    """Read a slot; None for what is not one, as a careless or hostile front end may have written.

    What is not a slot is ignored by every replica alike.
    """
    try:
        replica_text, _, generation_text = key.rpartition("@")[2].partition(".")
        replica, generation = int(replica_text, 16), int(generation_text, 16)
        seq, time, value, *more = decode(data, depth_max=DEPTH_MAX + 2)
        check_value(value)
        base, schema, seen = _read_more(*more) if more else (None, 1, None)
    except (CodecError, ValueError, TypeError):
        return None
    if not (is_replica_id(replica) and type(seq) is int and type(time) is int):
        return None
    return Slot(time, replica, seq, generation, value, base, schema, seen)


def _read_more(
    base: Any, schema: Any = 1, seen: Any = None
) -> tuple[Base[Any] | None, int, Mapping[int, int] | None]:
    if type(schema) is not int or schema < 1:
        raise ValueError(schema)
    if seen is not None:
        if type(seen) is not list:
            raise TypeError(seen)
        seen = from_pairs(seen)
    if base is None:
        return None, schema, seen
    time, value = base
    check_value(value)
    if type(time) is not int:
        raise TypeError(time)
    return Base(value, time), schema, seen


def read_slots(pairs: Sequence[tuple[str, bytes]], clamps: Clamps = NO_CLAMPS) -> tuple[Slot, ...]:
    """Decode a path's slots, in the order of time, replica and number.

    Args:
        pairs: their keys and bytes.
        clamps: the times that count in place of those in the bytes.
    """
    if len(pairs) == 1 and not clamps:
        only = decode_slot(*pairs[0])
        return () if only is None else (only,)
    slots = [slot for slot in (decode_slot(*pair) for pair in pairs) if slot is not None]
    if clamps:
        slots = [_clamped(slot, clamps.get((slot.replica, slot.seq))) for slot in slots]
    return tuple(sorted(slots, key=_canonical))


def _clamped(slot: Slot, clamp: int | None) -> Slot:
    return slot if clamp is None else slot._replace(time=min(clamp, slot.time))


def _canonical(slot: Slot) -> tuple[int, int, int]:
    return slot.time, slot.replica, slot.seq


def unseen(
    slots: tuple[Slot, ...], replaced: Callable[[Slot], Mapping[int, int] | None]
) -> tuple[Slot, ...]:
    """Leave out the slots of a path that one of them has seen.

    Args:
        slots: of the path.
        replaced: tells which writes a slot has seen.
    """
    seen: dict[int, int] = {}
    for slot in slots:
        of_this = replaced(slot)
        if of_this:
            seen = join(seen, of_this)
    if not seen:
        return slots
    return tuple(slot for slot in slots if slot.seq > seen.get(slot.replica, 0))


def newest(slots: tuple[Slot, ...]) -> tuple[Slot, ...]:
    """Keep one slot of each replica: that with the highest seq."""
    if len(slots) <= 1:
        return slots
    last: dict[int, int] = {}
    for slot in slots:
        last[slot.replica] = max(slot.seq, last.get(slot.replica, 0))
    if len(last) == len(slots):
        return slots
    return tuple(slot for slot in slots if slot.seq == last[slot.replica])


def next_generation(own: Sequence[Slot], seq: int, acknowledged: int) -> int:
    """Return the generation of a replica's next slot on a path.

    Args:
        own: the replica's stored slots there.
        seq: number of the entry that is being written.
        acknowledged: number up to which the replica's entries can no longer be refused.
    """
    # What we deleted here in entries still pending is not to be seen any more. But if what we wrote
    # last is acknowledged, no pending entry can have touched the path.
    last = max([slot.seq for slot in own], default=seq - 1)
    if last <= acknowledged:
        taken = [slot.generation for slot in own]
        for generation in (0, 1):
            if generation not in taken:
                return generation
    return 2 * seq  # no entry before can have used that number
