"""Storage engines for the server, all behind the contract of `crdtsync.server.backend`.

`SqliteBackend` is the default: one file, one process. `MemoryBackend` forgets everything when it
is closed, needs no thread, and says in a page what every backend has to do.
"""

from crdtsync.server.backends.memory import MemoryBackend
from crdtsync.server.backends.sqlite import SqliteBackend

__all__ = ["MemoryBackend", "SqliteBackend"]
