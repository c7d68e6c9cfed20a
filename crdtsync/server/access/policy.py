"""The contract between a server and whatever tells it what its users may do.

A policy that fails refuses: see `decide`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from crdtsync import events
from crdtsync.server.authentication import Identity

__all__ = [
    "ALLOWED",
    "AccessPolicy",
    "AllowAll",
    "Decision",
    "JudgedAction",
    "View",
    "decide",
    "refused",
]


View: TypeAlias = Callable[[], Mapping[str, Any]]
"""Returns a document as plain values, as it is without the action; made when it is asked for."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Yes, or no and why. It is true if it is a yes.

    Attributes:
        reason: why not: a sentence for the user. None if they may.
    """

    reason: str | None = None

    def __bool__(self) -> bool:
        return self.reason is None


ALLOWED = Decision()
"""Yes."""


def refused(reason: str) -> Decision:
    """Say no.

    >>> bool(ALLOWED), bool(refused("this board is archived"))
    (True, False)
    """
    return Decision(reason)


@dataclass(frozen=True, slots=True)
class JudgedAction:
    """An action that somebody did, and that is to stand or to be refused.

    Attributes:
        document: name of the document.
        user: who did it, as the log says.
        replica: id of the replica they did it on.
        name: what they did.
        arguments: what they did it with.
        time: when they say it was: a hybrid logical clock's, see `crdtsync.clock`.
        schema_version: of the app that wrote it.
    """

    document: str
    user: str | None
    replica: int
    name: str
    arguments: Mapping[str, Any]
    time: int
    schema_version: int


class AccessPolicy(Protocol):
    """Tells what users may do. Its methods must return soon: other connections wait meanwhile."""

    def may_read(self, user: Identity, document: str) -> Decision:
        """Tell whether a client may follow a document."""

    def may_write(self, user: Identity, document: str) -> Decision:
        """Tell whether a client may push entries to a document."""

    def judge(self, action: JudgedAction, view: View) -> Decision:
        """Tell whether an action, of somebody who may write, is to have an effect.

        A refused action is kept in the log, without effect on anybody; its author is told why.

        Args:
            action: what was done.
            view: returns the document as it is before the push that the action came with: values
                by path, such as `tasks/t1/title`. To have it, the policy says `uses_view = True`.
        """


class AllowAll:
    """Everybody who is let in may read and write everything."""

    def may_read(self, user: Identity, document: str) -> Decision:
        """Say yes."""
        return ALLOWED

    def may_write(self, user: Identity, document: str) -> Decision:
        """Say yes."""
        return ALLOWED

    def judge(self, action: JudgedAction, view: View) -> Decision:
        """Say yes."""
        return ALLOWED


def decide(ask: Callable[[], Decision]) -> Decision:
    """Ask a policy; if it fails, or does not answer with a `Decision`, the answer is no.

    What went wrong is logged. The user is told only that something did.

    >>> decide(lambda: AllowAll().may_read(Identity("ann"), "board/1"))
    Decision(reason=None)
    """
    try:
        decision = ask()
    except Exception:
        events.POLICY_FAILED.log()
    else:
        if isinstance(decision, Decision):
            return decision
        events.POLICY_UNDECIDED.log(answer=repr(decision))
    return refused("the server's access policy failed")
