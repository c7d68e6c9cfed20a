"""Documents: what an app declares, opens, reads and acts on."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar, dataclass_transform

from crdtsync.codec import encode
from crdtsync.document.access import FieldAccess
from crdtsync.document.change import Change
from crdtsync.document.history import Log
from crdtsync.document.schema import FieldOptions, Schema, field, read_schema
from crdtsync.document.value import Conflict

if TYPE_CHECKING:
    from crdtsync.document.live import LiveDocument
    from crdtsync.document.record import RecordNode

__all__ = ["Document"]

_DOCUMENT_NAMES = frozenset(
    {
        "action",
        "at",
        "changes",
        "conflicts",
        "diff",
        "document_name",
        "history",
        "log",
        "observe",
        "redo",
        "state_vector",
        "to_dict",
        "undo",
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

    __crdtsync_schema__: ClassVar[Schema]
    schema_version: ClassVar[int] = 1
    _live: LiveDocument
    _node: RecordNode

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        schema = read_schema(cls, _DOCUMENT_NAMES, top=True, frame=1)
        cls.__crdtsync_schema__ = schema
        for spec in schema.fields.values():
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
            raise AttributeError(f"{type(self).__name__} declares no field {name!r}")
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
        """
        return self._live.action(name, arguments)

    def observe(self, callback: Callable[[Change], object]) -> Callable[[], None]:
        """Call `callback` after each change, local or remote, until what is returned is called."""
        return self._live.observe(callback)

    def changes(self) -> AsyncIterator[Change]:
        """Return an asynchronous iterator over the changes from now on."""
        return self._live.changes()

    @property
    def log(self) -> Log:
        """All entries held, in the order of arrival."""
        return Log(self._live.journal)

    @property
    def state_vector(self) -> dict[int, int]:
        """The highest entry number held of each replica."""
        return self._live.journal.vector

    def to_dict(self) -> dict[str, Any]:
        """Return the committed view as plain Python, sharing nothing with it."""
        return self._live.plain()

    def view_hash(self) -> str:
        """Return a digest of the view: equal views have equal ones, on every machine."""
        return hashlib.sha256(encode(self.to_dict())).hexdigest()

    def conflicts(self) -> list[Conflict]:
        """Return the fields with several concurrent writes; writing such a field settles it."""
        return self._live.conflicts()


Document.__crdtsync_schema__ = Schema(Document, {})
