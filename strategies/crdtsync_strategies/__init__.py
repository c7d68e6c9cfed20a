"""The bundled conflict strategies, one module each. Import them from `crdtsync.strategies`."""

from crdtsync_strategies.add_wins import AddWins
from crdtsync_strategies.custom import CustomStrategy, resolver
from crdtsync_strategies.first_writer_wins import FirstWriterWins
from crdtsync_strategies.keep_all import KeepAll
from crdtsync_strategies.last_writer_wins import LastWriterWins
from crdtsync_strategies.maximum import Maximum
from crdtsync_strategies.merge import Merge
from crdtsync_strategies.minimum import Minimum
from crdtsync_strategies.order import Order
from crdtsync_strategies.ranked import Ranked
from crdtsync_strategies.remove_wins import RemoveWins
from crdtsync_strategies.tree import Tree
from crdtsync_strategies.unique import Unique

__all__ = [
    "AddWins",
    "CustomStrategy",
    "FirstWriterWins",
    "KeepAll",
    "LastWriterWins",
    "Maximum",
    "Merge",
    "Minimum",
    "Order",
    "Ranked",
    "RemoveWins",
    "Tree",
    "Unique",
    "resolver",
]
