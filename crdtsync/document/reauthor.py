"""Re-authoring: the end of a log, written once more as another replica's.

A log that was continued in two places forks: after its last common entry stand two branches. One of
them stays; what the other one did is done again under a new replica id, so that both count. The
CRDT structs go over as they are (`crdtsync.update.reauthor`). Slots say in their keys and values
who wrote them, so these are changed:

- A slot gets a key of its new replica, with twice its entry's number: none before can have used it.
- What a write or a removal has seen of the old log is told as what it is now: the common part, and
  the new log up to there.
- An increment of a counter takes up what its replica had counted before. But the other branch may
  have taken up the same, so that part stays where it is, and the increment adds its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from crdtsync.document.presence import seen_by
from crdtsync.document.schema import Schema
from crdtsync.document.slots import ROOT, Slot, decode_slot, encode_slot, path_of, slot_key
from crdtsync.document.stack import REDO, UNDO, renamed
from crdtsync.log import Entry
from crdtsync.update import Deletion, Moves, read_parts, reauthor, write
from crdtsync.update.encoding import encoded
from crdtsync.update.reader import (
    DELETED,
    FLAGS,
    KEY,
    LEFT,
    NEIGHBOURS,
    VALUES,
    Reader,
    Section,
    Struct,
)
from crdtsync.vector import join, to_pairs

__all__ = ["Reauthor"]

_ROOT_KEY = (1, ROOT.encode())
_BYTES = b"\x01\x74"  # one value, and it is bytes


class _Known(NamedTuple):
    """A slot written before: its key, and how much of a counter whoever takes it up is to leave.

    That is what it has counted if it stays, and what it has left itself if it went over.
    """

    key: str
    left: int


class Reauthor:
    """Writes entries of one document's logs anew, as those of one replica.

    Args:
        replica: the new author.
        schema: what the document is declared as: it tells counters from other numbers.

    Attributes:
        replica: the new author.
    """

    def __init__(self, replica: int, schema: Schema) -> None:
        self.replica = replica
        self._schema = schema
        self._moves = Moves(replica)
        self._known: dict[tuple[int, int], _Known] = {}
        # Of each log: the number of the first entry that went over, and what became of each.
        self._firsts: dict[int, int] = {}
        self._numbers: dict[int, list[int]] = {}

    def stays(self, entry: Entry) -> None:
        """Take note of an entry that stays: of a log whose end goes over, or of the new author's.

        Raises:
            ValueError: its update cannot be read.
        """
        section, _ = read_parts(entry.update)
        if section is None:
            return
        if entry.replica == self.replica:
            self._moves.clock = section.clock + sum(struct.length for struct in section.structs)
        for id_, struct in _placed(section):
            key = self._key(struct)
            if key is not None:
                slot = _slot(key, struct)
                counts = slot is not None and self._is_count(slot, key)
                self._known[id_] = _Known(key, slot.value if counts else 0)  # type: ignore[union-attr]

    def moved(self, entry: Entry, seq: int) -> bytes:
        """Return the update of an entry that goes over. They come in the order of their logs.

        Args:
            entry: as it was.
            seq: its number in the new log.

        Raises:
            ValueError: the update cannot be read.
        """
        self._firsts.setdefault(entry.replica, entry.seq)
        self._numbers.setdefault(entry.replica, []).append(seq)
        section, deletions = read_parts(entry.update)
        if section is not None:
            section, deletions = self._with_slots(section, deletions, seq)
        return write(*reauthor(section, deletions, self._moves))

    def arguments(self, entry: Entry) -> dict[str, Any]:
        """Return the arguments of an entry that went over: undoings name what did, too.

        Where what they say is not what our undoings say, they stay as they are.
        """
        if entry.name not in {UNDO, REDO}:
            return entry.arguments
        try:
            return renamed(entry.arguments, self._name, self._ids)
        except (TypeError, ValueError):
            return entry.arguments

    def _name(self, replica: int, seq: int) -> tuple[int, int]:
        first = self._firsts.get(replica)
        if first is None or not first <= seq < first + len(self._numbers[replica]):
            return replica, seq
        return self.replica, self._numbers[replica][seq - first]

    def _ids(self, client: int, clock: int, length: int) -> Iterator[Deletion]:
        return self._moves.runs(Deletion(client, clock, length))

    def _with_slots(
        self, section: Section, deletions: list[Deletion], seq: int
    ) -> tuple[Section, list[Deletion]]:
        """Return an update's parts with the slots in it as the new author's."""
        structs: list[Struct] = []
        written: dict[str, tuple[int, int]] = {}  # the last slot of each path
        for id_, struct in _placed(section):
            key = self._key(struct)
            slot = None if key is None else _slot(key, struct)
            if key is None or (slot is None and struct.info & ~FLAGS != DELETED):
                structs.append(struct)
                continue
            path, left = path_of(key), 0
            if slot is not None and slot.seen is None and self._is_count(slot, key):
                left, deletions = self._taken_up(path, section.client, deletions)
                slot = slot._replace(value=slot.value - left)
            self._known[id_] = _Known(key, left)
            structs.append(self._rewritten(struct, path, slot, seq, written.get(path)))
            written[path] = id_
        return section._replace(structs=structs), deletions

    def _key(self, struct: Struct) -> str | None:
        """Return the key of a slot; None if the struct is none, or somebody else's."""
        place = struct.place
        if not struct.info & KEY or not place:
            return None
        if struct.info & NEIGHBOURS:
            known = self._known.get(place[:2]) if struct.info & LEFT else None  # type: ignore[arg-type]
            return None if known is None else known.key
        key = place[2] if place[:2] == _ROOT_KEY else None
        return key.decode() if isinstance(key, bytes) else None

    def _is_count(self, slot: Slot, key: str) -> bool:
        return type(slot.value) is int and self._schema.kind_of(path_of(key)) == "counter"

    def _taken_up(
        self, path: str, replica: int, deletions: list[Deletion]
    ) -> tuple[int, list[Deletion]]:
        """Leave a counter's slots that stay, though an increment takes them up.

        Returns:
            How much it does not take up, and what it still deletes.
        """
        left, kept = 0, []
        for run in deletions:
            clock, stop = run.clock, run.clock + run.length
            for at in range(clock, stop) if run.client == replica else ():
                known = self._known.get((replica, at))
                if known is None or path_of(known.key) != path:
                    continue
                left += known.left
                if self._moves.of(replica, at) == (replica, at):
                    kept += [Deletion(replica, clock, at - clock)] if at > clock else []
                    clock = at + 1
            if clock < stop:
                kept.append(Deletion(run.client, clock, stop - clock))
        return left, kept

    def _rewritten(
        self,
        struct: Struct,
        path: str,
        slot: Slot | None,
        seq: int,
        before: tuple[int, int] | None,
    ) -> Struct:
        """Return a slot of ours, or a deleted one, under its new key.

        Args:
            struct: as it is.
            path: of the slot.
            slot: what it holds; None if it is deleted.
            seq: number of its entry now.
            before: the id of the slot under the same key that the same entry wrote before.
        """
        content = struct.content
        if slot is not None:
            content = _BYTES + encoded(encode_slot(self._translated(path, slot, seq)))
        info = struct.info & ~FLAGS | KEY
        if before is not None:
            return struct._replace(info=info | LEFT, place=before, content=content)
        key = slot_key(path, self.replica, 2 * seq).encode()
        return struct._replace(info=info, place=(*_ROOT_KEY, key), content=content)

    def _translated(self, path: str, slot: Slot, seq: int) -> Slot:
        seen = None if slot.seen is None else self._seen(slot.seen)
        value = slot.value
        # Paths of fields have an odd number of segments; those of records and elements, an even.
        buried = seen_by(slot) if path.count("/") % 2 else None
        if buried is not None:
            value = to_pairs(self._seen(buried))
        return slot._replace(
            replica=self.replica, seq=seq, generation=2 * seq, value=value, seen=seen
        )

    def _seen(self, vector: Mapping[int, int]) -> dict[int, int]:
        """Return a state vector that names what went over as what it is now."""
        seen: dict[int, int] = {}
        for replica, seq in vector.items():
            first = self._firsts.get(replica)
            if first is None or seq < first:
                seen = join(seen, {replica: seq})
                continue
            numbers = self._numbers[replica]
            now = {self.replica: numbers[min(seq - first, len(numbers) - 1)]}
            seen = join(seen, now if first == 1 else now | {replica: first - 1})
        return seen


def _placed(section: Section) -> Iterator[tuple[tuple[int, int], Struct]]:
    """Yield the structs of a section with their ids."""
    clock = section.clock
    for struct in section.structs:
        yield (section.client, clock), struct
        clock += struct.length


def _slot(key: str, struct: Struct) -> Slot | None:
    """Return the slot that a struct holds; None where it holds something else."""
    if struct.info & ~FLAGS != VALUES or not struct.content.startswith(_BYTES):
        return None
    return decode_slot(key, Reader(struct.content[len(_BYTES) :]).blob())
