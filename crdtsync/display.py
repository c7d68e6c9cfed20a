"""Rich displays: how a notebook is told what to show.

IPython asks what stands in a cell's last line for `_repr_html_`. Classes of all floors answer with
this one function; what it shows is made upstairs, in `crdtsync.notebook`, which is imported when
somebody looks.
"""

from __future__ import annotations

from typing import Any

__all__ = ["StateVectorView", "repr_html"]


def repr_html(self: Any) -> str:
    """Return an object as HTML, for notebooks."""
    from crdtsync.notebook import html_of  # noqa: PLC0415 - a door upstairs

    return str(html_of(self))


class StateVectorView(dict[int, int]):
    """A state vector that notebooks show as a table."""

    __slots__ = ()
    _repr_html_ = repr_html
