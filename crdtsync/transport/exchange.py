"""The dealings between a replica and a server in one session, without I/O.

Couples a replica to a `ClientProtocol`: what arrives is handed to the ledgers in whole batches,
what the server lacks is pushed from them. The ledgers are the queues: nothing is kept here but one
`Follower` per document. Everything is done in bounded blocks, so that a driver can let the
application's event loop breathe in between:

- `receive` takes one frame; `settle` ends a turn of receiving;
- `work` does one block of sending, and says whether there is more to do at once;
- `tick` is called at each ping interval.

Here stands only which frame concerns whom, and in which order work is done. Who does it:

- `greeting`: who we are to the server, and it to us;
- `wanted`: which documents to bring; `following`: how each of them begins and is given up;
- `intake`: what comes of them; `forks`: where that contradicts what we hold;
- `pushing`: what goes up; `proofs`: that nothing is missing; `reports`: how far we hold it all.

A bad document is given up (`failed`), the others go on. If our id is another one after a fork was
mended, this session ends. StorageError goes through to the driver: without a store there is nothing
to synchronize.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping

from crdtsync import telemetry
from crdtsync.errors import CloneError, EntryError
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
from crdtsync.telemetry import BEHIND, UNACKNOWLEDGED
from crdtsync.transport.follower import now
from crdtsync.transport.following import Following
from crdtsync.transport.forks import Forks
from crdtsync.transport.greeting import Greeting
from crdtsync.transport.intake import Intake
from crdtsync.transport.ports import ReplicaPort
from crdtsync.transport.presence import Presences
from crdtsync.transport.proofs import Proofs
from crdtsync.transport.pushing import Pushing
from crdtsync.transport.queries import Queries
from crdtsync.transport.reports import Reports
from crdtsync.transport.status import ConnectionEvent
from crdtsync.transport.wanted import Wanted

__all__ = ["Exchange"]

DOCUMENTS_PER_BLOCK = 50
CHECKED_PER_TICK = 20


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
        greeting: who we are to the server, and it to us.
        followers: what is known of each document.
        goodbye: the server's, once it has come.
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
        self.goodbye: Goodbye | None = None
        self.presences = presences or Presences(replica.owns)
        self._replica = replica
        self._protocol = protocol
        self._queries = queries
        self._publish = publish
        self.greeting = greeting = Greeting(replica, protocol, server, publish)
        following = Following(replica, protocol, greeting, queries, self.presences, publish)
        self.followers = following.followers
        self._following = following
        self._wanted = Wanted(protocol, following, queries, publish)
        self._forks = Forks(replica, protocol, greeting, following, publish)
        self._intake = Intake(replica, greeting, publish)
        self._pushing = Pushing(replica, protocol, following, publish)
        self._proofs = Proofs(replica, protocol, self.followers, queries)
        self._reports = Reports(protocol, greeting, self.followers)

    @property
    def mended(self) -> int:
        """How many logs were mended."""
        return self._forks.mended

    @property
    def named(self) -> Collection[str] | None:
        """What we are to follow, as far as the server names it; None: it has not yet."""
        return self._wanted.named

    @property
    def _is_open(self) -> bool:
        return self.greeting.welcomed and not self._protocol.closed

    # In.

    def receive(self, payload: bytes) -> None:
        """Take one frame from the server.

        Raises:
            RemoteProtocolError: the server broke the protocol.
            StorageError: what came could not be stored.
        """
        for event in self._protocol.receive(payload):
            if isinstance(event, Entries):
                self._on_entries(event)
                continue
            self._store_gathered()
            if isinstance(event, SnapshotPart):
                self._on_part(event)
            elif not self._following.is_stale(event) and not self.greeting.outdated:
                self._handle(event)

    def settle(self) -> None:
        """End a turn of receiving: store what was gathered."""
        self._store_gathered()
        if not self.greeting.outdated:
            self._pushing.acknowledge()

    def _handle(self, event: Frame) -> None:
        if isinstance(event, Receipt):
            self._pushing.receipt(event)
            self._proofs.add(event.document)
        elif isinstance(event, Subscribed):
            self._on_subscribed(event)
        elif isinstance(event, Complete):
            self._on_complete(event)
        elif isinstance(event, Heads):
            self._on_heads(event)
        elif isinstance(event, Failed):
            self._forks.failed(event)
        elif isinstance(event, Shown):
            self.presences.hear(event)
        else:
            self._hear(event)

    def _hear(self, event: Frame) -> None:
        """Deal with a frame that concerns the connection as a whole."""
        if isinstance(event, Challenge):
            self.greeting.prove(event)
        elif isinstance(event, Welcome):
            self._on_welcome(event)
        elif isinstance(event, Standing):
            self.greeting.stand(event)
        elif isinstance(event, Renewed):
            self.greeting.renewed(event)
        elif isinstance(event, Subscriptions):
            self._wanted.inherit(event)
        elif isinstance(event, Selected):
            self._wanted.selected(event)
        elif isinstance(event, Ping):
            self._protocol.pong(event.nonce, time.time_ns() // 1_000_000)
        elif isinstance(event, Goodbye):
            self.goodbye = event

    def _on_welcome(self, event: Welcome) -> None:
        self.greeting.welcome(event)
        self._wanted.begin(self._replica.names(), is_active=self.greeting.is_active)
        for name in self.presences.named():
            self._wanted.touch(name)

    def _on_subscribed(self, event: Subscribed) -> None:
        if self._forks.contradicts(event):
            return
        name = event.document
        follower = self.followers[name]
        cursor = follower.ledger.cursor
        reached = 0 if cursor is None or event.mode != "cursor" else cursor.offset
        follower.begin(event.heads, reached)
        self._pushing.advanced(name)
        self._proofs.add(name)
        self._pushing.add(name)
        self.presences.begin(name)

    def _on_entries(self, event: Entries) -> None:
        if not self._intake.fits(event):
            self._store_gathered()
        follower = self.followers.get(event.document)
        if follower is None or not follower.live:  # it was given up, or asked for anew, just now
            self._protocol.returned(event.size)
        else:
            self._intake.gather(event)

    def _store_gathered(self) -> None:
        frames = self._intake.take()
        if not frames:
            return
        name = frames[0].document
        follower = self.followers.get(name)
        if follower is not None and follower.failure is None and not self.greeting.outdated:
            datas = [data for frame in frames for data in frame.entries]
            try:
                self._intake.store(name, follower, datas, frames[-1].upto)
            except EntryError as error:
                self._forks.judge(name, error)
        self._protocol.returned(sum(frame.size for frame in frames))
        self._proofs.add(name)
        if follower is not None and follower.moved():
            self._pushing.add(name)

    def _on_part(self, event: SnapshotPart) -> None:
        name = event.document
        follower = self.followers[name]
        whole = False
        if follower.live and not self.greeting.outdated:
            try:
                whole = self._intake.store_part(follower, event)
            except CloneError as error:
                self._following.give_up(name, "clone", str(error))
            except EntryError as error:
                self._forks.judge(name, error)
        self._protocol.returned(event.size)
        if whole:
            self._proofs.add(name)
            self._pushing.add(name)

    def _on_complete(self, event: Complete) -> None:
        if self._forks.contradicts(event):
            return
        name = event.document
        follower = self.followers[name]
        follower.reach(event.offset, now())
        if follower.doubt is not None:  # our logs are as the server has them: it is another's
            self._following.give_up(name, *follower.doubt)
        elif follower.completed(event.heads, now()):
            self._intake.store(name, follower, (), event.offset)
            follower.complete = True
            self._queries.settle(name)
        elif not follower.refetched:
            # The cursor claims more than the ledger holds. Once per session, begin from its heads.
            follower.refetched = True
            self._publish(ConnectionEvent("gap", "what came has a hole; asked for again", name))
            self._following.begin_anew(name)

    def _on_heads(self, event: Heads) -> None:
        if self._forks.contradicts(event) or self._pushing.misfit(event):
            return
        name = event.document
        self.followers[name].answered(event.heads, now(), event.offset)
        self._pushing.advanced(name)
        self._proofs.add(name)

    # Out.

    def touch(self, name: str) -> None:
        """Note that a document has a new entry of ours, or is new. In whatever thread."""
        self._wanted.touch(name)

    def work(self) -> bool:
        """Do one block of sending; tell whether there is more to do at once.

        Raises:
            StorageError: the store could not be read or made safe.
        """
        if not self._is_open:
            return False
        if self.greeting.outdated or self._forks.postponed:
            self._protocol.goodbye("rotated", "our id is another one now: we come again")
            return False
        self._wanted.ask()
        for name in list(self._wanted.take(DOCUMENTS_PER_BLOCK)):
            if self._following.follow(name).live:
                self._pushing.add(name)
        if not self.greeting.is_active and self._wanted.is_all_begun:
            self._reports.send()
        for name, state, watching in self.presences.take():
            if self._protocol.is_live(name):  # else when it is
                self._protocol.show(name, state, watching=watching)
        self._proofs.send(DOCUMENTS_PER_BLOCK)
        self._pushing.push_next()
        return bool(self._wanted or self._proofs) or self._pushing.can_go_on

    def tick(self) -> None:
        """Prove that the connection lives, and of some documents in turn that nothing is missing.

        Raises:
            StorageError: a cursor could not be stored.
        """
        if not self._is_open:
            return
        self._protocol.ping()
        self._reports.send()
        if telemetry.is_on:
            self._measure()
        for name in self._following.take_turns(CHECKED_PER_TICK):
            self._proofs.ask(name)

    def part(self) -> None:
        """Say what should be said before the session is ended from this side.

        Raises:
            StorageError: a cursor could not be stored.
        """
        if self._is_open:
            self._reports.send()
            for name in self.presences.named():
                if self._protocol.is_live(name):
                    self._protocol.show(name, None, watching=False)

    def _measure(self) -> None:
        """Say how far the two sides are apart. It counts until it is said anew."""
        followers = self.followers.values()
        UNACKNOWLEDGED.set(self._replica, sum(one.ledger.unacknowledged for one in followers))
        BEHIND.set(self._replica, sum(one.behind for one in followers if one.live))

    # Proof.

    def ask(self, name: str) -> int:
        """Ask for a Check of a document that begins after now; return its number."""
        self._following.follow(name)
        return self._proofs.ask(name)

    def is_proved(self, name: str, check: int, ours: Mapping[int, int]) -> bool:
        """Tell whether a document is proved by a check, and our entries are durable.

        Raises:
            RefusedError: the document does not go on.
        """
        return self._proofs.is_proved(name, check, ours)
