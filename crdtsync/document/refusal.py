"""Refusals: actions that a server has refused, as their author sees them."""

from __future__ import annotations

from typing import Any, NamedTuple

from crdtsync.log import Entry

__all__ = ["Refusal"]


class Refusal(NamedTuple):
    """An action of ours that was refused.

    Attributes:
        entry: the entry as it was.
        reason: why, as the server says.
    """

    entry: Entry
    reason: str

    @property
    def name(self) -> str:
        """What was done."""
        return self.entry.name

    @property
    def arguments(self) -> dict[str, Any]:
        """With what."""
        return self.entry.arguments
