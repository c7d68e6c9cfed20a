"""Erasure: an entry whose content is gone, for legal reasons say, with all else as it was.

A refused action never happened; an erased one did, and what it took away stays away. So of its
entry remain the header, the hash, what it deleted, and of its slots what they tell about others:

- a tombstone stays whole: it is only the numbers of the writes that a deletion has seen;
- of any other slot that had seen writes of others, that; it has no value any more;
- all else that it inserted becomes deleted content, as in a refused entry.

What is not reached stands in other places: the names of paths, so the keys of records and the
elements of sets; the action's name and the user's; and copies that later actions made, such as the
`base` of a write over the erased one. A counter loses what its replica had counted up to then, if
the entry is the last of that replica to have counted there.

Read next: `crdtsync.refusal`, `crdtsync.update.stripped`, `crdtsync.marks`.
"""

from __future__ import annotations

from collections.abc import Mapping

from crdtsync.document.presence import seen_by
from crdtsync.document.slots import decode_slot, encode_slot, slot_key
from crdtsync.errors import MalformedEntryError
from crdtsync.limits import Limits
from crdtsync.log import EMPTY_UPDATE, ERASED, Entry, Head
from crdtsync.refusal import neutral_form
from crdtsync.update import neutralize, strip

__all__ = ["check_inert", "erase"]


def erase(entry: Entry, reason: str, heads: Mapping[int, Head]) -> Entry:
    """Return an entry without its content.

    Args:
        entry: the entry, which may have been refused; an erased one is returned as it is.
        reason: a sentence for people.
        heads: the ends of the document's logs. What a slot claims to have seen beyond them is no
            knowledge but content.

    >>> from crdtsync.log import EMPTY_HEAD, make_entry
    >>> entry = make_entry("board/1", 2**52, EMPTY_HEAD, 0, "add", EMPTY_UPDATE)
    >>> erased = erase(entry, "by order of a court", {})
    >>> erased.erasure, erased.refusal, erased.hash == entry.hash
    ('by order of a court', None, True)
    """
    if entry.erasure is not None:
        return entry
    known = {replica: head.seq for replica, head in heads.items()}
    erased = neutral_form(entry, _stripped(entry, known), ERASED, reason)
    if len(erased.data) > max(len(entry.data), Limits().entry_bytes_max):
        # Many small slots have become larger. Rather than one that nobody takes:
        erased = neutral_form(entry, _stripped(entry, {}), ERASED, reason)
    return erased


def check_inert(entry: Entry, known: Mapping[int, int]) -> None:
    """Check that a refused entry has no effect, and that an erased one writes nothing.

    Its hash says nothing of what is left of it: somebody could put anything there, in its author's
    name and past those who judge actions.

    Args:
        entry: the entry.
        known: a state vector of what is held, or comes before it.

    Raises:
        MalformedEntryError: it has.
    """
    try:
        bare = neutralize(entry.update)
    except ValueError:
        bare = None
    if entry.update not in {bare, EMPTY_UPDATE} and (
        entry.erasure is None or entry.update != _stripped(entry, known)
    ):
        raise MalformedEntryError(
            "it was refused or erased, but still writes something",
            document=entry.document,
            replica=entry.replica,
            seq=entry.seq,
        )


def _stripped(entry: Entry, known: Mapping[int, int]) -> bytes:
    known = {**known, entry.replica: max(entry.seq, known.get(entry.replica, 0))}
    try:
        return strip(entry.update, lambda value: _left(value, entry, known))
    except ValueError:  # nobody could apply it; nor will they what builds on it
        return EMPTY_UPDATE


def _left(value: bytes, entry: Entry, known: Mapping[int, int]) -> bytes | None:
    """Return what is left of a slot; None for what is none, or tells nothing of other writes."""
    slot = decode_slot(slot_key("", entry.replica, 0), value)
    if slot is None or (slot.seq, slot.time) != (entry.seq, entry.time):
        return None
    slot = slot._replace(base=None, schema=entry.schema_version)
    buried = seen_by(slot)
    if buried and buried.get(entry.replica) == entry.seq and _is_known(buried, known):
        return encode_slot(slot._replace(seen=None))
    if slot.seen is None or not _is_known(slot.seen, known):
        return None
    # One that has seen itself has no value, and only takes others away.
    seen = {**slot.seen, entry.replica: entry.seq}
    return encode_slot(slot._replace(value=None, seen=seen))


def _is_known(seen: Mapping[int, int], known: Mapping[int, int]) -> bool:
    return all(seq <= known.get(replica, 0) for replica, seq in seen.items())
