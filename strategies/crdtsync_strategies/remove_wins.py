"""Question: one person deletes a record while another, unaware of it, changes it. Is it gone?

Answer: yes. What somebody wanted gone stays gone, until somebody who knows of that adds it again.

Law: a record exists if and only if none of its deletions is live, a statement about a set that does
not depend on the order of arrival. Adding a record replaces the deletions that were seen; one that
was not seen stays live.

Source: Bieniusa et al., "Brief Announcement: Semantics of Eventually Consistent Replicated Sets",
DISC 2012 (the remove-wins set).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crdtsync.strategy import Candidate, Removal

__all__ = ["RemoveWins"]


class RemoveWins:
    """A deletion holds against any work that had not seen it.

    >>> RemoveWins().present([Candidate(True, 1, "ann", 2, 9)], [Removal(2, 1, 5, {1: 1})])
    False
    """

    name = "remove-wins"
    version = 1

    def present(self, writes: Sequence[Candidate[Any]], removals: Sequence[Removal], /) -> bool:
        """Tell whether there are writes and no deletions."""
        return bool(writes) and not removals
