"""Rich displays for notebooks: documents, logs, conflicts and state vectors, as people see them.

Most of it needs no call: what stands in a cell's last line is shown. `show` is for what is a plain
Python object, `causal_graph` draws who had seen what, and `crdtsync.notebook.live` follows a
document as it changes (it needs the extra `notebook`).

Everything that is shown is escaped and bounded: a hostile title is text, and a document of a
million records is a table of fifty, with a count.
"""

from crdtsync.notebook.displays import html_of, show
from crdtsync.notebook.graph import causal_graph
from crdtsync.notebook.markup import Markup

__all__ = ["Markup", "causal_graph", "html_of", "show"]
