"""Tags: words that the server's application attaches to documents, for queries to select by.

Where they come from is the application's affair: a table of its own, the name of the document, its
last editor. It gives the server a function from a document's name to its tags, which is asked when
a client queries by tags; after a change it says `hub.retagged(document)`. A tag opens no door: only
what a user may read is named to them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeAlias

from crdtsync import events

__all__ = ["Tags", "no_tags", "tags_of"]

Tags: TypeAlias = Callable[[str], Collection[str]]
"""Returns the tags of a document. It must return soon: other connections wait meanwhile."""


def no_tags(document: str) -> Collection[str]:
    """Return none, for any document."""
    return ()


def tags_of(ask: Tags, document: str) -> frozenset[str]:
    """Ask for the tags of a document; where that fails it has none, and the failure is logged.

    >>> tags_of(lambda document: {"urgent"} if document == "board/1" else (), "board/1")
    frozenset({'urgent'})
    """
    try:
        found = ask(document)
        if not isinstance(found, str):
            return frozenset(found)
    except Exception:
        events.TAGS_FAILED.log(document=document)
    else:
        events.TAGS_UNTOLD.log(document=document)
    return frozenset()
