"""Displays that follow what they show, as widgets. They need the extra `notebook`.

pip install 'crdtsync[notebook]'
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from crdtsync.document import Change, Document
from crdtsync.notebook.displays import html_of
from crdtsync.notebook.markup import Markup
from crdtsync.notebook.still import StillHTML

__all__ = ["live"]

_PAUSE_S = 0.1


def live(
    document: Document, shown: Callable[[Document], Markup] = html_of, *, pause_s: float = _PAUSE_S
) -> StillHTML:
    """Return a widget that shows a document as it is, now and after each change.

    Many changes in a row are shown once. The widget stops following when it is closed.

    Args:
        document: what to show.
        shown: how: `causal_graph`, or `lambda board: html_of(board.log)`, for example.
        pause_s: so long it waits for more changes before it shows one.

    Example::

        live(board)
    """
    widget = StillHTML(shown(document))
    waiting: list[asyncio.TimerHandle] = []

    def draw() -> None:
        waiting.clear()
        widget.value = shown(document)

    def note(_: Change) -> None:
        if waiting:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # nothing would come back to it later
            draw()
            return
        waiting.append(loop.call_later(pause_s, draw))

    forget = document.observe(note)
    close = widget.close

    def stop() -> None:
        forget()
        for timer in waiting:
            timer.cancel()
        close()

    widget.close = stop
    return widget
