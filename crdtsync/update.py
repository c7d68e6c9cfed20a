"""A look into CRDT updates (Yjs, encoding v1), as far as we must not trust them.

The CRDT library reads nested values by recursion: an update of 80 KB can nest them so deeply that
the process dies, now and at every later start, because the entry is in the log by then. So values
that might be deep are measured before an entry is admitted.

Source: the encoding as implemented by Yjs 13 and its lib0 (`UpdateEncoderV1`, `encoding.writeAny`).
"""

from __future__ import annotations

__all__ = ["NESTING_MAX", "nests_too_deeply"]

NESTING_MAX = 500
"""Arrays and objects inside each other that a value in an update may have."""

_ARRAY, _OBJECT = 117, 118
_FIXED_SIZES = {127: 0, 126: 0, 124: 4, 123: 8, 122: 8, 121: 0, 120: 0}
_INTEGER, _STRING, _BYTES = 125, 119, 116
_GC, _SKIP = 0, 10
_NAMED_TYPES = frozenset({3, 5})  # XmlElement and XmlHook carry a name


def nests_too_deeply(update: bytes) -> bool:
    """Tell whether an update holds values nested deeper than `NESTING_MAX`.

    An update that cannot be read by these rules holds nothing that the CRDT library would get as
    far as to nest; it is left to that library to refuse it.
    """
    # Each level costs two bytes, one of them its own: nearly all updates are too short to be deep,
    # or hold too few of them.
    if len(update) <= 2 * NESTING_MAX or update.count(b"u") + update.count(b"v") <= NESTING_MAX:
        return False
    try:
        return _Reader(update).deepest() > NESTING_MAX
    except IndexError:
        # It ends too early, perhaps on purpose, behind values that are read before that is seen.
        return True


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._deepest = 0

    def deepest(self) -> int:
        """Read all structs; return the deepest nesting found."""
        for _ in range(self._number()):
            structs = self._number()
            self._number()
            self._number()
            for _ in range(structs):
                self._struct()
                if self._deepest > NESTING_MAX:
                    return self._deepest
        return self._deepest

    def _struct(self) -> None:
        info = self._byte()
        kind = info & 31
        if kind in {_GC, _SKIP}:
            self._number()
            return
        for bit in 128, 64:
            if info & bit:
                self._number()
                self._number()
        if not info & 192:
            if self._number():
                self._skip(self._number())
            else:
                self._number()
                self._number()
            if info & 32:
                self._skip(self._number())
        self._content(kind)

    def _content(self, kind: int) -> None:
        match kind:
            case 1:  # deleted
                self._number()
            case 2:  # JSON, as texts
                for _ in range(self._number()):
                    self._skip(self._number())
            case 3 | 4 | 5:  # bytes, text, an embedded JSON text
                self._skip(self._number())
            case 6:  # a format's key and JSON text
                self._skip(self._number())
                self._skip(self._number())
            case 7:  # a shared type
                if self._number() in _NAMED_TYPES:
                    self._skip(self._number())
            case 8:  # values
                self._values(self._number())
            case 9:  # a subdocument's guid and options
                self._skip(self._number())
                self._values(1)
            case _:
                raise IndexError

    def _values(self, count: int) -> None:
        """Read values without recursion. `open_` holds what is left of each array and object."""
        open_: list[list[int]] = [[count, 0]]  # how many values, whether they have keys
        while open_:
            if not open_[-1][0]:
                open_.pop()
                continue
            open_[-1][0] -= 1
            if open_[-1][1]:
                self._skip(self._number())
            tag = self._byte()
            if tag in {_ARRAY, _OBJECT}:
                open_.append([self._number(), tag == _OBJECT])
                self._deepest = max(self._deepest, len(open_) - 1)
                if self._deepest > NESTING_MAX:
                    return
            elif tag == _INTEGER:
                self._number()
            elif tag in {_STRING, _BYTES}:
                self._skip(self._number())
            else:
                self._skip(_FIXED_SIZES.get(tag, 0))

    def _byte(self) -> int:
        byte = self._data[self._at]
        self._at += 1
        return byte

    def _number(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:  # noqa: PLR2004 - lib0's varuint: seven bits a byte
                return value
            shift += 7

    def _skip(self, size: int) -> None:
        self._at += size
        if self._at > len(self._data):
            raise IndexError
