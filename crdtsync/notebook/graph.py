"""The causal graph: one lane for each replica, one dot for each entry, lines to what it had seen.

Reading it: time goes to the right. An entry had seen everything from which a path of lines leads to
it; two entries without such a path are concurrent.

Source: the space-time diagrams of Lamport, "Time, Clocks, and the Ordering of Events in a
Distributed System", Communications of the ACM 21(7), 1978.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from crdtsync.document import Document, PastAction
from crdtsync.log import Entry
from crdtsync.notebook.displays import replica_places
from crdtsync.notebook.markup import Markup, join, tag
from crdtsync.notebook.theme import STYLE, lane
from crdtsync.notebook.values import cut, shown_time

__all__ = ["causal_graph"]

ENTRIES_MAX = 200
_STEP, _LANE, _LEFT, _TOP, _RADIUS = 22, 34, 110, 22, 5


def causal_graph(document: Document, entries_max: int = ENTRIES_MAX) -> Markup:
    """Draw who had seen what when they acted.

    Args:
        document: any; its newest entries are drawn.
        entries_max: how many of them.

    >>> from crdtsync import Document, Replica
    >>> class Light(Document):
    ...     on: bool = False
    >>> light = Replica(user="ann").document(Light, "light")
    >>> light.on = True
    >>> "<svg" in causal_graph(light)
    True
    """
    log = document.log
    actions = log.newest(entries_max)
    places = replica_places(log)
    shown = sorted({action.entry.replica for action in actions}, key=places.__getitem__)
    rows = {replica: _TOP + row * _LANE for row, replica in enumerate(shown)}
    spots = {
        (action.entry.replica, action.entry.seq): (
            _LEFT + column * _STEP,
            rows[action.entry.replica],
        )
        for column, action in enumerate(actions)
    }
    width = _LEFT + len(actions) * _STEP + _STEP
    height = _TOP * 2 + max(0, len(shown) - 1) * _LANE
    title = f"Causal graph of {document.document_name}: {len(actions):,} of {len(log):,} entries"
    drawn = tag(
        "svg",
        tag("title", title),
        *_lanes(shown, rows, places, log.user_of, width),
        *(line for action in actions for line in _lines(action.entry, spots)),
        *(_dot(action, spots, places) for action in actions),
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        role="img",
    )
    return tag("div", STYLE, tag("div", title, class_="dim"), drawn, class_="crdtsync")


def _lanes(
    replicas: Sequence[int],
    rows: dict[int, int],
    places: dict[int, int],
    user_of: Callable[[int], str | None],
    width: int,
) -> Iterator[Markup]:
    for replica in replicas:
        y = rows[replica]
        name = f"{cut(user_of(replica) or '?', 10)} {replica & 0xFFFF:04x}"
        yield tag("text", name, x=0, y=y + 4)
        yield tag(
            "line",
            x1=_LEFT - 10,
            y1=y,
            x2=width,
            y2=y,
            stroke=lane(places[replica]),
            stroke_opacity="0.35",
            stroke_width=2,
        )


def _lines(entry: Entry, spots: dict[tuple[int, int], tuple[int, int]]) -> Iterator[Markup]:
    """Yield a line from each entry that this one names as seen, where that is drawn."""
    x, y = spots[entry.replica, entry.seq]
    for replica, seq, _ in entry.dependencies:
        seen = spots.get((replica, seq))
        if seen is not None:
            bend = (seen[0] + x) // 2
            yield tag(
                "path",
                d=f"M{seen[0]} {seen[1]}C{bend} {seen[1]} {bend} {y} {x} {y}",
                fill="none",
                stroke="var(--dim)",
                stroke_opacity="0.7",
            )


def _dot(
    action: PastAction, spots: dict[tuple[int, int], tuple[int, int]], places: dict[int, int]
) -> Markup:
    entry = action.entry
    x, y = spots[entry.replica, entry.seq]
    said = join([cut(action.name, 60), f" — entry {entry.seq:,} at ", shown_time(entry.when)])
    refused = entry.refusal is not None
    return tag(
        "circle",
        tag("title", said),
        cx=x,
        cy=y,
        r=_RADIUS,
        fill="none" if refused else lane(places[entry.replica]),
        stroke=lane(places[entry.replica]),
        stroke_width=2,
    )
