"""Actions: one thing a user did to one document, whole or not at all.

The body of an action stages edits. Nothing outside it sees them, nor do the CRDT, the view or the
log, until it ends without an exception. While an action is open, entries from elsewhere wait: what
the body sees stands still.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from crdtsync.document.handle import Handle
from crdtsync.document.node import Edit, Node
from crdtsync.document.record import Record
from crdtsync.errors import SchemaError

if TYPE_CHECKING:
    from crdtsync.document.live import LiveDocument

__all__ = ["Action", "NestedAction", "action", "current_action"]

P = ParamSpec("P")
T = TypeVar("T")
D = TypeVar("D")

current_action: ContextVar[Action | None] = ContextVar("crdtsync_action", default=None)
"""The action whose body is running in this task."""


class Action:
    """An open action. Use it as a context manager.

    Attributes:
        name: what the user did.
        arguments: with what.
        edits: what it means to do to each node.
        always: whether it is logged even if it changes nothing.
    """

    __slots__ = ("_live", "_outer", "_saved", "always", "arguments", "edits", "name")

    def __init__(
        self, live: LiveDocument, name: str, arguments: dict[str, Any], *, always: bool = False
    ) -> None:
        self._live = live
        self.name = name
        self.arguments = arguments
        self.always = always
        self.edits: dict[Node, Any] = {}
        self._saved: list[dict[Node, Edit | None]] = []

    def edit(self, node: Node, kind: Callable[[], Any]) -> Any:
        """Return the edit of a node, to be changed, beginning one if there is none."""
        self._save(node)
        edit = self.edits.get(node)
        if edit is None:
            edit = self.edits[node] = kind()
        return edit

    def stage(self, node: Node, edit: Edit) -> None:
        """Put an edit in place of what the action means to do to a node."""
        self._save(node)
        self.edits[node] = edit

    def save(self) -> None:
        """Remember what is staged, until `keep` or `go_back`."""
        self._saved.append({})

    def keep(self) -> None:
        """Go on with what was staged since."""
        saved = self._saved.pop()
        if self._saved:
            self._saved[-1] = saved | self._saved[-1]

    def go_back(self) -> None:
        """Forget what was staged since."""
        for node, edit in self._saved.pop().items():
            if edit is None:
                del self.edits[node]
            else:
                self.edits[node] = edit

    def _save(self, node: Node) -> None:
        if self._saved and node not in self._saved[-1]:
            edit = self.edits.get(node)
            self._saved[-1][node] = None if edit is None else edit.copy()

    def __enter__(self) -> Action:
        self._live.open_action(self)
        self._outer = current_action.get()
        current_action.set(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        current_action.set(self._outer)
        self._live.close_action(self, commit=error is None)


class NestedAction:
    """An action inside another: part of it, but with a body that may fail on its own.

    If it fails and the outer body goes on, what the inner one staged is gone.
    """

    __slots__ = ("_action",)

    def __init__(self, action: Action) -> None:
        self._action = action

    def __enter__(self) -> Action:
        self._action.save()
        return self._action

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            self._action.keep()
        else:
            self._action.go_back()


class JoinedAction:
    """A single edit inside an action: nothing to put back, since it happens whole or not at all."""

    __slots__ = ("_action",)

    def __init__(self, action: Action) -> None:
        self._action = action

    def __enter__(self) -> Action:
        return self._action

    def __exit__(self, *_: object) -> None:
        return None


def action(
    method: Callable[Concatenate[D, P], T],
) -> Callable[Concatenate[D, P], T]:
    """Make a method of a `Document` an action, logged with its name and arguments.

    Records given as arguments are logged by their keys. Called inside another action, it is part
    of that one.

    Raises:
        SchemaError: the method is asynchronous; an action happens at once.

    >>> from crdtsync import Counter, Document, Replica, action
    >>> class Poll(Document):
    ...     votes: Counter
    ...     @action
    ...     def vote(self, times: int = 1) -> None:
    ...         self.votes.increment(times)
    >>> poll = Replica().document(Poll, "poll")
    >>> poll.vote(times=2)
    >>> [(entry.name, entry.arguments) for entry in poll.log]
    [('vote', {'times': 2})]
    """
    if inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method):
        raise SchemaError(
            f"action {method.__name__!r} is asynchronous: an action happens at once; "
            "await first and act then"
        )
    name = method.__name__
    parameters = tuple(inspect.signature(method).parameters)[1:]

    @functools.wraps(method)
    def act(self: D, /, *args: P.args, **kwargs: P.kwargs) -> T:
        given = dict(zip(parameters, args, strict=False))
        given.update(kwargs)
        live: LiveDocument = self._live  # type: ignore[attr-defined]
        with live.action(name, {key: _loggable(value) for key, value in given.items()}):
            return method(self, *args, **kwargs)

    act.__crdtsync_action__ = True  # type: ignore[attr-defined]
    return act


def _loggable(value: Any) -> Any:
    if isinstance(value, Record):
        return value.key
    if isinstance(value, Handle):
        return value._node.plain()
    return value
