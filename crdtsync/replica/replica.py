"""A replica: one device's store and the documents in it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from crdtsync import events
from crdtsync.clock import HybridLogicalClock
from crdtsync.codec import check_value
from crdtsync.display import repr_html
from crdtsync.document import Document, LiveDocument
from crdtsync.errors import ActionError, SchemaError, StorageError
from crdtsync.keys import DeviceKey
from crdtsync.limits import Limits
from crdtsync.log import Entry
from crdtsync.replica.bundle import (
    Exported,
    Imported,
    Source,
    Target,
    export_bundle,
    import_bundle,
)
from crdtsync.replica.descriptions import Descriptions
from crdtsync.replica.ledger import Ledger
from crdtsync.replica.mending import mend
from crdtsync.replica.merging import merge_document
from crdtsync.replica.shelf import Shelf
from crdtsync.replica.sql import SqlView
from crdtsync.replica.sql.layout import table_name
from crdtsync.replica.states import History
from crdtsync.replica.store import Store
from crdtsync.replica.verify import Problem, verify_ledger, verify_state
from crdtsync.selection import Documents
from crdtsync.storage import Durability

if TYPE_CHECKING:
    import ssl

    from crdtsync.transport import Connection
    from crdtsync.transport.token import Token

__all__ = ["Replica"]

D = TypeVar("D", bound=Document)


class Replica:
    """A device's copy of the documents that it shares.

    Everything here is local and synchronous, except `connect`. A replica and its documents belong
    to the thread that made it.

    Args:
        path: its file, made if there is none. Without one, nothing outlives the object.
        user: who uses the device; named in the log of every document acted on.
        durability: what an action survives: the death of the process, or the loss of power too
            (which costs a disk flush for each). Nothing is ever sent before it is safe from both.
        limits: what an entry may be.
        clock: the hybrid logical clock; made for the system's wall clock by default.
        history: what becomes of entries that are part of a snapshot and that the server holds as
            well: kept, or let go to save room. Time travel goes back as far as they do.

    Raises:
        StoreLockedError: another process has the file open.
        StoreFormatError: the file is something else.
        StorageError: it cannot be opened.

    >>> with Replica(user="ann") as replica:
    ...     replica.names()
    []
    """

    _repr_html_ = repr_html

    def __init__(
        self,
        path: str | os.PathLike[str] = ":memory:",
        user: str | None = None,
        *,
        durability: Durability = "process",
        limits: Limits | None = None,
        clock: HybridLogicalClock | None = None,
        history: History = "keep",
    ) -> None:
        if history not in {"keep", "trim"}:
            raise ValueError(f"history is 'keep' or 'trim', not {history!r}")
        if durability not in {"process", "power"}:
            raise ValueError(f"durability is 'process' or 'power', not {durability!r}")
        if not isinstance(user, str | None):
            raise TypeError(f"a user is named by a str, not by {user!r}")
        self._history: History = history
        self._open(Store(path, durability=durability), user, limits, clock)

    def _open(
        self,
        store: Store,
        user: str | None,
        limits: Limits | None,
        clock: HybridLogicalClock | None,
    ) -> None:
        self._store = store
        self.id = store.replica
        self.path = store.path
        self.user = user
        self._limits = limits or Limits()
        self._clock = clock or HybridLogicalClock()
        self._ledgers: dict[str, Ledger] = {}
        self._descriptions = Descriptions(store)
        self._shelf = Shelf(self.ledger, self._descriptions, self._show)
        self._listeners: dict[object, Callable[[str], object]] = {}
        self._sql_views: dict[str, SqlView] = {}
        self._closed = False

    @classmethod
    def open_read_only(cls, path: str | os.PathLike[str]) -> Replica:
        """Look at a store, even while another process works with it. Acting raises StorageError.

        Raises:
            StorageError: there is no store, or it cannot be read.
        """
        replica = cls.__new__(cls)
        replica._history = "keep"
        replica._open(Store(path, durability="process", read_only=True), None, None, None)
        return replica

    def document(self, cls: type[D], name: str) -> D:
        """Open a document, beginning an empty one if there is none of that name.

        Args:
            cls: what it is declared as. With `Document` itself, as it was declared when it was
                opened last.
            name: any text that is not empty.

        Raises:
            SchemaError: it is open as another class.
            TypeError: `cls` is not a Document class, or the name not a text.
            ValueError: the name is empty or too long.
        """
        _check_class(cls)
        self._check_name(name)
        return self._shelf.open(cls, name)

    def _check_name(self, name: str) -> None:
        if not isinstance(name, str):
            raise TypeError(f"a document's name is a str, not {name!r}")
        check_value(name, where="a document's name")
        if not 0 < len(name) <= self._limits.name_length_max:
            raise ValueError(
                f"a document's name has 1 to {self._limits.name_length_max} characters"
            )

    def _show(self, cls: type[Document], ledger: Ledger, live: LiveDocument) -> None:
        """Show a document that was opened in the SQL views of its class."""
        for view in self._sql_views.values():
            if view.cls is cls:
                view.attach(ledger, live)

    def names(self) -> list[str]:
        """Return the names of all documents in the store, sorted."""
        with self._store.file.errors():
            return self._store.logs.names()

    def documents(self) -> list[Any]:
        """Return the documents that are open."""
        return self._shelf.documents()

    def is_open(self, name: str) -> bool:
        """Tell whether the app has a document open."""
        return name in self._shelf

    def ledger(self, name: str) -> Ledger:
        """Return a document's logs as stored, beginning empty ones if there are none."""
        ledger = self._ledgers.get(name)
        if ledger is None:
            if self._closed:
                raise StorageError("the replica is closed", path=self.path)
            ledger = self._ledgers[name] = Ledger(
                self._store,
                name,
                clock=self._clock,
                user=self.user,
                limits=self._limits,
                appended=self._tell,
                history=self._history,
            )
            self._tell(name)
        return ledger

    def subscribe(self, callback: Callable[[str], object]) -> Callable[[], None]:
        """Call `callback` with a document's name after each local entry and each new document.

        Returns:
            A function that ends it.
        """
        token = object()
        self._listeners[token] = callback

        def cancel() -> None:
            self._listeners.pop(token, None)

        return cancel

    def _tell(self, name: str) -> None:
        for callback in list(self._listeners.values()):
            try:
                callback(name)
            except Exception:  # the action has happened, whatever a listener thinks of it
                events.LISTENER_FAILED.log(replica=f"{self.id:x}", document=name)

    def merge(self, other: Replica) -> None:
        """Exchange all documents with another replica in this process, both ways.

        If one of the two is a copy of the other, and both were worked with, this one rotates its
        id: see `rotate`.

        Raises:
            ForkError: the two hold what others wrote in two ways.
            ActionError: one of them has to rotate its id, and an action is open.
            TypeError: `other` is not a replica.

        >>> from crdtsync import Counter, Document
        >>> class Poll(Document):
        ...     votes: Counter
        >>> with Replica() as here, Replica() as there:
        ...     here.document(Poll, "poll").votes.increment()
        ...     there.document(Poll, "poll").votes.increment(2)
        ...     here.merge(there)
        ...     int(here.document(Poll, "poll").votes)
        3
        """
        if not isinstance(other, Replica):
            raise TypeError(f"a replica merges with a replica, not with {other!r}")
        for name in sorted({*self.names(), *other.names()}):
            merge_document(name, self, other)

    def owns(self, replica: int) -> bool:
        """Tell whether an id is ours, or was."""
        return replica in self._store.keys

    def rotate(self) -> None:
        """Go on under a new id and a new key, as the copy of a store has to.

        Two programs that write under one id contradict each other. Where that comes to light, in
        exchange with a server or another replica, it is called for. Nothing is lost: what was
        written under the old id is handed on as before.

        Raises:
            ActionError: an action is open: try again when it is over.
            StorageError: nothing was changed; or the replica is closed now, and knows when it is
                opened again.
        """
        self._check_no_action()
        with self._store.file.transaction(durable=True):
            self._store.rotate()
        self._go_on()

    def mend(self, name: str, replica: int, common: int) -> None:
        """Make two logs of one of ours that was continued in two places.

        Our entries behind the last common one are written anew under an id that only we have, with
        all that they did; the others' branch can be received then. If it is the log that we are
        writing, our id is rotated.

        Args:
            name: of the document.
            replica: the id of ours, or a former one, under which the log stands.
            common: number of the last entry that both branches have.

        Raises:
            ActionError: an action is open: try again when it is over.
            ForkError: it cannot be mended, or not here: what stands there is not ours.
            StorageError: as `rotate`.
        """
        self._check_no_action()
        entries = mend(self._store, self.ledger(name), self._shelf.schema(name), replica, common)
        self._go_on(name, entries)

    def _check_no_action(self) -> None:
        running = self._shelf.running()
        if running is not None:
            name, action = running
            raise ActionError(
                f"our id is to be rotated, but action {action!r} is open on document {name!r}"
            )

    def _go_on(self, mended: str | None = None, entries: Sequence[Entry] = ()) -> None:
        """Be who we are in the file now.

        Args:
            mended: the document in which entries of ours were written anew.
            entries: those.
        """
        try:
            self._store.identify()
            rotated = self.id != self._store.replica
            self.id = self._store.replica
            for name, ledger in self._ledgers.items():
                if rotated or name == mended:
                    with ledger.together():
                        ledger.begin_anew()
                        opened = self._shelf.get(name)
                        if opened is not None:
                            live: LiveDocument = opened._live
                            live.rebuild(entries) if name == mended else live.renew()
        except BaseException:
            self.close()  # what is in memory, and would be written, is not so any more
            raise
        if rotated:
            events.REPLICA_ROTATED.log(path=self.path, replica=f"{self.id:x}")
        for name in self._ledgers if rotated else [mended or ""]:
            self._tell(name)

    def export(
        self,
        document: str | None,
        target: Target,
        *,
        progress: Callable[[int, int], object] | None = None,
    ) -> Exported:
        """Write a document, or all of them, to a bundle: for backup, mail and support.

        It holds the log, sealed, and no private key. A path is written to when the bundle is
        whole, so the one that was there before is kept if anything goes wrong.

        Args:
            document: a document's name; None for the whole replica.
            target: a path, or a file that is open for writing bytes.
            progress: called with (how many entries are done, how many there are).

        Raises:
            LookupError: there is no such document.
            StorageError: the bundle could not be written, or would take the place of a store, or
                the store could not be read.

        >>> import io
        >>> from crdtsync import Document
        >>> class Note(Document):
        ...     text: str = ""
        >>> with Replica() as old, Replica() as new:
        ...     old.document(Note, "a").text = "kept"
        ...     bundle = io.BytesIO()
        ...     exported = old.export("a", bundle)
        ...     imported = new.import_(bundle.getvalue())
        ...     exported.entries, imported.new, new.document(Note, "a").text
        (1, 1, 'kept')
        """
        names = self.names()
        if document is not None:
            if document not in names:
                raise LookupError(f"{self.path} has no document {document!r}")
            names = [document]
        ledgers = [self.ledger(name) for name in names]
        return export_bundle(ledgers, self._descriptions.of, self.id, target, progress or _ignore)

    def import_(
        self, source: Source, *, progress: Callable[[int, int], object] | None = None
    ) -> Imported:
        """Take in what a bundle holds, beside what is here.

        Repeats are harmless: what was imported stays, and importing again goes on from there. A
        replica that is made anew from its own bundle has a new id, and its old log is one of those
        that it holds.

        Args:
            source: a path, the bundle's bytes, or a file that is open for reading bytes.
            progress: called with (how many entries are done, how many there are).

        Raises:
            BundleError: it is damaged or cut off, or something in it cannot be taken in. What is
                whole and proved was imported all the same.
            StorageError: the store could not take it, or the bundle not be opened.
        """
        return import_bundle(
            source, self._named_ledger, self._descriptions.learn, progress or _ignore
        )

    def _named_ledger(self, name: str) -> Ledger:
        self._check_name(name)
        return self.ledger(name)

    def sql_view(self, cls: type[Document], name: str | None = None) -> SqlView:
        """Show the documents of a class as SQL tables in this replica's file, for others to read.

        The tables are `board` and `board_tasks` for a class `Board` with a table field `tasks`.
        They are written in the same transaction as the log. Ask for the view whenever the replica
        is opened, before you act: only then are they kept up to date. It opens the documents that
        were opened as this class before; those opened later join it.

        Args:
            cls: the class.
            name: of the table of documents, if it is not to be named after the class.

        Raises:
            SchemaError: a table of that name is there already.
            StorageError: the tables could not be made.

        >>> from crdtsync import Document
        >>> class Note(Document):
        ...     text: str = ""
        >>> replica = Replica()
        >>> view = replica.sql_view(Note)
        >>> replica.document(Note, "a").text = "shown"
        >>> view.query("SELECT document FROM note WHERE text = ?", ["shown"])
        [{'document': 'a'}]
        """
        name = name or table_name(cls)
        view = self._sql_views.get(name)
        if view is not None and view.cls is cls:
            return view
        if view is not None:
            raise SchemaError(f"there is an SQL view {name!r} of another class: give it a name")
        view = SqlView(self._store, cls, name, lambda: self._sql_views.pop(name, None))
        self._sql_views[name] = view
        try:
            for member in sorted({*view.documents(), *self._described_as(cls)}):
                opened = self._shelf.get(member)
                if opened is None or self._shelf.is_classless(member):
                    self.document(cls, member)
                elif type(opened) is cls:
                    view.attach(self.ledger(member), opened._live)
        except BaseException:
            del self._sql_views[name]
            raise
        return view

    def _described_as(self, cls: type[Document]) -> list[str]:
        """Return the documents whose class looked like this one when they were opened last."""
        description = cls.__crdtsync_schema__.describe()
        return [n for n in self.names() if self._descriptions.of(self.ledger(n)) == description]

    @property
    def key(self) -> DeviceKey | None:
        """The device's key; None in a store that is only looked at and has none."""
        return self._store.key

    def connect(
        self,
        url: str,
        *,
        token: Token = None,
        documents: Documents | None = None,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | None = None,
    ) -> AbstractAsyncContextManager[Connection]:
        """Synchronize with a server for as long as the returned context lasts.

        It begins at once, with or without a server in reach: work goes on meanwhile, and the
        connection is made, and made again, whenever that is possible.

        Args:
            url: where the server is: `ws://host:port/path`, `wss://host/path`, `tcp://host:port`,
                `tls://host:port`, `unix:///path`.
            token: what proves the user: a string, or a function that gets a fresh one.
            documents: which to synchronize: names and patterns, such as `["diary", "board/*"]`, or
                these with a priority each, such as `{"board/*": 0, "**": 9}`, of which the lower
                comes first; all that the store has or will have, by default.
            ssl_context: whom to trust on an encrypted way (`wss`, `tls`); by default, whom the
                system trusts.
            proxy: the URL of an HTTP proxy; empty for none. By default WebSockets go through the
                one that the environment names (`HTTPS_PROXY`, `NO_PROXY` …).

        Raises:
            TransportError: the URL cannot be understood.

        Example::

            async with replica.connect("wss://notes.example", token=token) as connection:
                await connection.synced()
        """
        from crdtsync.transport import connect  # noqa: PLC0415 - the one door from here upstairs

        return connect(
            self, url, token=token, documents=documents, ssl_context=ssl_context, proxy=proxy
        )

    def verify(self, progress: Callable[[int], object] | None = None) -> list[Problem]:
        """Check everything stored: chains, sequences, authors, and the state against a replay.

        Whatever is in the file, what is wrong with it is returned and not raised, as far as the
        names of its documents can be read.

        Args:
            progress: called with the number of entries checked since the last call.
        """
        problems = [Problem("", None, None, message) for message in self._store.damage()]
        for name in self.names():
            try:
                ledger = self.ledger(name)
                found = verify_ledger(ledger, progress or _ignore)
            except StorageError as error:
                problems.append(Problem(name, None, None, error.reason))
                continue
            problems += found
            if not found:
                opened = self._shelf.get(name)
                live = None if opened is None else opened._live
                problems += verify_state(ledger, self._shelf.schema(name), live)
        return problems

    def close(self) -> None:
        """Close the file. Acting on a document afterwards raises ActionError."""
        if self._closed:
            return
        self._closed = True
        self._shelf.close()
        self._store.close()

    def __enter__(self) -> Replica:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Replica {self.id:x} of {self.user or 'nobody'} at {self.path}>"


def _ignore(*_: object) -> None:
    """Do nothing with it."""


def _check_class(cls: object) -> None:
    if not (isinstance(cls, type) and issubclass(cls, Document)):
        raise TypeError(f"a document is opened as a Document class, not as {cls!r}")
