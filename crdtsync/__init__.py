"""crdtsync: share data between Python applications.

Every action is written to a local log, shown at once, and synchronized when a server is in reach.
Begin with `Replica` and `Document`; strategies are in `crdtsync.strategies`, all errors in
`crdtsync.errors`.
"""

from crdtsync.document import (
    Authored,
    Caveat,
    Change,
    Conflict,
    Counter,
    Difference,
    Document,
    List,
    Map,
    PastAction,
    Record,
    RichText,
    Set,
    Table,
    Text,
    TextStep,
    Version,
    action,
    field,
)
from crdtsync.replica import Replica

__all__ = [
    "Authored",
    "Caveat",
    "Change",
    "Conflict",
    "Counter",
    "Difference",
    "Document",
    "List",
    "Map",
    "PastAction",
    "Record",
    "Replica",
    "RichText",
    "Set",
    "Table",
    "Text",
    "TextStep",
    "Version",
    "action",
    "field",
]
