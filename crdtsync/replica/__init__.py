"""A device: its store, its documents, and what it still has to send.

Read `ledger` (one document's logs), `stored` (as they stand in the file), `store` (the file),
`replica` (the whole), `bundle` (logs as files that can be mailed) and `sql` (documents as tables).
"""

from crdtsync.replica.bundle import Exported, Imported
from crdtsync.replica.ledger import Ledger, Received
from crdtsync.replica.replica import Replica
from crdtsync.replica.sql import SqlView
from crdtsync.replica.stored import Missing
from crdtsync.replica.verify import Problem

__all__ = ["Exported", "Imported", "Ledger", "Missing", "Problem", "Received", "Replica", "SqlView"]
