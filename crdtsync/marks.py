"""Marks: what a server may put on others' entries, and how everybody comes to agree on it.

A *refused* entry has no effect (`crdtsync.refusal`). An *erased* one has lost its content, and
deletes what it deleted (`crdtsync.document.erasure`). A *clamped* one, whose author's clock was far
ahead, counts as of the time at which the server got it. A mark changes neither an entry's hash nor
its seal; and nobody can prove that it was put there rightly.

A mark is set before the server first stores the entry, so that whoever gets it from there gets it
marked. Who had it before, from its author or from a peer, is sent it again. From then on:

- what is erased stays erased, and what is refused stays without effect, whatever comes afterwards;
- of two clamps the server's holds, and so does what it has left of an erased entry. A peer's clamp
  is taken only where there is none.

So all who have synchronized with the server hold the same. Read next: `crdtsync.envelope` (where a
clamp stands), `crdtsync.server.timekeeper` (who sets it).
"""

from __future__ import annotations

from crdtsync.log import Entry, with_clamp, with_seal

__all__ = ["reconciled"]


def reconciled(held: Entry, came: Entry, *, from_server: bool) -> Entry:
    """Return how an entry is kept that is held, and has come again with a mark.

    Args:
        held: as it is held; it is returned itself if it stays what it is.
        came: as it came, from whomever.
        from_server: its marks are those that all others go by.

    >>> from crdtsync.log import EMPTY_HEAD, EMPTY_UPDATE, make_entry
    >>> held = make_entry("board/1", 2**52, EMPTY_HEAD, 2000, "add", EMPTY_UPDATE)
    >>> came = with_clamp(held, 1000)
    >>> reconciled(held, came, from_server=True).when
    1000
    >>> reconciled(came, held, from_server=True) is came
    True
    """
    is_left = from_server and _weight(came) == _weight(held) and came.update != held.update
    kept = came if is_left or _weight(came) > _weight(held) else held
    if kept.seal is None and held.seal is not None:
        kept = with_seal(kept, held.seal)
    clamp = held.clamp
    if came.clamp is not None and (from_server or clamp is None):
        clamp = came.clamp
    return kept if kept.clamp == clamp else with_clamp(kept, clamp)


def _weight(entry: Entry) -> int:
    if entry.erasure is not None:
        return 2
    return 0 if entry.refusal is None else 1
