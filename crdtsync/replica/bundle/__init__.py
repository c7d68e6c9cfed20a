"""Bundles: a document, or a whole replica, as one file, for backup, mail and support.

A bundle holds what the logs hold, sealed, in causal order, and what is needed to read it without
the app: the schema descriptions. It holds no private key, and of refused entries only what is left
of them. It is written and read as a stream, in memory that does not depend on its size.

Importing is receiving: every entry is checked as if it came from a server that nobody trusts, and
what is held already is passed over. So what a damaged copy gave is not lost: a sound one goes on.

Read `records` (the file, byte for byte), `exporting`, `importing`; `docs/bundles.md` for users.
"""

from crdtsync.replica.bundle.exporting import Exported, Target, export_bundle
from crdtsync.replica.bundle.importing import Imported, Source, import_bundle

__all__ = ["Exported", "Imported", "Source", "Target", "export_bundle", "import_bundle"]
