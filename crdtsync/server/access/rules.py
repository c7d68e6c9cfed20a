"""Access by the names of documents: each rule grants something, and nothing takes it away again.

What no rule grants is refused, and the order of the rules does not matter: a user may do what the
most generous of the rules for them says. Whoever may write may read.
Read next: `crdtsync.pattern`.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from crdtsync.errors import ConfigurationError
from crdtsync.pattern import check_pattern, matches
from crdtsync.server.access.policy import ALLOWED, Decision, JudgedAction, View, refused
from crdtsync.server.authentication import Identity

__all__ = ["Judge", "Level", "PatternPolicy", "Rule"]

Judge: TypeAlias = Callable[[JudgedAction, View], Decision]
"""Judges single actions: see `AccessPolicy.judge`."""


class Level(enum.IntEnum):
    """How much a rule grants. Each level holds those below it."""

    READ = 1
    WRITE = 2


@dataclass(frozen=True, slots=True)
class Rule:
    """Grants some users access to some documents.

    Attributes:
        level: how much it grants.
        documents: patterns of the documents' names, see `crdtsync.pattern`.
        users: for these users, by name,
        groups: and for all users of these groups,
        everybody: and for whoever was let in, those without a name included.

    Raises:
        ConfigurationError: a pattern is none, or the rule is for no document or for nobody.
    """

    level: Level
    documents: tuple[str, ...]
    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    everybody: bool = False

    def __post_init__(self) -> None:
        for pattern in self.documents:
            check_pattern(pattern)
        if not self.documents:
            raise ConfigurationError("a rule for no document")
        if not (self.users or self.groups or self.everybody):
            raise ConfigurationError("a rule for nobody: name users or groups, or say everybody")

    def grants(self, level: Level, user: str | None, groups: Iterable[str], document: str) -> bool:
        """Tell whether the rule lets a user of these groups do something to a document."""
        return (
            self.level >= level
            and (self.everybody or user in self.users or not self.groups.isdisjoint(groups))
            and any(matches(pattern, document, user) for pattern in self.documents)
        )


class PatternPolicy:
    """Grants what its rules grant.

    Args:
        rules: the rules, in any order.
        judge: judges single actions of those who may write; without it, all stand.
        groups_claim: the claim of an `Identity` that lists the user's groups.

    >>> policy = PatternPolicy([
    ...     Rule(Level.READ, ("public/**",), everybody=True),
    ...     Rule(Level.WRITE, ("home/{user}/**",), everybody=True),
    ...     Rule(Level.WRITE, ("public/**",), groups=frozenset({"editors"})),
    ... ])
    >>> ann = Identity("ann", claims={"groups": ["editors"]})
    >>> bool(policy.may_write(ann, "public/news")), bool(policy.may_write(ann, "home/ann/diary"))
    (True, True)
    >>> policy.may_read(Identity("bob"), "home/ann/diary").reason
    'no rule lets you read this document'
    """

    def __init__(
        self,
        rules: Iterable[Rule],
        *,
        judge: Judge | None = None,
        groups_claim: str = "groups",
    ) -> None:
        self.rules = tuple(rules)
        self._judge = judge
        self._groups_claim = groups_claim

    def may_read(self, user: Identity, document: str) -> Decision:
        """Tell whether a rule grants it."""
        if self._grants(Level.READ, user, document):
            return ALLOWED
        return refused("no rule lets you read this document")

    def may_write(self, user: Identity, document: str) -> Decision:
        """Tell whether a rule grants it."""
        if self._grants(Level.WRITE, user, document):
            return ALLOWED
        return refused("no rule lets you write this document")

    def judge(self, action: JudgedAction, view: View) -> Decision:
        """Pass the question on."""
        return ALLOWED if self._judge is None else self._judge(action, view)

    def _grants(self, level: Level, user: Identity, document: str) -> bool:
        claimed = user.claims.get(self._groups_claim)
        listed = claimed if isinstance(claimed, list) else []
        groups = [group for group in listed if isinstance(group, str)]
        return any(rule.grants(level, user.user, groups, document) for rule in self.rules)
