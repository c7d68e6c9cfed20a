"""The bundled conflict strategies, one module each. Import them from `crdtsync.strategies`."""

from crdtsync_strategies.add_wins import AddWins
from crdtsync_strategies.custom import CustomStrategy, resolver
from crdtsync_strategies.keep_all import KeepAll
from crdtsync_strategies.last_writer_wins import LastWriterWins

__all__ = ["AddWins", "CustomStrategy", "KeepAll", "LastWriterWins", "resolver"]
