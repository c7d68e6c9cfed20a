"""Conflicts: fields where replicas wrote without having seen each other, as an app sees them."""

from __future__ import annotations

from typing import Any, NamedTuple

from crdtsync.display import repr_html
from crdtsync.document.path import Path
from crdtsync.strategy import Candidate

__all__ = ["Conflict"]


class Conflict(NamedTuple):
    """A field with several live writes, or at odds with the same field of other records.

    Attributes:
        path: the field.
        candidates: the writes, ordered by (time, replica): value, author, device, time, and what
            they replaced, where the strategy has that kept (`Document.replaced` finds it always).
        chosen: the value that the field has.
        strategy: name of the strategy that chose it.
        reason: why it chose that, in a sentence.
        error: why the strategy failed and the last write was taken instead; None if it did not.
        rivals: paths of the same field in the other records concerned, where records are at odds.
    """

    path: Path
    candidates: tuple[Candidate[Any], ...]
    chosen: Any
    strategy: str
    reason: str
    error: str | None
    rivals: tuple[Path, ...] = ()

    def _repr_html_(self) -> str:
        return repr_html(self)
