"""Draws the pictures of the documentation: `python -m _house.drawings` in `docs/` writes them.

Each is a function that returns an SVG, readable in light and in dark. The life of a connection is
drawn from the table that the server acts by; code hosts draw the same table themselves, as Mermaid.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable
from html import escape
from pathlib import Path

from crdtsync.server.lifecycle import TRANSITIONS, State

FOLDER = Path(__file__).parents[1]

_STYLE = """\
text { font: 15px system-ui, sans-serif; fill: #1b2733; text-anchor: middle; }
.small { font-size: 13px; fill: #44525f; }
.head { font-weight: 600; }
.left { text-anchor: start; }
.box { fill: #fff; stroke: #3d6fa5; stroke-width: 1.5; }
.panel { fill: #eaf1f8; stroke: none; }
.arrow { fill: none; stroke: #55636f; stroke-width: 1.5; marker-end: url(#tip); }
#tip path { fill: #55636f; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6ebf0; }
  .small { fill: #b3bec8; }
  .box { fill: #1b2733; stroke: #7fb0e6; }
  .panel { fill: #26333f; }
  .arrow { stroke: #a3afba; }
  #tip path { fill: #a3afba; }
}"""
_TIP = (
    '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" '
    'markerHeight="8" orient="auto-start-reverse"><path d="M0 0L10 5L0 10z"/></marker></defs>'
)


def svg(width: int, height: int, title: str, parts: Iterable[str]) -> str:
    """Put parts together to a drawing."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img">'
    )
    name = f"<title>{escape(title)}</title>"
    style = f"<style>\n{_STYLE}\n</style>"
    return "\n".join([head, name, style, _TIP, *parts, "</svg>\n"])


def words(x: float, y: float, text: str, *classes: str, columns: int = 99) -> str:
    """Write a text, its first line at `y`, in lines of so many characters at the most."""
    lines = textwrap.wrap(text, columns)
    spans = "".join(
        f'<tspan x="{x:g}" y="{y + 18 * number:g}">{escape(line)}</tspan>'
        for number, line in enumerate(lines)
    )
    return f'<text class="{" ".join(classes)}">{spans}</text>'


def box(x: float, y: float, width: float, text: str, height: float = 34) -> str:
    """Draw a box with a word in it."""
    return (
        f'<rect class="box" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6"/>'
        + words(x + width / 2, y + height / 2 + 5, text)
    )


def panel(x: float, y: float, width: float, height: float, text: str) -> str:
    """Draw what boxes stand in, with its name where no arrow runs."""
    return (
        f'<rect class="panel" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="10"/>'
        + words(x + 166, y + 22, text, "small", "left")
    )


def arrow(path: str) -> str:
    """Draw an arrow along the path of an SVG."""
    return f'<path class="arrow" d="{path}"/>'


def data_flow() -> str:
    """Draw how an action comes about, is shown, and gets to others."""
    return svg(
        480,
        632,
        "How data flows: from an action through the log to the view, and to other devices",
        [
            panel(10, 10, 460, 72, "your code"),
            box(26, 38, 130, "board.add(…)"),
            box(196, 38, 130, "board.tasks"),
            box(346, 38, 108, "observers"),
            panel(10, 112, 460, 360, "one device"),
            box(26, 146, 130, "action"),
            box(26, 208, 130, "CRDT update"),
            box(26, 270, 130, "entry"),
            box(26, 332, 130, "log: on disk"),
            box(26, 418, 130, "sync"),
            box(196, 146, 130, "view"),
            box(196, 208, 130, "CRDT"),
            box(196, 332, 130, "materialize"),
            box(346, 375, 108, "checked"),
            arrow("M91 72V146"),
            arrow("M91 180V208"),
            arrow("M91 242V270"),
            arrow("M91 304V332"),
            arrow("M76 366V418"),
            arrow("M156 349H196"),
            arrow("M261 332V242"),
            arrow("M261 208V180"),
            arrow("M261 146V72"),
            arrow("M326 163H400V72"),
            arrow("M156 435H400V409"),
            arrow("M346 392H126V366"),
            words(362, 300, "seen at once,", "small"),
            words(362, 318, "here as elsewhere", "small"),
            panel(10, 510, 460, 112, "elsewhere"),
            box(26, 538, 130, "transport"),
            box(196, 538, 130, "server"),
            box(346, 538, 108, "devices"),
            words(
                240, 604, "a durable log of each document, a cursor for each connection", "small"
            ),
            arrow("M76 452V538"),
            arrow("M106 538V452"),
            arrow("M156 548H196"),
            arrow("M196 562H156"),
            arrow("M326 548H346"),
            arrow("M346 562H326"),
        ],
    )


_FLOORS = [
    ("server", "the hub, the web application, Yjs doors, storage"),
    ("transport", "TCP, TLS, Unix sockets, WebSockets, on asyncio and trio"),
    ("sync", "the protocol: bytes in, events out; no sockets, no clock"),
    ("replica", "a device: its documents in one SQLite file"),
    ("document, storage", "live documents over the CRDT; SQLite files"),
]


def house() -> str:
    """Draw the floors, the highest on top."""
    parts = [
        '<path class="panel" d="M20 96L240 14L460 96z"/>',
        words(240, 62, "cli, notebook, testing", "head"),
        words(240, 84, "faces", "small"),
    ]
    top = 104
    for number, (name, what) in enumerate(_FLOORS):
        parts += _floor(top + 62 * number, len(_FLOORS) - number, name, what)
    ground = top + 62 * len(_FLOORS)
    parts += _floor(ground, 0, "log, clock, codec, identity, keys, errors …", "pure: no I/O")
    parts += [
        f'<rect class="panel" x="20" y="{ground + 70}" width="440" height="44" rx="6"/>',
        words(240, ground + 97, "crdtsync_strategies: stands on crdtsync.strategy alone", "small"),
    ]
    return svg(480, ground + 124, "The house: a module imports from its own floor and below", parts)


def _floor(y: int, number: int, name: str, what: str) -> list[str]:
    return [
        f'<rect class="box" x="20" y="{y}" width="440" height="56" rx="6"/>',
        words(42, y + 33, str(number), "head"),
        words(64, y + 24, name, "head", "left"),
        words(64, y + 44, what, "small", "left"),
    ]


_COLUMNS = 23
_AT = {
    State.UNKNOWN: (360, 50),
    State.ACTIVE: (150, 240),
    State.INACTIVE: (570, 240),
    State.RETIRED: (360, 520),
}
_WAYS: dict[tuple[State, State], tuple[str, float, float]] = {
    (State.UNKNOWN, State.ACTIVE): ("M300 60C220 80 170 140 160 218", 126, 76),
    (State.UNKNOWN, State.INACTIVE): ("M420 60C500 80 550 140 560 218", 594, 76),
    (State.ACTIVE, State.ACTIVE): ("M110 218C90 170 50 190 88 230", 78, 160),
    (State.ACTIVE, State.INACTIVE): ("M210 230H508", 360, 178),
    (State.INACTIVE, State.ACTIVE): ("M510 250H212", 360, 276),
    (State.INACTIVE, State.INACTIVE): ("M610 218C630 170 670 190 632 230", 642, 160),
    (State.ACTIVE, State.RETIRED): ("M140 262C140 400 210 500 298 520", 86, 430),
    (State.INACTIVE, State.RETIRED): ("M580 262C580 400 510 500 422 520", 634, 430),
    (State.RETIRED, State.ACTIVE): ("M330 498C260 450 195 370 180 264", 290, 350),
    (State.RETIRED, State.INACTIVE): ("M390 498C460 450 525 370 540 264", 430, 350),
}
"""From where to where: the arrow, and where its first line of words stands."""


def life_cycle() -> str:
    """Draw the table of a connection's life."""
    parts = []
    for (state, event), (to, action) in TRANSITIONS.items():
        way, x, y = _WAYS[state, to]
        said = textwrap.wrap(event.value, _COLUMNS)
        parts += [
            arrow(way),
            words(x, y, event.value, columns=_COLUMNS),
            words(x, y + 18 * len(said), action, "small", columns=_COLUMNS),
        ]
    parts += [box(x - 60, y - 20, 120, state.value, 40) for state, (x, y) in _AT.items()]
    return svg(720, 560, "The life of a connection: what it can be, and what changes that", parts)


DRAWINGS: dict[str, Callable[[], str]] = {
    "data-flow.svg": data_flow,
    "house.svg": house,
    "life-cycle.svg": life_cycle,
}


if __name__ == "__main__":
    for name, draw in DRAWINGS.items():
        (FOLDER / name).write_text(draw(), "utf-8")
