"""A look into CRDT updates (Yjs, encoding v1), as far as we must not trust them, or not keep them.

An update is opaque to most of crdtsync: the CRDT library made it, and the CRDT library applies it.
Three things have to be known without that library, on a server too, which never applies an update:
whether reading it would end the process, what is left of it where its action was refused, and what
it is under another author's id.

Read next: `crdtsync.update.reader` (the encoding), then `nesting`, `neutral` and `reauthor`, one
for each.
"""

from __future__ import annotations

from crdtsync.update.nesting import nests_too_deeply
from crdtsync.update.neutral import neutralize
from crdtsync.update.reader import NESTING_MAX
from crdtsync.update.reauthor import Moves, reauthor

__all__ = ["NESTING_MAX", "Moves", "nests_too_deeply", "neutralize", "reauthor"]
