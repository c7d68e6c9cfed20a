"""A state in which what stands at each key of a map tells its own id.

The CRDT library shows what a map holds, and not by whom; its state names the ids, and not what
counts at a key. So every value at a key is replaced by a text that tells its id. All else in the
state is deleted content of the same length (see `coded`), shared types at keys included.
"""

from __future__ import annotations

from crdtsync.update.encoding import encoded
from crdtsync.update.neutral import emptied
from crdtsync.update.reader import FLAGS, KEY, VALUES, Reader

__all__ = ["keyed_state"]

_BYTES = 3
_TEXT = b"\x01\x77"  # one value, and it is a text


def keyed_state(state: bytes) -> bytes:
    """Return a state in which the values of maps are texts: client and clock, as `5 0`.

    Args:
        state: a Yjs v1 update of a whole document.

    Raises:
        ValueError: the state cannot be read.

    >>> import pycrdt
    >>> doc = pycrdt.Doc(client_id=5)
    >>> doc["map"] = pycrdt.Map({"key": "value"})
    >>> copy = pycrdt.Doc()
    >>> copy.apply_update(keyed_state(doc.get_update()))
    >>> copy.get("map", type=pycrdt.Map).to_py()
    {'key': '5 0'}
    """
    reader = Reader(state)
    count = reader.number()
    parts = [encoded(count)]
    for _ in range(count):
        client, clock, structs = reader.section()
        parts.append(encoded(len(structs), client, clock))
        for struct in structs:
            is_value = struct.info & ~FLAGS in {VALUES, _BYTES} and struct.length == 1
            if is_value and struct.info & KEY:
                head = bytes([struct.info & FLAGS | VALUES]) + encoded(*struct.place)
                parts.append(head + _TEXT + encoded(f"{client} {clock}"))
            else:
                parts.append(emptied(struct))
            clock += struct.length
    return b"".join(parts) + reader.rest()
