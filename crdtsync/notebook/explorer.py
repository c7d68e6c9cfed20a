"""The log explorer: a document at every moment of its log, as a widget.

It needs the extra `notebook`: pip install 'crdtsync[notebook]'
"""

from __future__ import annotations

import ipywidgets

from crdtsync.document import Document, PastAction
from crdtsync.notebook.authorship import authorship
from crdtsync.notebook.displays import replica_html, replica_places
from crdtsync.notebook.graph import draw
from crdtsync.notebook.markup import Markup, join, tag
from crdtsync.notebook.still import StillBox
from crdtsync.notebook.theme import STYLE
from crdtsync.notebook.values import clock_time, value_html

__all__ = ["ARRIVED", "SEEN", "LogExplorer", "explore"]

ENTRIES_MAX = 10_000
ARRIVED, SEEN = "as it arrived here", "as its author saw it"
_DRAWN_BEFORE, _DRAWN_AFTER = 28, 12
_PLAY_MS = 800


class LogExplorer(StillBox):
    """A slider over a log, and the document as it was there. Made by `explore`.

    Attributes:
        slider: how many of the entries are in; the last of them is the moment.
        side: ARRIVED: all that had arrived here by then; SEEN: what its author saw right after it.
        still: what is shown.
    """

    def __init__(self, document: Document, entries_max: int) -> None:
        self._document = document
        self._actions = document.log.newest(entries_max)
        self._places = replica_places(document.log)
        self._begin = dict(document.state_vector)
        for action in reversed(self._actions):
            self._begin[action.entry.replica] = action.entry.seq - 1
        count = len(self._actions)
        self.slider = ipywidgets.IntSlider(
            count, 0, count, description="entries", layout={"width": "360px"}
        )
        self.side = ipywidgets.ToggleButtons(
            options=[ARRIVED, SEEN], style={"button_width": "auto"}
        )
        play = ipywidgets.Play(count, min=0, max=count, interval=_PLAY_MS)
        ipywidgets.jslink((play, "value"), (self.slider, "value"))
        self._shown = ipywidgets.HTML()
        super().__init__([ipywidgets.HBox([play, self.slider, self.side]), self._shown])
        self.slider.observe(self._show, "value")
        self.side.observe(self._show, "value")
        self._show()

    def _show(self, _: object = None) -> None:
        count = self.slider.value
        author_saw = self.side.value == SEEN
        self.still = self._at(count, author_saw=author_saw)
        self._shown.value = self.still

    def _at(self, count: int, *, author_saw: bool) -> Markup:
        """Return the document as it was when so many entries were in."""
        document, actions = self._document, self._actions
        action = actions[count - 1] if count else None
        now = self._arrived(count)
        before = self._arrived(count - 1) if count else now
        if action is not None and author_saw:
            now = document.at(action).state_vector
            before = {**now, action.entry.replica: action.entry.seq - 1}
        changed = [difference.path for difference in document.diff(before, now)]
        drawn = actions[max(0, count - _DRAWN_BEFORE) : count + _DRAWN_AFTER]
        return join(
            [
                self._caption(count, action),
                draw(document, drawn, now, None if action is None else action.entry),
                authorship(document.at(now), changed=changed, places=self._places),
            ]
        )

    def _arrived(self, count: int) -> dict[int, int]:
        """Return the state vector of the first entries."""
        entries = (action.entry for action in self._actions[:count])
        return self._begin | {entry.replica: entry.seq for entry in entries}

    def _caption(self, count: int, action: PastAction | None) -> Markup:
        of = f"{count:,} of {len(self._actions):,} entries"
        if action is None:
            return tag(
                "div",
                STYLE,
                tag("span", f"{of}: before the first", class_="dim"),
                class_="crdtsync",
            )
        entry = action.entry
        user = self._document.log.user_of(entry.replica)
        who = replica_html(entry.replica, user, self._places[entry.replica])
        arguments = (
            join([f"{name}=", value_html(found)]) for name, found in action.arguments.items()
        )
        did = join([tag("span", action.name, class_="title"), "(", join(arguments, ", "), ")"])
        where = tag("span", f"{of}: ", class_="dim")
        return tag(
            "div",
            STYLE,
            where,
            who,
            " did ",
            did,
            " at ",
            clock_time(entry.when),
            class_="crdtsync",
        )


def explore(document: Document, *, entries_max: int = ENTRIES_MAX) -> LogExplorer:
    """Return a widget to walk through a document's log, as it is now.

    A slider goes from entry to entry, in the order of arrival. At each it shows what was done, by
    whom and when; the causal graph, in which what was there stands out; and the document as it was,
    with who wrote what, and a mark at what the entry changed. A switch shows instead what the
    entry's author saw: in the graph, what was done meanwhile elsewhere is pale.

    Args:
        document: any.
        entries_max: how many of its newest entries can be walked through.

    Example::

        explore(board)
    """
    return LogExplorer(document, entries_max)
