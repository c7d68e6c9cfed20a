"""The dealings between a replica and a server in one session, without I/O.

Couples a replica to a `ClientProtocol`: what arrives is handed to the ledgers in whole batches,
what the server lacks is pushed from them. The ledgers are the queues: nothing is kept here but one
`Follower` per document. Everything is done in bounded blocks, so that a driver can let the
application's event loop breathe in between:

- `receive` takes one frame; `settle` ends a turn of receiving;
- `work` does one block of sending, and says whether there is more to do at once;
- `tick` is called at each ping interval.

A bad document is given up (`failed`), the others go on. Where it may be a log of ours that does
not fit, because a copy of the store has gone on with it, the document is asked for once more, as if
we held nothing of our own: then what comes shows where the log forks, and the replica mends it. If
its id is another one after that, this session ends. StorageError goes through to the driver:
without a store there is nothing to synchronize.
"""

from __future__ import annotations

import datetime
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from importlib import metadata
from itertools import islice

from crdtsync import telemetry
from crdtsync.clock import AHEAD_MAX_MS
from crdtsync.errors import (
    ActionError,
    BrokenChainError,
    CloneError,
    EntryError,
    ForkError,
    LocalProtocolError,
    RefusedError,
    RemoteProtocolError,
)
from crdtsync.keys import sign_challenge
from crdtsync.log import Cursor
from crdtsync.sync import ClientProtocol
from crdtsync.sync.frames import (
    Challenge,
    Complete,
    Entries,
    Failed,
    Frame,
    Goodbye,
    Heads,
    Ping,
    Receipt,
    Renewed,
    Selected,
    Shown,
    SnapshotPart,
    Standing,
    Subscribed,
    Subscriptions,
    Welcome,
)
from crdtsync.telemetry import BEHIND, ENTRIES, UNACKNOWLEDGED
from crdtsync.transport.follower import Follower
from crdtsync.transport.ports import ReplicaPort
from crdtsync.transport.presence import Presences
from crdtsync.transport.queries import Queries
from crdtsync.transport.status import ConnectionEvent
from crdtsync.transport.turns import Turns

__all__ = ["Exchange", "client_id"]

BATCH_BYTES_MAX = 256 * 1024  # of small Entries frames that are stored in one transaction
PUSH_BYTES_MAX = 128 * 1024
DOCUMENTS_PER_BLOCK = 50
CHECKED_PER_TICK = 20
ADVANCE_MAX = 100  # offsets that a cursor may be ahead of the stored one

_STANDING_EVENTS = {"active": "activated", "inactive": "downgraded", "retired": "retired"}
_FORKED = frozenset({"fork", "chain"})
"""Codes of a document's end after which it is seen whether a log of ours forks."""

_SOFTWARE = f"crdtsync/{metadata.version('crdtsync')}"


def client_id(replica: int) -> bytes:
    """Return the id of this client installation: a store is one, and its replica id names it.

    So two copies of a store are one client until one of them rotates its id.
    """
    return replica.to_bytes(16, "big")


class Exchange:
    """One session of one replica.

    Args:
        replica: whose documents.
        protocol: a new one.
        server: the name by which we know the server.
        queries: what to follow, and what is asked about it.
        publish: is told what the application should know.
        presences: those of the connection; new ones by default.

    Attributes:
        followers: what is known of each document.
        goodbye: the server's, once it has come.
        welcomed: whether the server has let us in.
        standing: what the server has said that we are to it.
        expires: Unix time, by our clock, by which a fresh token must have come; None: never.
        mended: how many logs were mended.
        presences: what is shown of us, and seen of others.
    """

    def __init__(
        self,
        replica: ReplicaPort,
        protocol: ClientProtocol,
        server: str,
        queries: Queries,
        publish: Callable[[ConnectionEvent], None],
        presences: Presences | None = None,
    ) -> None:
        self.followers: dict[str, Follower] = {}
        self.goodbye: Goodbye | None = None
        self.welcomed = False
        self.standing: Standing | None = None
        self.expires: float | None = None
        self.mended = 0
        self._own, self._key = replica.id, replica.key
        self._postponed = False
        self._server = server
        self._server_ahead_s = 0.0
        self._replica = replica
        self._protocol = protocol
        self._queries = queries
        self._publish = publish
        self.presences = presences or Presences(replica.owns)
        self._epoch = b""
        self._touched = Turns()  # documents that are new or have grown
        self._checks: dict[str, None] = {}  # documents to be checked
        self._pushes: dict[str, None] = {}  # documents with something to push, in turn
        self._inbox: list[Entries] = []  # of one document
        self._inbox_bytes = 0
        self._dirty: set[str] = set()  # documents with a receipt to be stored
        self._named = False  # what our user's other connection follows was named, if it is to be
        self._reported = False  # the server was told how far we hold all that we follow
        self._rotation: deque[str] = deque()  # documents, those checked longest ago first

    @property
    def outdated(self) -> bool:
        """Whether the replica goes on under another id than the one that it told the server."""
        return self._replica.id != self._own

    # In.

    def greet(self, token: str | None) -> None:
        """Say Hello."""
        self._own, self._key = self._replica.id, self._replica.key
        self._protocol.hello(
            client=client_id(self._own),
            replica=self._own,
            user=self._replica.user,
            token=token,
            key=None if self._key is None else self._key.public,
            software=_SOFTWARE,
        )

    def renew(self, token: str) -> None:
        """Show the server a fresh token."""
        self.expires = None  # until it says
        self._protocol.renew(token)

    def receive(self, payload: bytes) -> None:
        """Take one frame from the server.

        Raises:
            RemoteProtocolError: the server broke the protocol.
            StorageError: what came could not be stored.
        """
        for event in self._protocol.receive(payload):
            if isinstance(event, Entries):
                self._gather(event)
                continue
            self._store_inbox()
            if isinstance(event, SnapshotPart):
                self._on_part(event)
            elif not self._is_stale(event) and not self.outdated:
                self._handle(event)

    def settle(self) -> None:
        """End a turn of receiving: store what was gathered."""
        self._store_inbox()
        if self.outdated:
            return
        for name in self._dirty:
            follower = self.followers[name]
            if follower.live and follower.doubt is None:
                follower.ledger.acknowledge(follower.theirs)
        self._dirty.clear()

    def _gather(self, frame: Entries) -> None:
        inbox = self._inbox
        if inbox and (
            inbox[0].document != frame.document or self._inbox_bytes + frame.size > BATCH_BYTES_MAX
        ):
            self._store_inbox()
        follower = self.followers.get(frame.document)
        if follower is None or not follower.live:  # it was given up, or asked for anew, just now
            self._protocol.returned(frame.size)
            return
        self._inbox.append(frame)
        self._inbox_bytes += frame.size

    def _store_inbox(self) -> None:
        if not self._inbox:
            return
        inbox, self._inbox = self._inbox, []
        size, self._inbox_bytes = self._inbox_bytes, 0
        name = inbox[0].document
        datas: Sequence[bytes] = inbox[0].entries
        if len(inbox) > 1:
            datas = [data for frame in inbox for data in frame.entries]
        follower = self.followers.get(name)
        if follower is not None and follower.failure is None and not self.outdated:
            try:
                self._store(name, follower, datas, Cursor(self._epoch, inbox[-1].upto))
            except EntryError as error:
                self._on_bad_entry(name, error)
        self._protocol.returned(size)
        self._queue_check(name)
        if follower is not None and follower.moved():
            self._pushes.setdefault(name)

    def _store(self, name: str, follower: Follower, datas: Sequence[bytes], cursor: Cursor) -> None:
        ledger = follower.ledger
        stored = ledger.cursor
        if not datas and self._is_active and stored is not None and stored.epoch == cursor.epoch:
            # Mostly the echo of our own push: not worth a transaction each time.
            follower.advance = cursor
            if cursor.offset - stored.offset < ADVANCE_MAX:
                follower.reach(cursor.offset, _now())
                return
        before = dict(ledger.heads)
        received = ledger.receive(datas, cursor, prove=True)
        follower.advance = None
        if received.clamped:
            detail = (
                "this device's clock is ahead: what it did counts as of the time at which the "
                f"server got it ({received.clamped:,} actions)"
            )
            self._publish(ConnectionEvent("clock", detail, name))
        if received.new:
            # Whatever became longer did so by what the server sent, except our own log: an
            # observer may have acted on what came.
            follower.learn(
                {
                    replica: head.seq
                    for replica, head in ledger.heads.items()
                    if head != before.get(replica) and replica != self._replica.id
                }
            )
        follower.reach(cursor.offset, _now())

    def _on_bad_entry(self, name: str, error: EntryError) -> None:
        if isinstance(error, ForkError) and error.common is not None:
            assert error.replica is not None
            if self._replica.owns(error.replica):
                self._mend(name, error.replica, error.common)
                return
        if isinstance(error, ForkError | BrokenChainError):
            self._doubt(name, "entry", str(error))
        else:
            self._give_up(name, "entry", str(error))

    def _is_stale(self, event: Frame) -> bool:
        """Tell whether a document was given up, or asked for anew, after a frame of it had passed.

        Entries are stored later than the protocol lets them through: those gathered before may
        have turned out bad only now.
        """
        name = getattr(event, "document", None)
        follower = None if name is None else self.followers.get(name)
        if follower is None or follower.failure is not None:
            return follower is not None
        return not (follower.live or isinstance(event, Subscribed | Failed))

    def _handle(self, event: Frame) -> None:
        if isinstance(event, Receipt):
            self._on_receipt(event)
        elif isinstance(event, Subscribed):
            self._on_subscribed(event)
        elif isinstance(event, Complete):
            self._on_complete(event)
        elif isinstance(event, Heads):
            self._on_heads(event)
        elif isinstance(event, Failed):
            self._on_failed(event)
        elif isinstance(event, Shown):
            self.presences.hear(event)
        else:
            self._hear(event)

    def _hear(self, event: Frame) -> None:
        """Deal with a frame that concerns the connection as a whole."""
        if isinstance(event, Challenge):
            self._answer(event)
        elif isinstance(event, Renewed):
            self._expires_in(event.expires)
        elif isinstance(event, Standing):
            self.standing = event
            self._publish(ConnectionEvent(_STANDING_EVENTS[event.state], event.reason))
        elif isinstance(event, Subscriptions):
            self._named = True
            for name in self._queries.inherit(event.documents):
                self.touch(name)
        elif isinstance(event, Selected):
            self._on_selected(event)
        elif isinstance(event, Welcome):
            self.welcomed = True
            self.standing = Standing(event.state, event.reason, event.since)
            self._named = self._is_active
            self._epoch = event.epoch
            self._server_ahead_s = event.time / 1000 - _now().timestamp()
            self._expires_in(event.expires)
            self._compare_clocks()
            self._queries.begin()
            for name in self._queries.names(self._replica.names()):
                self.touch(name)
            for name in self.presences.named():
                self.touch(name)
        elif isinstance(event, Ping):
            self._protocol.pong(event.nonce, int(_now().timestamp() * 1000))
        elif isinstance(event, Goodbye):
            self.goodbye = event

    def _compare_clocks(self) -> None:
        """Tell the application if our clock is far from the server's."""
        behind = self._server_ahead_s
        if abs(behind) * 1000 <= AHEAD_MAX_MS:
            return
        where, so = "behind", "what it does counts as older than what others do"
        if behind < 0:
            where, so = "ahead of", "what it does counts as of the time at which the server gets it"
        detail = f"this device's clock is {abs(behind):,.0f} s {where} the server's: set it; {so}"
        self._publish(ConnectionEvent("clock", detail))

    def _answer(self, challenge: Challenge) -> None:
        """Prove that we have the device's key."""
        if self._key is None:
            raise RemoteProtocolError("the server asks for a proof that was not offered")
        signature = sign_challenge(
            self._key,
            challenge.nonce,
            server=self._server,
            epoch=challenge.epoch,
            client=client_id(self._own),
            replica=self._own,
        )
        self._protocol.prove(self._server, signature)

    def _expires_in(self, expires: int | None) -> None:
        """Note when a fresh token is due, by our own clock."""
        self.expires = None if expires is None else expires / 1000 - self._server_ahead_s

    def _on_subscribed(self, event: Subscribed) -> None:
        follower = self.followers[event.document]
        if follower.doubt is None and self._forks(event):
            return
        cursor = follower.ledger.cursor
        reached = 0 if cursor is None or event.mode != "cursor" else cursor.offset
        follower.begin(event.heads, reached)
        self._dirty.add(event.document)
        self._queue_check(event.document)
        self._pushes.setdefault(event.document)
        self.presences.begin(event.document)

    def _on_failed(self, event: Failed) -> None:
        name = event.document
        if event.code not in _FORKED:
            self._drop(name, event.code, event.reason)
        elif self.followers[name].live:
            self._doubt(name, event.code, event.reason)
        else:  # said of what was pushed before it was asked for anew
            self._subscribe(name, self.followers[name], None)

    def _on_complete(self, event: Complete) -> None:
        follower = self.followers[event.document]
        if follower.doubt is None and self._forks(event):
            return
        follower.reach(event.offset, _now())
        if follower.doubt is not None:  # our logs are as the server has them: it is another's
            self._give_up(event.document, *follower.doubt)
        elif follower.completed(event.heads, _now()):
            self._store(event.document, follower, (), Cursor(self._epoch, event.offset))
            follower.complete = True
            self._queries.settle(event.document)
        elif not follower.refetched:
            # The cursor claims more than the ledger holds. Once per session, begin from its heads.
            follower.refetched = True
            detail = "what came has a hole; asked for again"
            self._publish(ConnectionEvent("gap", detail, event.document))
            self._subscribe(event.document, follower, None)

    def _on_part(self, event: SnapshotPart) -> None:
        name = event.document
        follower = self.followers[name]
        whole = False
        if follower.live and not self.outdated:
            cursor = Cursor(self._epoch, event.offset)
            try:
                whole = follower.ledger.take_part(
                    event.id, event.position, event.total, event.data, cursor
                )
            except CloneError as error:
                self._give_up(name, "clone", str(error))
            except EntryError as error:
                self._on_bad_entry(name, error)
        self._protocol.returned(event.size)
        if whole:
            detail = f"begun anew from its state at the server, {event.total:,} bytes"
            self._publish(ConnectionEvent("cloned", detail, name))
            follower.progressed(_now())
            self._queue_check(name)
            self._pushes.setdefault(name)

    def _on_receipt(self, event: Receipt) -> None:
        follower = self.followers[event.document]
        for seq, reason in event.refused:
            if self._replica.owns(event.replica):
                follower.ledger.refuse(event.replica, seq, reason)
            detail = f"entry {seq} of replica {event.replica:x}: {reason}"
            self._publish(ConnectionEvent("rejected", detail, event.document))
        follower.receipt(event.replica, event.seq)
        self._queue_check(event.document)
        self._dirty.add(event.document)

    def _on_heads(self, event: Heads) -> None:
        name = event.document
        follower = self.followers[name]
        if follower.doubt is None and self._forks(event):
            return
        if event.nonce == 0:
            if follower.barrier is None:
                follower.misfit(self._protocol.check(name))
        elif event.nonce == follower.barrier:
            if follower.barrier_passed(event.heads):
                self._pushes.setdefault(name)
            else:
                detail = "the server lacks what our entries build on; they wait for others' to come"
                self._publish(ConnectionEvent("stuck", detail, name))
        else:
            follower.answered(event.heads, _now(), event.offset)
            self._dirty.add(name)
            self._queue_check(name)

    # Out.

    def touch(self, name: str) -> None:
        """Note that a document has a new entry of ours, or is new."""
        self._queries.met(name)
        if self._queries.is_wanted(name):
            self._touched.add(name, self._queries.priority(name))

    def work(self) -> bool:
        """Do one block of sending; tell whether there is more to do at once.

        Raises:
            StorageError: the store could not be read or made safe.
        """
        if not self.welcomed or self._protocol.closed:
            return False
        if self.outdated or self._postponed:
            self._protocol.goodbye("rotated", "our id is another one now: we come again")
            return False
        self._ask()
        for name in list(self._touched.take(DOCUMENTS_PER_BLOCK)):
            if self._follow(name).live:
                self._pushes.setdefault(name)
        if not self._is_active and not self._touched and self._named:
            self._report()
        for name, state, watching in self.presences.take():
            if self._protocol.is_live(name):  # else when it is
                self._protocol.show(name, state, watching=watching)
        for name in list(islice(self._checks, DOCUMENTS_PER_BLOCK)):
            del self._checks[name]
            follower = self.followers[name]
            if follower.may_check:
                self._protocol.check(name)
                follower.asked()
        if self._pushes and self._protocol.can_push:
            name = next(iter(self._pushes))
            del self._pushes[name]
            if self._push(name):
                self._pushes[name] = None  # at the end: first the others' turn
        return bool(self._touched or self._checks or (self._pushes and self._protocol.can_push))

    def ask(self, name: str) -> int:
        """Ask for a Check of a document that begins after now; return its number."""
        number = self._follow(name).ask()
        self._queue_check(name)
        return number

    def is_proved(self, name: str, check: int, ours: Mapping[int, int]) -> bool:
        """Tell whether a document is proved by a check, and our entries are durable.

        Raises:
            RefusedError: the document does not go on.
        """
        follower = self.followers[name]
        if follower.failure is not None:
            missed = self._queries.has_answered(name) or not self._replica.is_open(name)
            if missed and not follower.ledger.vector:
                return True  # there is nothing of it here, and nobody who would miss it
            code, reason = follower.failure
            raise RefusedError(code, f"document {name!r}: {reason}")
        proved = follower.is_proved(check, ours)
        if proved and follower.proved_at is None:
            follower.proved_at = _now()  # else only a moment without any work would prove it
        return proved

    @property
    def named(self) -> Collection[str] | None:
        """What we are to follow, as far as the server names it; None: it has not yet."""
        if not self._named or not self._queries.known:
            return None
        return {*self._queries.inherited, *(self._queries.standing or ())}

    @property
    def _is_active(self) -> bool:
        return self.standing is not None and self.standing.state == "active"

    def _report(self) -> None:
        """Tell the server how far we hold documents for good, where that is news.

        Raises:
            StorageError: a cursor could not be stored.
        """
        if self.outdated:
            return
        for follower in self.followers.values():
            if follower.advance is not None:
                follower.ledger.receive((), follower.advance)
                follower.advance = None
        offsets: dict[str, int] = {}
        for name, follower in self.followers.items():
            cursor = follower.ledger.cursor
            if (
                follower.live
                and cursor is not None
                and cursor.epoch == self._epoch
                and cursor.offset > follower.reported
            ):
                offsets[name] = follower.reported = cursor.offset
        if offsets or not self._reported:
            self._reported = True
            self._protocol.advance(offsets)

    def part(self) -> None:
        """Say what should be said before the session is ended from this side.

        Raises:
            StorageError: a cursor could not be stored.
        """
        if self.welcomed and not self._protocol.closed:
            self._report()
            for name in self.presences.named():
                if self._protocol.is_live(name):
                    self._protocol.show(name, None, watching=False)

    def tick(self) -> None:
        """Prove that the connection lives, and of some documents in turn that nothing is missing.

        Raises:
            StorageError: a cursor could not be stored.
        """
        if not self.welcomed or self._protocol.closed:
            return
        self._protocol.ping()
        self._report()
        if telemetry.is_on:
            self._measure()
        for _ in range(min(CHECKED_PER_TICK, len(self._rotation))):
            name = self._rotation.popleft()
            if self.followers[name].failure is None:
                self._rotation.append(name)
                self.ask(name)

    def _measure(self) -> None:
        """Say how far the two sides are apart. It counts until it is said anew."""
        followers = self.followers.values()
        UNACKNOWLEDGED.set(self._replica, sum(one.ledger.unacknowledged for one in followers))
        BEHIND.set(self._replica, sum(one.behind for one in followers if one.live))

    def _follow(self, name: str) -> Follower:
        follower = self.followers.get(name)
        if follower is None:
            ledger = self._replica.ledger(name)
            follower = self.followers[name] = Follower(ledger)
            self._rotation.append(name)
            self._subscribe(name, follower, ledger.cursor)
        return follower

    def _subscribe(self, name: str, follower: Follower, cursor: Cursor | None) -> None:
        if cursor is not None and cursor.epoch != self._epoch:
            cursor = None
        follower.live = False
        follower.advance = None
        follower.priority = self._queries.priority(name)
        follower.ledger.forget_unproved()
        try:
            heads = follower.ledger.heads
            if follower.ledger.is_stale:  # to claim nothing is to ask for a clone
                heads, cursor = {}, None
            if follower.doubt is not None:
                heads = {r: head for r, head in heads.items() if not self._replica.owns(r)}
            self._protocol.subscribe(
                name,
                heads,
                cursor,
                priority=follower.priority,
                resume=follower.ledger.resume,
            )
        except LocalProtocolError as error:
            self._drop(name, "local", str(error))

    def _queue_check(self, name: str) -> None:
        follower = self.followers.get(name)
        if follower is not None and follower.may_check:
            self._checks.setdefault(name)

    def _push(self, name: str) -> bool:
        """Push one block of a document; tell whether there may be more."""
        follower, protocol = self.followers[name], self._protocol
        waits = follower.barrier is not None or follower.doubt is not None or follower.stuck
        if not follower.live or waits:
            return False  # it is queued again by what it waits for
        size = min(PUSH_BYTES_MAX, protocol.message_bytes_max // 2)
        missing = follower.ledger.missing(follower.sent, size)
        if not missing:
            return False
        # Nobody may hold an entry that its author could still lose.
        follower.ledger.flush()
        pushed = False
        try:
            for part in follower.ledger.parts(missing, protocol.push_entries_max):
                pushed = True
                if not protocol.can_push:
                    break
                protocol.push(name, [entry.data for entry in part])
                follower.pushed(part)
                ENTRIES.add(len(part), "out")
        except LocalProtocolError as error:
            self._give_up(name, "local", str(error))
            return False
        return pushed

    # Queries.

    def _ask(self) -> None:
        """Tell the server of queries that are new or have ended."""
        for id_, answer in self._queries.unasked():
            if answer is None:
                self._protocol.select(id_, {})
                continue
            if answer.selection.wide:
                try:
                    self._protocol.select(id_, answer.selection.wide)
                except LocalProtocolError as error:
                    self._on_selected(Selected(id_, {}, True, "local", str(error)))
            self._expect(answer.documents)

    def _on_selected(self, event: Selected) -> None:
        named = self._queries.selected(event)
        if event.code:
            self._publish(ConnectionEvent("failed", f"{event.code}: {event.reason}"))
        self._expect(named)

    def _expect(self, documents: Iterable[str]) -> None:
        """See to it that documents which were selected come, as soon as they should."""
        for name in documents:
            follower = self.followers.get(name)
            if follower is None:
                self.touch(name)
            elif follower.failure is not None:
                self._queries.settle(name, *follower.failure)
            elif follower.complete:
                self._queries.settle(name)
            elif follower.doubt is None and self._queries.priority(name) < follower.priority:
                self._subscribe(name, follower, follower.ledger.cursor)

    # Forks.

    def _forks(self, event: Subscribed | Complete | Heads) -> bool:
        """See whether the server's heads contradict what we hold; if so, find out where."""
        ledger = self.followers[event.document].ledger
        for replica, head in event.heads.items():
            held = ledger.heads.get(replica)
            if held is None or held.seq < head.seq or held == head:
                continue
            if ledger.hash_at(replica, head.seq) != head.hash:
                reason = f"the server holds another entry {head.seq} of replica {replica:x}"
                self._doubt(event.document, "fork", reason)
                return True
        return False

    def _doubt(self, name: str, code: str, reason: str) -> None:
        """Find out whether it is a log of ours that forks; give the document up if it is not."""
        follower = self.followers[name]
        if follower.doubt is not None or not any(map(self._replica.owns, follower.ledger.heads)):
            self._give_up(name, code, reason)
            return
        follower.doubt = code, reason
        self._protocol.unsubscribe(name)
        self._subscribe(name, follower, None)

    def _mend(self, name: str, replica: int, common: int) -> None:
        try:
            self._replica.mend(name, replica, common)
        except ActionError:
            self._postponed = True
        except EntryError as error:
            self._give_up(name, "fork", str(error))
        else:
            self.mended += 1
            detail = (
                f"a copy of this store went on with log {replica:x} after entry {common}; what was "
                f"done here counts as replica {self._replica.id:x}'s"
            )
            self._publish(ConnectionEvent("mended", detail, name))
            follower = self.followers[name]
            follower.doubt = None
            if not self.outdated:
                self._protocol.unsubscribe(name)
                self._subscribe(name, follower, None)

    # Giving up one document.

    def _give_up(self, name: str, code: str, reason: str) -> None:
        if not self._protocol.closed:  # the server's Goodbye may have come with what was bad
            self._protocol.unsubscribe(name)
        self._drop(name, code, reason)

    def _drop(self, name: str, code: str, reason: str) -> None:
        follower = self.followers[name]
        follower.failure = (code, reason)
        follower.live = False
        self._queries.settle(name, code, reason)
        self.presences.lose(name)
        self._publish(ConnectionEvent("failed", f"{code}: {reason}", name))


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
