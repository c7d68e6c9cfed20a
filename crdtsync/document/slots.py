"""Slots: one replica's live write to one path.

All slots of a document live in one CRDT map. A slot's key is `path@replica.generation`, its value
the CBOR of `[seq, time, value, base?, schema?]`. To write a field, a replica deletes every slot it
sees on that path and sets a fresh one of its own: concurrent writes survive side by side, and a
write that has seen another always replaces it, whatever the clocks say.

`base`, where the field's strategy uses it, is `[time, value]` of what the write replaced; `schema`
is the version of the schema that it was written under, where that is not 1.

**Generations.** A refused write must be removable without harming its neighbours. So the key of a
slot that is live, or that an unacknowledged entry wrote or deleted, is never used again: while
entries are unacknowledged the generation rises by two; once ours is acknowledged the next one
starts anew in the other bank (even, odd), which no pending entry can have touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from crdtsync.codec import DEPTH_MAX, FLAT, check_value, decode, encode
from crdtsync.errors import CodecError
from crdtsync.identity import is_replica_id
from crdtsync.strategy import Base

__all__ = [
    "ROOT",
    "Slot",
    "decode_slot",
    "encode_slot",
    "live_slots",
    "next_generation",
    "path_of",
    "slot_key",
]

ROOT = "slots"
"""Name of the root map that holds all slots."""
_PLAIN_ITEMS = 3


class Slot(NamedTuple):
    """A decoded slot."""

    time: int
    replica: int
    seq: int
    generation: int
    value: Any
    base: Base[Any] | None = None
    schema: int = 1


def slot_key(path: str, replica: int, generation: int) -> str:
    """Return the key of a slot in the root map."""
    return f"{path}@{replica:x}.{generation:x}"


def path_of(key: str) -> str:
    """Return the path that a slot's key names."""
    return key.rpartition("@")[0]


def encode_slot(slot: Slot) -> bytes:
    """Return the bytes of a slot's value."""
    items: tuple[Any, ...] = (slot.seq, slot.time, slot.value)
    if slot.schema != 1:
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
        base, schema = _read_more(*more) if more else (None, 1)
    except (CodecError, ValueError, TypeError):
        return None
    if not (is_replica_id(replica) and type(seq) is int and type(time) is int):
        return None
    return Slot(time, replica, seq, generation, value, base, schema)


def _read_more(base: Any, schema: Any = 1) -> tuple[Base[Any] | None, int]:
    if type(schema) is not int or schema < 1:
        raise ValueError(schema)
    if base is None:
        return None, schema
    time, value = base
    check_value(value)
    if type(time) is not int:
        raise TypeError(time)
    return Base(value, time), schema


def live_slots(pairs: Sequence[tuple[str, bytes]]) -> tuple[Slot, ...]:
    """Decode a path's slots in canonical order (time, replica), one for each replica.

    Of one replica's slots only that with the highest seq counts.
    """
    if len(pairs) == 1:
        only = decode_slot(*pairs[0])
        return () if only is None else (only,)
    newest: dict[int, Slot] = {}
    for key, data in pairs:
        slot = decode_slot(key, data)
        if slot is None:
            continue
        held = newest.get(slot.replica)
        if held is None or slot.seq > held.seq:
            newest[slot.replica] = slot
    if len(newest) == 1:
        return tuple(newest.values())
    return tuple(sorted(newest.values(), key=_canonical))


def _canonical(slot: Slot) -> tuple[int, int]:
    return slot.time, slot.replica


def next_generation(own: Slot | None, seq: int, acknowledged: int) -> int:
    """Return the generation of a replica's next slot on a path.

    Args:
        own: the replica's live slot there.
        seq: number of the entry that is being written.
        acknowledged: number up to which the replica's entries can no longer be refused.
    """
    if own is None:
        # What we deleted here in entries still pending is not to be seen any more; the entry's own
        # number was never used as a generation by any of them.
        return 0 if acknowledged == seq - 1 else 2 * seq
    if own.seq <= acknowledged:
        return 1 - own.generation % 2
    return own.generation + 2
