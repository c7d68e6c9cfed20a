"""SQL views: documents as ordinary SQLite tables, in the same file as their logs.

For every class there is a table with a row for each of its documents, and one for each of its
table fields with a row for each record. They are written in the transaction in which the entry is
stored that changes them, so nobody ever sees a table that is ahead of the log, or behind what the
documents show, and a crash leaves both or neither. Nothing is done here for a class that no app
asked a view of.

Read `cells` (values), `layout` (tables), `mirror` (one document's rows), `view` (a class's tables);
`docs/sql.md` for users.
"""

from crdtsync.replica.sql.view import SqlView

__all__ = ["SqlView"]
