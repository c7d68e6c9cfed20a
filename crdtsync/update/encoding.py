"""The numbers and strings that everything of Yjs is made of: CRDT updates, and its protocols.

A number is seven bits a byte, the low ones first; the bit above says that there is more. Bytes, and
texts as UTF-8, stand after their number.

Source: lib0's `encoding` and `decoding` modules (`writeVarUint`, `writeVarUint8Array`,
`writeVarString`).
Read next: `crdtsync.update.reader`.
"""

from __future__ import annotations

__all__ = ["Source", "encoded"]

_MORE = 0x80
_NUMBER_BYTES_MAX = 8  # a client id has 53 bits; no number has more


def encoded(*parts: int | bytes | str) -> bytes:
    r"""Encode numbers, and bytes and texts after their number.

    >>> encoded(0, 300, b"ab", "é")
    b'\x00\xac\x02\x02ab\x02\xc3\xa9'
    """
    data = bytearray()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        number = content if isinstance(content, int) else len(content)
        while number >= _MORE:
            data.append(number & 0x7F | _MORE)
            number >>= 7
        data.append(number)
        if isinstance(content, bytes):
            data += content
    return bytes(data)


class Source:
    """Reads what was encoded, from front to back, and trusts nothing of it.

    All methods raise ValueError where the bytes end before, or are not what is read.

    Attributes:
        at: how many bytes have been read.

    >>> source = Source(encoded(300, b"ab", "é"))
    >>> source.number(), source.blob(), source.text(), source.ended
    (300, b'ab', 'é', True)
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    @property
    def ended(self) -> bool:
        """Whether all of it has been read."""
        return self.at == len(self._data)

    def number(self) -> int:
        """Read a number."""
        byte = self.byte()
        if byte < _MORE:  # as most are
            return byte
        value = byte & 0x7F
        for shift in range(7, 7 * _NUMBER_BYTES_MAX, 7):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < _MORE:
                return value
        raise ValueError(f"there are no numbers of more than {_NUMBER_BYTES_MAX} bytes")

    def blob(self) -> bytes:
        """Read bytes after their number."""
        return self.take(self.number())

    def text(self) -> str:
        """Read a text after the number of its bytes."""
        return self.blob().decode()

    def take(self, size: int) -> bytes:
        """Read so many bytes."""
        start = self.at
        self.at += size
        if self.at > len(self._data):
            raise ValueError("the bytes are cut short")
        return self._data[start : self.at]

    def rest(self) -> bytes:
        """Return what has not been read."""
        return self._data[self.at :]

    def byte(self) -> int:
        """Read one byte."""
        try:
            byte = self._data[self.at]
        except IndexError:
            raise ValueError("the bytes are cut short") from None
        self.at += 1
        return byte
