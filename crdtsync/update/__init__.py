"""A look into CRDT updates (Yjs, encoding v1), as far as we must not trust them, or not keep them.

An update is opaque to most of crdtsync: the CRDT library made it, and the CRDT library applies it.
Some things have to be known without that library, on a server too: whether reading an update would
end the process; what is left of it where its action was refused, or erased; what it is under
another author's id; who wrote what in it, where it comes from a Yjs client and several have; and
which characters of a text, or values of a list or map, are whose; and what has to be there before
it can be applied as a whole.

Read next: `crdtsync.update.reader` (the encoding), then `nesting`, `neutral`, `stripped`,
`reauthor`, `division`, `needs`, `inserted` with `coded`, and `keyed`, one for each.
"""

from __future__ import annotations

from crdtsync.update.coded import CODES, Run, code_of, coded_state, even_update
from crdtsync.update.division import Division, Part, deleting, divide
from crdtsync.update.inserted import inserted_clocks
from crdtsync.update.keyed import keyed_state
from crdtsync.update.needs import needs
from crdtsync.update.nesting import nests_too_deeply
from crdtsync.update.neutral import neutralize
from crdtsync.update.reader import NESTING_MAX
from crdtsync.update.reauthor import Moves, read_parts, reauthor
from crdtsync.update.runs import Runs
from crdtsync.update.stripped import strip
from crdtsync.update.writer import Deletion, write

__all__ = [
    "CODES",
    "NESTING_MAX",
    "Deletion",
    "Division",
    "Moves",
    "Part",
    "Run",
    "Runs",
    "code_of",
    "coded_state",
    "deleting",
    "divide",
    "even_update",
    "inserted_clocks",
    "keyed_state",
    "needs",
    "nests_too_deeply",
    "neutralize",
    "read_parts",
    "reauthor",
    "strip",
    "write",
]
