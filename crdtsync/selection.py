"""Which documents somebody means, and how urgently: selectors, each with a priority.

A *selector* is one of

- the name of a document;
- a pattern of names, which holds a `*`, a `?` or a segment `{user}`: see `crdtsync.pattern`;
- `tag:` and a tag, for the documents that bear it: see `crdtsync.server.tags`.

A *priority* is a whole number from 0 on; what has a lower one comes first. A document that several
selectors select has the lowest of their priorities.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TypeAlias

from crdtsync.errors import ConfigurationError
from crdtsync.limits import Limits
from crdtsync.pattern import check_pattern, matches

__all__ = [
    "CHARACTERS_MAX",
    "PRIORITY",
    "PRIORITY_MAX",
    "SELECTORS_MAX",
    "TAG_PREFIX",
    "Documents",
    "Selection",
]

Documents: TypeAlias = str | Iterable[str] | Mapping[str, int]
"""A selector, several of one priority, or several with a priority each."""

PRIORITY = 100
"""The priority of documents of which nobody has said any."""
PRIORITY_MAX = 2**63 - 1
SELECTORS_MAX = 100
"""So many patterns and tags may be in one selection; names are not counted."""
CHARACTERS_MAX = 10_000
"""So long may these be altogether: each is compared with the name of every document."""
TAG_PREFIX = "tag:"

_LENGTH_MAX = Limits().name_length_max


class Selection:
    """Selectors and their priorities.

    Args:
        documents: a selector, several, or several with their priorities.
        priority: of those of which none is given.

    Raises:
        ConfigurationError: a selector is none, or there are too many.

    >>> boards = Selection({"board/*": 5, "board/urgent": 0})
    >>> boards.priority("board/urgent"), boards.priority("board/1"), boards.priority("diary")
    (0, 5, None)
    >>> Selection("tag:urgent").priority("board/1", tags={"urgent"})
    100
    """

    __slots__ = ("names", "patterns", "tags")

    def __init__(self, documents: Documents, priority: int = PRIORITY) -> None:
        self.names: dict[str, int] = {}
        self.patterns: dict[str, int] = {}
        self.tags: dict[str, int] = {}
        if isinstance(documents, str):
            documents = [documents]
        if not isinstance(documents, Mapping):
            documents = dict.fromkeys(documents, priority)
        for selector, urgency in documents.items():
            self._add(selector, urgency)
        if len(self.wide) > SELECTORS_MAX:
            raise ConfigurationError(
                f"{len(self.wide):,} patterns and tags at once; accepted are {SELECTORS_MAX}"
            )
        if sum(map(len, self.wide)) > CHARACTERS_MAX:
            raise ConfigurationError(
                f"patterns and tags of more than {CHARACTERS_MAX:,} characters altogether"
            )

    def _add(self, selector: str, priority: int) -> None:
        if not 0 <= priority <= PRIORITY_MAX:
            raise ConfigurationError(f"{selector!r}: a priority is a number from 0 to 2^63 - 1")
        if not _is_wide(selector):
            self.names[selector] = priority
            return
        if len(selector) > _LENGTH_MAX:
            raise ConfigurationError(f"a pattern or tag has at most {_LENGTH_MAX} characters")
        if selector.startswith(TAG_PREFIX):
            self.tags[selector.removeprefix(TAG_PREFIX)] = priority
        else:
            check_pattern(selector)
            self.patterns[selector] = priority

    @property
    def wide(self) -> dict[str, int]:
        """The patterns and tags, with their priorities: it takes a server to say what they are."""
        return self.patterns | {TAG_PREFIX + tag: number for tag, number in self.tags.items()}

    def priority(
        self, document: str, user: str | None = None, tags: Collection[str] = ()
    ) -> int | None:
        """Return the priority of a document; None if it is not selected.

        Args:
            document: its name.
            user: who asks.
            tags: the tags that the document bears.
        """
        found = [number for tag, number in self.tags.items() if tag in tags]
        if document in self.names:
            found.append(self.names[document])
        for pattern, number in self.patterns.items():
            if matches(pattern, document, user):
                found.append(number)
        return min(found, default=None)

    def admits(self, document: str, priority: int, user: str | None = None) -> bool:
        """Tell whether a server may name a document with a priority, in answer to this.

        Which tags a document bears is for the server to say, and who asks, where `user` is None.

        >>> Selection({"board/*": 5}).admits("diary", 5)
        False
        """
        if priority in self.tags.values():
            return True
        return any(
            number == priority and matches(pattern if user else _anyones(pattern), document, user)
            for pattern, number in self.patterns.items()
        )


def _anyones(pattern: str) -> str:
    return "/".join("*" if part == "{user}" else part for part in pattern.split("/"))


def _is_wide(selector: str) -> bool:
    return (
        selector.startswith(TAG_PREFIX)
        or not {"*", "?"}.isdisjoint(selector)
        or "{user}" in selector.split("/")
    )
