"""The causal graph: one lane for each replica, one dot for each entry, lines to what it had seen.

Reading it: time goes to the right. An entry had seen everything from which a path of lines leads to
it; two entries without such a path are concurrent.

Source: the space-time diagrams of Lamport, "Time, Clocks, and the Ordering of Events in a
Distributed System", Communications of the ACM 21(7), 1978.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from crdtsync.document import Document, PastAction
from crdtsync.document.travel import Moment
from crdtsync.log import Entry
from crdtsync.notebook.displays import replica_places
from crdtsync.notebook.markup import Markup, join, tag
from crdtsync.notebook.theme import STYLE, lane
from crdtsync.notebook.values import cut, shown_time

__all__ = ["causal_graph", "draw"]

ENTRIES_MAX = 200
_STEP, _LANE, _LEFT, _TOP, _RADIUS = 22, 34, 110, 22, 5


def causal_graph(
    document: Document, entries_max: int = ENTRIES_MAX, *, moment: Moment | None = None
) -> Markup:
    """Draw who had seen what when they acted.

    Args:
        document: any; its newest entries are drawn.
        entries_max: how many of them.
        moment: what was there at this moment stands out, and the newest entry of each replica in
            it has a ring. As in `Document.at`.

    Raises:
        LookupError, ValueError: as `Document.at`.

    >>> from crdtsync import Document, Replica
    >>> class Light(Document):
    ...     on: bool = False
    >>> light = Replica(user="ann").document(Light, "light")
    >>> light.on = True
    >>> "<svg" in causal_graph(light)
    True
    """
    seen = None if moment is None else document.at(moment).state_vector
    return draw(document, document.log.newest(entries_max), seen)


def draw(
    document: Document,
    actions: Sequence[PastAction],
    seen: Mapping[int, int] | None,
    current: Entry | None = None,
) -> Markup:
    """Draw some actions of a document, in the order of arrival.

    Args:
        document: theirs.
        actions: which.
        seen: the state vector of the moment that stands out; None: there is none.
        current: the entry through which a line is drawn from top to bottom.
    """
    log = document.log
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
        *(_moment(spots, current, height) if current is not None else ()),
        *(line for action in actions for line in _lines(action.entry, spots, seen)),
        *(_dot(action, spots, places, seen) for action in actions),
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


def _moment(
    spots: Mapping[tuple[int, int], tuple[int, int]], current: Entry, height: int
) -> Iterator[Markup]:
    spot = spots.get((current.replica, current.seq))
    if spot is not None:
        x = spot[0]
        yield tag(
            "line", x1=x, y1=4, x2=x, y2=height - 4, stroke="var(--ink)", stroke_dasharray="3 3"
        )


def _lines(
    entry: Entry, spots: Mapping[tuple[int, int], tuple[int, int]], moment: Mapping[int, int] | None
) -> Iterator[Markup]:
    """Yield a line from each entry that this one names as seen, where that is drawn."""
    x, y = spots[entry.replica, entry.seq]
    opacity = "0.7" if _is_in(entry, moment) else "0.25"
    for replica, seq, _ in entry.dependencies:
        seen = spots.get((replica, seq))
        if seen is not None:
            bend = (seen[0] + x) // 2
            yield tag(
                "path",
                d=f"M{seen[0]} {seen[1]}C{bend} {seen[1]} {bend} {y} {x} {y}",
                fill="none",
                stroke="var(--dim)",
                stroke_opacity=opacity,
            )


def _dot(
    action: PastAction,
    spots: Mapping[tuple[int, int], tuple[int, int]],
    places: Mapping[int, int],
    moment: Mapping[int, int] | None,
) -> Markup:
    entry = action.entry
    x, y = spots[entry.replica, entry.seq]
    said = join([cut(action.name, 60), f" — entry {entry.seq:,} at ", shown_time(entry.when)])
    refused = entry.refusal is not None
    colour = lane(places[entry.replica])
    dot = tag(
        "circle",
        tag("title", said),
        cx=x,
        cy=y,
        r=_RADIUS,
        fill="none" if refused else colour,
        stroke=colour,
        stroke_width=2,
        opacity=None if _is_in(entry, moment) else "0.25",
    )
    if moment is None or moment.get(entry.replica) != entry.seq:
        return dot
    ring = tag("circle", cx=x, cy=y, r=_RADIUS + 4, fill="none", stroke="var(--ink)")
    return join([dot, ring])


def _is_in(entry: Entry, moment: Mapping[int, int] | None) -> bool:
    return moment is None or entry.seq <= moment.get(entry.replica, 0)
