"""Documents: what an app declares, opens, reads and acts on."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar, Self, dataclass_transform

from crdtsync.codec import encode
from crdtsync.display import StateVectorView, repr_html
from crdtsync.document.access import FieldAccess
from crdtsync.document.caveats import Caveat
from crdtsync.document.change import Change
from crdtsync.document.conflict import Conflict
from crdtsync.document.declaration import FieldOptions, field, read_schema
from crdtsync.document.difference import Difference, differences
from crdtsync.document.history import ActionUpcast, Log, PastAction
from crdtsync.document.refusal import Refusal
from crdtsync.document.schema import Schema
from crdtsync.document.stack import to_redo, to_undo
from crdtsync.document.timeline import Place, Version, path_of_place, versions
from crdtsync.document.travel import Moment, past_document, vector_at
from crdtsync.document.undo import redo, undo
from crdtsync.errors import ActionError
from crdtsync.strategy import Candidate, Presence, Strategy

if TYPE_CHECKING:
    from crdtsync.document.live import LiveDocument
    from crdtsync.document.record import RecordNode

__all__ = ["Document"]

_DOCUMENT_NAMES = frozenset(
    {
        "action",
        "at",
        "can_redo",
        "can_undo",
        "candidates",
        "caveats",
        "changes",
        "conflicts",
        "diff",
        "document_name",
        "forget",
        "history",
        "log",
        "observe",
        "redo",
        "refusals",
        "replaced",
        "retry",
        "schema_version",
        "state_vector",
        "to_dict",
        "undo",
        "upcasts",
        "view_hash",
    }
)


@dataclass_transform(kw_only_default=True, field_specifiers=(field, FieldOptions))
class Document:
    """Base of an app's document classes: the unit of sharing, ordering and access.

    Declare fields as annotations, actions as methods marked with `action`. Documents are opened by
    `Replica.document`. Everything is synchronous and local: no await, no network.

    >>> from crdtsync import Document, Replica, action
    >>> class Light(Document):
    ...     on: bool = False
    ...     @action
    ...     def switch(self) -> None:
    ...         self.on = not self.on
    >>> light = Replica().document(Light, "light")
    >>> light.switch()
    >>> light.to_dict(), [entry.name for entry in light.log]
    ({'on': True}, ['switch'])
    """

    __crdtsync_declared__: ClassVar[Schema]
    __crdtsync_schema__: ClassVar[Schema]
    schema_version: ClassVar[int] = 1
    """Raise it when fields change their meaning, or their strategies."""
    upcasts: ClassVar[Mapping[int, ActionUpcast]] = {}
    """Schema version to the function that turns its actions into the next version's."""
    _live: LiveDocument
    _node: RecordNode
    _repr_html_ = repr_html

    def __init_subclass__(
        cls,
        *,
        strategy: Strategy | None = None,
        presence: Presence | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init_subclass__(**kwargs)
        cls.__crdtsync_declared__ = read_schema(
            cls, _DOCUMENT_NAMES, top=True, strategy=strategy, presence=presence, frame=1
        )
        cls.__crdtsync_schema__ = cls.__crdtsync_declared__.bind()
        for spec in cls.__crdtsync_schema__.fields.values():
            setattr(cls, spec.name, FieldAccess(spec))

    if not TYPE_CHECKING:

        def __init__(self, **_: object) -> None:
            raise TypeError(
                f"a {type(self).__name__} is opened by its replica: "
                f"replica.document({type(self).__name__}, name)"
            )

    @classmethod
    def _of(cls, live: LiveDocument) -> Any:
        document = object.__new__(cls)
        object.__setattr__(document, "_live", live)
        object.__setattr__(document, "_node", live.root)
        return document

    def __setattr__(self, name: str, value: object) -> None:
        if name not in self.__crdtsync_schema__.fields:
            raise AttributeError(self.__crdtsync_schema__.unknown(name))
        object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.document_name!r}, {len(self.log)} entries>"

    @property
    def document_name(self) -> str:
        """The name it was opened by."""
        return self._live.journal.name

    def action(self, name: str, /, **arguments: Any) -> AbstractContextManager[object]:
        """Begin an action: what its body does happens whole or not at all.

        Args:
            name: what the user does, for the log.
            arguments: with what; values that can be stored.

        Raises:
            StorageError: (at the end of the body) the log could not take it; nothing happened.
            LimitError: (likewise) it is too large; nothing happened.

        >>> from crdtsync import Document, Replica
        >>> class Trip(Document):
        ...     start: str = ""
        ...     end: str = ""
        >>> trip = Replica().document(Trip, "trip")
        >>> with trip.action("plan", by="train"):
        ...     trip.start, trip.end = "Basel", "Bern"
        >>> [(entry.name, entry.arguments) for entry in trip.log]
        [('plan', {'by': 'train'})]
        """
        return self._live.action(name, arguments)

    def undo(self) -> PastAction | None:
        """Undo the newest action done here that is not undone; return it, or None if there is none.

        Only what was done on this replica is undone, whoever uses the others. What others have done
        since stays: see `crdtsync.document.undo` for what that means for each kind of field. It is
        an action itself, named `undo`, and can be undone by `redo`, also after the document was
        closed. Actions of which nothing is left to undo are passed over.

        Raises:
            ActionError: an action is open.
            StorageError: the log could not take it; nothing happened.

        >>> from crdtsync import Document, Replica
        >>> class Note(Document):
        ...     text: str = ""
        >>> note = Replica().document(Note, "note")
        >>> note.text = "first"
        >>> note.text = "second"
        >>> note.undo().name, note.text
        ('set', 'first')
        >>> note.redo().name, note.text
        ('undo', 'second')
        """
        entry = undo(self._live)
        return None if entry is None else self.log.action(entry)

    def redo(self) -> PastAction | None:
        """Undo the newest undoing, unless something else was done since; return it, or None.

        Raises:
            ActionError, StorageError: as `undo`.
        """
        entry = redo(self._live)
        return None if entry is None else self.log.action(entry)

    @property
    def can_undo(self) -> bool:
        """Whether there is an action to undo."""
        return to_undo(self._live.journal) is not None

    @property
    def can_redo(self) -> bool:
        """Whether there is an undoing to undo."""
        return to_redo(self._live.journal) is not None

    def observe(self, callback: Callable[[Change], object]) -> Callable[[], None]:
        """Call `callback` after each change, local or remote, until what is returned is called.

        >>> from crdtsync import Document, Replica
        >>> class Note(Document):
        ...     text: str = ""
        >>> note = Replica().document(Note, "note")
        >>> cancel = note.observe(lambda change: print(change.origin, change.paths))
        >>> note.text = "first"
        local (('text',),)
        >>> cancel()
        """
        return self._live.observe(callback)

    def changes(self) -> AsyncIterator[Change]:
        """Return an asynchronous iterator over the changes from now on.

        Example::

            async for change in board.changes():
                print(change.origin, change.paths)
        """
        return self._live.changes()

    @property
    def log(self) -> Log:
        """All entries held, in the order of arrival."""
        return Log(self._live.journal, self.upcasts)

    @property
    def state_vector(self) -> dict[int, int]:
        """The highest entry number held of each replica."""
        return StateVectorView(self._live.journal.vector)

    def at(self, when: Moment) -> Self:
        """Return the document as it was at a moment. It can be read, and not be changed.

        It is of the same class, and shows what has not been deleted by then. The strategies and
        defaults are those of the class as it is now.

        Args:
            when: a `datetime` with a time zone: what had been done by then, by its authors'
                clocks; an entry, or an action of the log, or (replica, number): what its author
                saw right after it; or a state vector.

        Raises:
            LookupError: the log does not hold that.
            ValueError: the datetime has no time zone.

        >>> from crdtsync import Document, Replica
        >>> class Note(Document):
        ...     text: str = ""
        >>> note = Replica().document(Note, "note")
        >>> note.text = "first"
        >>> moment = note.state_vector
        >>> note.text = "second"
        >>> note.at(moment).text
        'first'
        """
        past: Self = self._of(past_document(self._live, vector_at(self._live, when)))
        return past

    def history(self, place: Place) -> list[Version]:
        """Return all that a field, record or text has been, in the order of arrival.

        The whole log is replayed for it: for people to look at, not for every keystroke.

        Args:
            place: a path, as text (`tasks/t1/title`) or in parts; a record; or what a field that
                is no plain one gives. The empty path is the document.

        Raises:
            SchemaError: nothing is declared there.

        >>> from crdtsync import Document, Replica
        >>> class Note(Document):
        ...     text: str = ""
        >>> note = Replica(user="ann").document(Note, "note")
        >>> note.text = "first"
        >>> note.text = "second"
        >>> [(step.before, step.value, step.user) for step in note.history("text")]
        [('', 'first', 'ann'), ('first', 'second', 'ann')]
        """
        return list(versions(self._live, self.log, path_of_place(place)))

    def diff(self, before: Moment, after: Moment | None = None) -> list[Difference]:
        """Return what differs between two moments, in the order of declaration and of keys.

        Args:
            before: a moment, as in `at`.
            after: another one; by default, now.

        Raises:
            LookupError, ValueError: as `at`.

        >>> from crdtsync import Document, Replica
        >>> class Note(Document):
        ...     text: str = ""
        >>> note = Replica().document(Note, "note")
        >>> note.text = "first"
        >>> note.diff({})[0].after
        'first'
        """
        old = self.at(before)
        new = self if after is None else self.at(after)
        return list(differences(old._node, new._node))

    def to_dict(self) -> dict[str, Any]:
        """Return the committed view as plain Python, sharing nothing with it."""
        return self._live.plain()

    def view_hash(self) -> str:
        """Return a digest of the view: equal views have equal ones, on every machine."""
        return hashlib.sha256(encode(self.to_dict())).hexdigest()

    def candidates(self, field: str) -> tuple[Candidate[Any], ...]:
        """Return the live writes to a plain field: several while replicas disagree.

        Raises:
            KeyError: there is no such plain field.
        """
        return self._node.candidates(field)

    def conflicts(self) -> list[Conflict]:
        """Return the fields that are in conflict, in the order of paths.

        Those are fields with several writes that had not seen each other, and fields in which
        records are at odds with others. Writing such a field settles it. `observe` and `changes`
        tell when conflicts arise and when they are settled.

        >>> from crdtsync import Document, Replica
        >>> class Note(Document):
        ...     text: str = ""
        >>> with Replica(user="ann") as ann, Replica(user="bob") as bob:
        ...     hers, his = ann.document(Note, "note"), bob.document(Note, "note")
        ...     hers.text, his.text = "tea", "tea, please"
        ...     ann.merge(bob)
        ...     [conflict] = hers.conflicts()
        ...     print(conflict.path, conflict.strategy, len(conflict.candidates))
        ...     his.text = "coffee"
        ...     ann.merge(bob)
        ...     print(hers.conflicts())
        ('text',) lww 2
        []
        """
        return self._live.conflicts()

    def replaced(self, conflict: Conflict, candidate: Candidate[Any]) -> Any:
        """Return what the field held when a candidate was written, as its author saw it.

        This replays the log up to there: for people to look at, not for every keystroke.

        Raises:
            LookupError: the log does not hold that entry.
        """
        seen = self._live.causality.past(candidate.replica, candidate.seq)
        past = past_document(self._live, seen | {candidate.replica: candidate.seq - 1})
        return past.view.at(conflict.path).plain()

    def refusals(self) -> list[Refusal]:
        """Return our actions that the server has refused: they have no effect any more.

        They stay here until `retry` or `forget`.
        """
        return [Refusal(entry, reason) for entry, reason in self._live.journal.refused()]

    def retry(self, refusal: Refusal) -> Any:
        """Do a refused action again, if it is a method marked with `action`; return what it does.

        Raises:
            ActionError: no method of that name did it: look at its arguments, and do it by hand.
        """
        method = getattr(type(self), refusal.name, None)
        if not getattr(method, "__crdtsync_action__", False):
            raise ActionError(
                f"action {refusal.name!r} is no method of {type(self).__name__} that could be "
                "called again; do what is to be done by hand, then forget the refusal"
            )
        result = method(self, **refusal.arguments)  # type: ignore[misc]
        self.forget(refusal)
        return result

    def forget(self, refusal: Refusal) -> None:
        """List a refused action no longer."""
        self._live.journal.forget_refused(refusal.entry)

    def caveats(self) -> list[Caveat]:
        """Return what is not read here as it was meant: nothing, in the ordinary case.

        Work under a newer version of the app's schema is held and passed on, but not shown; where
        a conflict should be decided by a strategy that is not at hand, the last write is shown.
        """
        return self._live.caveats()


Document.__crdtsync_declared__ = Document.__crdtsync_schema__ = Schema(Document, {})
