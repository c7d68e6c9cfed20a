"""A look into CRDT updates (Yjs, encoding v1), as far as we must not trust them, or not keep them.

An update is opaque to most of crdtsync: the CRDT library made it, and the CRDT library applies it.
Some things have to be known without that library, on a server too, which applies no update:
whether reading one would end the process, and what is left of it if its action was refused, or
erased.

Read next: `crdtsync.update.reader` (the encoding), then `nesting`, `neutral`, `stripped`, one for
each.
"""

from __future__ import annotations

from crdtsync.update.nesting import nests_too_deeply
from crdtsync.update.neutral import neutralize
from crdtsync.update.reader import NESTING_MAX
from crdtsync.update.stripped import strip

__all__ = ["NESTING_MAX", "nests_too_deeply", "neutralize", "strip"]
