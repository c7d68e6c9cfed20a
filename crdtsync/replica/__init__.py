"""A device: its store, its documents, and what it still has to send.

Read `ledger` (one document's logs), `stored` (as they stand in the file), `store` (the file),
and `replica` (the whole).
"""

from crdtsync.replica.ledger import Ledger, Received
from crdtsync.replica.replica import Replica
from crdtsync.replica.stored import Missing
from crdtsync.replica.verify import Problem

__all__ = ["Ledger", "Missing", "Problem", "Received", "Replica"]
