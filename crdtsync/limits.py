"""Named limits on what one entry and one log may be. Wire limits are in `crdtsync.sync.limits`."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What an entry may be at the most, when it is written and when it comes in.

    What is stored already is read whatever the limits are.

    Attributes:
        entry_bytes_max: an encoded entry. Below 512 KiB, so that every storage engine can hold it.
        name_length_max: characters in an action's name and in a document's name.
        argument_bytes_max: an action's encoded arguments, when it is written.
        depth_max: nesting of lists and dicts in one value.
        held_entries_max: entries that wait for their causal past, per document.
        held_bytes_max: the same in bytes.
        clone_bytes_max: a document's clone, encoded.
    """

    entry_bytes_max: int = 480 * 1024
    name_length_max: int = 512
    argument_bytes_max: int = 64 * 1024
    depth_max: int = 32
    held_entries_max: int = 10_000
    held_bytes_max: int = 16 * 1024 * 1024
    clone_bytes_max: int = 1024 * 1024 * 1024
