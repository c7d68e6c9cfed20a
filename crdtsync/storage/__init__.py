"""Entries on disk: what the replica's store and the server's default backend have in common.

Read `file` for how a file is opened and guarded, `entries` for the one table both are built on.
"""

from crdtsync.storage.entries import EntryTable
from crdtsync.storage.file import Durability, StoreFile, open_file

__all__ = ["Durability", "EntryTable", "StoreFile", "open_file"]
