"""A device: its store, its documents, and what it still has to send.

Read `ledger` (one document's logs), `stored` (as they stand in the file), `store` (the file),
`shelf` (the documents that are open), `replica` (the whole), `bundle` (logs as files that can be
mailed) and `sql` (documents as tables). Where a log was continued in two places, `forks` finds it
and `mending` makes two of it; `merging` is how two replicas in one process give each other theirs.
"""

from crdtsync.replica.bundle import Exported, Imported
from crdtsync.replica.ledger import Ledger, Received
from crdtsync.replica.replica import Replica
from crdtsync.replica.sql import SqlView
from crdtsync.replica.stored import Missing
from crdtsync.replica.verify import Problem

__all__ = ["Exported", "Imported", "Ledger", "Missing", "Problem", "Received", "Replica", "SqlView"]
