"""HTML as a value: what is markup already, and what has to be escaped first."""

from __future__ import annotations

import html
import re

__all__ = ["Markup", "escape", "join", "tag"]

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_VOID = frozenset({"br", "circle", "hr", "line", "path", "rect"})


class Markup(str):
    """HTML that can stand in a page as it is. Notebooks show it.

    >>> Markup("<b>now</b>")._repr_html_()
    '<b>now</b>'
    """

    __slots__ = ()

    def _repr_html_(self) -> str:
        return str(self)


def escape(text: object) -> Markup:
    """Return text as HTML that shows it. Markup is returned as it is.

    >>> escape("<script>")
    '&lt;script&gt;'
    """
    if isinstance(text, Markup):
        return text
    # Bidirectional overrides stay: they are text. Control characters are in no alphabet of HTML's.
    return Markup(html.escape(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", str(text))))


def join(parts: object, between: str = "") -> Markup:
    """Return parts one after the other.

    Args:
        parts: an iterable of text and markup.
        between: markup that stands between two of them.
    """
    return Markup(between.join(map(escape, parts)))  # type: ignore[call-overload]


def tag(name: str, *children: object, **attributes: object) -> Markup:
    """Return an element.

    Args:
        name: of the element.
        children: text, which is escaped, and markup.
        attributes: `class_` for class, `stroke_width` for stroke-width; None for one left out.

    >>> tag("p", "2 < 3", tag("br"), class_="note")
    '<p class="note">2 &lt; 3<br/></p>'
    """
    said = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID and not children:
        return Markup(f"<{name}{said}/>")
    return Markup(f"<{name}{said}>{join(children)}</{name}>")
