"""Documents: declared by class, acted on at once, materialized from their log.

Read `schema` (what is declared), `node` (the materialized state), `action` (what changes it),
`live` (how a change reaches the CRDT, the log and the view), in this order.
"""

from crdtsync.document.action import action
from crdtsync.document.authors import Authored
from crdtsync.document.caveats import Caveat
from crdtsync.document.change import Change
from crdtsync.document.column import Column
from crdtsync.document.conflict import Conflict
from crdtsync.document.counter import Counter
from crdtsync.document.declaration import field
from crdtsync.document.described import check_kinds, described_document, is_description
from crdtsync.document.difference import Difference
from crdtsync.document.document import Document
from crdtsync.document.editing import TextStep
from crdtsync.document.history import Log, PastAction
from crdtsync.document.journal import Journal, Snapshot
from crdtsync.document.lists import List
from crdtsync.document.live import LiveDocument
from crdtsync.document.maps import Map
from crdtsync.document.node import Node
from crdtsync.document.record import Record, RecordNode
from crdtsync.document.rich_text import RichText
from crdtsync.document.schema import FieldSpec, Schema
from crdtsync.document.sets import Set
from crdtsync.document.table import Table
from crdtsync.document.text import Text
from crdtsync.document.timeline import Version

__all__ = [
    "Authored",
    "Caveat",
    "Change",
    "Column",
    "Conflict",
    "Counter",
    "Difference",
    "Document",
    "FieldSpec",
    "Journal",
    "List",
    "LiveDocument",
    "Log",
    "Map",
    "Node",
    "PastAction",
    "Record",
    "RecordNode",
    "RichText",
    "Schema",
    "Set",
    "Snapshot",
    "Table",
    "Text",
    "TextStep",
    "Version",
    "action",
    "check_kinds",
    "described_document",
    "field",
    "is_description",
]
