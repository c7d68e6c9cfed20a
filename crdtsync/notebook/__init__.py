"""Rich displays for notebooks: documents, logs, conflicts and state vectors, as people see them.

Most of it needs no call: what stands in a cell's last line is shown. `show` is for what is a plain
Python object, `tabulate` for rows of any. `authorship` tells who wrote what stands in a document,
and `causal_graph` draws who had seen what. `Background` keeps connections open from cell to cell.
Two modules give widgets, which need the extra `notebook`: `crdtsync.notebook.live` follows a
document as it changes, and `crdtsync.notebook.explorer` walks through its log.

Everything that is shown is escaped and bounded: a hostile title is text, and a document of a
million records is a table of fifty, with a count.
"""

from crdtsync.notebook.authorship import authorship
from crdtsync.notebook.background import Background
from crdtsync.notebook.displays import html_of, show, tabulate
from crdtsync.notebook.graph import causal_graph
from crdtsync.notebook.markup import Markup

__all__ = ["Background", "Markup", "authorship", "causal_graph", "html_of", "show", "tabulate"]
