"""Paths: where in a document something is, as text.

A path is its segments joined by `/`: `tasks/t1/title`. Keys may be any string, so the three
characters that mean something in a slot's key are escaped as in URLs.
"""

from __future__ import annotations

from typing import TypeAlias

__all__ = ["Path", "escape", "split", "unescape"]

Path: TypeAlias = tuple[str, ...]


def escape(segment: str) -> str:
    """Write a segment so that it holds no `/` and no `@`.

    >>> escape("50% of a/b")
    '50%25 of a%2Fb'
    """
    return segment.replace("%", "%25").replace("/", "%2F").replace("@", "%40")


def unescape(segment: str) -> str:
    """Undo `escape`."""
    return segment.replace("%40", "@").replace("%2F", "/").replace("%25", "%")


def split(path: str) -> Path:
    """Return a path's segments, unescaped."""
    return tuple(unescape(segment) for segment in path.split("/"))
