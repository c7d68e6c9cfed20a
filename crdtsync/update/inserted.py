"""Which clocks of an update are characters of texts and values of lists."""

from __future__ import annotations

from collections.abc import Iterator

from crdtsync.update.reader import FLAGS, KEY, STRING, VALUES, Reader

__all__ = ["inserted_clocks"]


def inserted_clocks(update: bytes) -> Iterator[int]:
    """Yield the clocks of what an entry's update put into texts and lists, in order.

    Raises:
        ValueError: the update cannot be read.

    >>> import pycrdt
    >>> doc = pycrdt.Doc(client_id=1)
    >>> doc["map"] = pycrdt.Map({"key": "value"})
    >>> doc["text"] = pycrdt.Text("four")
    >>> list(inserted_clocks(doc.get_update()))
    [1, 2, 3, 4]
    """
    reader = Reader(update)
    for _ in range(reader.number()):
        _, clock, structs = reader.section()
        for struct in structs:
            if struct.info & ~FLAGS in {STRING, VALUES} and not struct.info & KEY:
                yield from range(clock, clock + struct.length)
            clock += struct.length
