"""A text in pieces, which knows its Python indices, its UTF-8 offsets, and its units of UTF-16.

The CRDT counts UTF-8 bytes, Python counts code points, and an offset inside a character makes
replicas differ without a word. The ids of characters count units of UTF-16. Every conversion
happens here. Pieces are a few thousand characters long, and the piece used last is where the next
search begins, so that typing costs the same in a long text as in a short one.

An object embedded in the text is one position to the CRDT and one character here. Inside it is a
lone surrogate, which no text can hold, and which the encoder replaces by one byte.
"""

from __future__ import annotations

from crdtsync.document.formatting import OBJECT

__all__ = ["EMBED", "Rope"]

EMBED = "\udffc"
"""An embedded object, where a rope is made or text is inserted. It is shown as U+FFFC."""

PIECE_LENGTH_MAX = 4096
_PIECE_LENGTH = PIECE_LENGTH_MAX // 2


class Rope:
    """A mutable text.

    >>> rope = Rope("naïve 😀")
    >>> rope.insert(7, "!")
    11
    >>> str(rope), len(rope)
    ('naïve 😀!', 8)
    """

    __slots__ = (
        "_at",
        "_at_byte",
        "_at_char",
        "_at_unit",
        "_joined",
        "_length",
        "_pieces",
        "_sizes",
        "_widths",
    )

    def __init__(self, text: str = "") -> None:
        self._pieces = [
            text[start : start + _PIECE_LENGTH] for start in range(0, len(text), _PIECE_LENGTH)
        ] or [""]
        # How many bytes and how many units each piece has.
        self._sizes = [_size(piece) for piece in self._pieces]
        self._widths = [_width(piece) for piece in self._pieces]
        self._length = len(text)
        self._joined: str | None = None
        # The piece used last, and the characters, bytes and units before it.
        self._at = 0
        self._at_char = 0
        self._at_byte = 0
        self._at_unit = 0

    def __len__(self) -> int:
        return self._length

    def __str__(self) -> str:
        if self._joined is None:
            self._joined = "".join(self._pieces).replace(EMBED, OBJECT)
        return self._joined

    @property
    def size(self) -> int:
        """How long the CRDT takes it to be: the offset of its end."""
        return sum(self._sizes)

    @property
    def units(self) -> int:
        """How many units of UTF-16 it has."""
        return sum(self._widths)

    def insert(self, index: int, text: str) -> int:
        """Insert before a character and return the byte offset where the text now begins."""
        within = self._seek(index)
        piece = self._pieces[self._at]
        offset = self._at_byte + self._size_upto(within)
        self._put(self._at, piece[:within] + text + piece[within:])
        self._length += len(text)
        self._joined = None
        return offset

    def delete(self, start: int, stop: int) -> tuple[int, int]:
        """Delete characters and return the byte range they had."""
        within = self._seek(start)
        first = self._at_byte + self._size_upto(within)
        left = stop - start
        size = 0
        while left:
            piece = self._pieces[self._at]
            gone = piece[within : within + left]
            size += _size(gone)
            left -= len(gone)
            rest = piece[:within] + piece[within + len(gone) :]
            within = 0
            if rest or len(self._pieces) == 1:
                self._put(self._at, rest)
                if left:
                    self._step()
            else:
                del self._pieces[self._at], self._sizes[self._at], self._widths[self._at]
        if self._at == len(self._pieces):
            self._rewind()
        self._length -= stop - start
        self._joined = None
        return first, first + size

    def offset(self, index: int) -> int:
        """Return the byte offset of a character."""
        within = self._seek(index)
        return self._at_byte + self._size_upto(within)

    def index(self, offset: int) -> int:
        """Return the index of the character that begins at a byte offset."""
        if self._at_byte > offset:
            self._rewind()
        while self._at_byte + self._sizes[self._at] < offset and self._at + 1 < len(self._pieces):
            self._step()
        within = offset - self._at_byte
        piece = self._pieces[self._at]
        if self._sizes[self._at] != len(piece):
            within = len(_encoded(piece)[:within].decode(errors="ignore"))
        return self._at_char + within

    def unit(self, index: int) -> int:
        """Return how many units of UTF-16 are before a character."""
        within = self._seek(index)
        return self._at_unit + _width(self._pieces[self._at][:within])

    def index_of_unit(self, unit: int) -> int:
        """Return the index of the character that a unit of UTF-16 is in."""
        if self._at_unit > unit:
            self._rewind()
        while self._at_unit + self._widths[self._at] < unit and self._at + 1 < len(self._pieces):
            self._step()
        within = unit - self._at_unit
        piece = self._pieces[self._at]
        if self._widths[self._at] != len(piece):
            within = len(_in_units(piece)[: 2 * within].decode("utf-16-le", "ignore"))
        return self._at_char + within

    def _seek(self, index: int) -> int:
        """Make the piece that holds an index the current one; return the place within it."""
        while index < self._at_char:
            if index < self._at_char // 2:
                self._rewind()
            else:
                self._at -= 1
                self._at_char -= len(self._pieces[self._at])
                self._at_byte -= self._sizes[self._at]
                self._at_unit -= self._widths[self._at]
        while index - self._at_char > len(self._pieces[self._at]):
            self._step()
        return index - self._at_char

    def _step(self) -> None:
        self._at_char += len(self._pieces[self._at])
        self._at_byte += self._sizes[self._at]
        self._at_unit += self._widths[self._at]
        self._at += 1

    def _rewind(self) -> None:
        self._at = self._at_char = self._at_byte = self._at_unit = 0

    def _size_upto(self, within: int) -> int:
        piece = self._pieces[self._at]
        return within if self._sizes[self._at] == len(piece) else _size(piece[:within])

    def _put(self, at: int, piece: str) -> None:
        """Replace a piece, in several where it has grown too long."""
        if len(piece) <= PIECE_LENGTH_MAX:
            self._pieces[at] = piece
            self._sizes[at] = _size(piece)
            self._widths[at] = _width(piece)
            return
        parts = [
            piece[start : start + _PIECE_LENGTH] for start in range(0, len(piece), _PIECE_LENGTH)
        ]
        self._pieces[at : at + 1] = parts
        self._sizes[at : at + 1] = [_size(part) for part in parts]
        self._widths[at : at + 1] = [_width(part) for part in parts]


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(_encoded(text))


def _width(text: str) -> int:
    return len(text) if text.isascii() else len(_in_units(text)) // 2


def _in_units(text: str) -> bytes:
    return text.encode("utf-16-le", errors="replace")


def _encoded(text: str) -> bytes:
    return text.encode(errors="replace")
