"""The documents of one connection: what it asks and pushes, and what it is sent.

Frames of one document are dealt with in their order. Entries go out from the cursors: of all
subscriptions that are behind, the one of the lowest priority number is next, and within one
priority each has its turn. A document that fails is ended by itself; the others go on. Who pushes
faster than it may is given credit back later.
"""

from __future__ import annotations

import heapq
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import groupby
from typing import TypeAlias, TypeVar

import anyio
from anyio.lowlevel import checkpoint

from crdtsync import events
from crdtsync.errors import CorruptLogError, CrdtSyncError, StorageError
from crdtsync.log import Entry
from crdtsync.server.access import Decision
from crdtsync.server.bench import Bench
from crdtsync.server.channel import Channels
from crdtsync.server.intake import check_logs, check_marks, failure_code, read_push
from crdtsync.server.limits import ServerLimits
from crdtsync.server.showing import Showing
from crdtsync.server.subscription import Subscription, subscribe
from crdtsync.server.throttle import Throttle
from crdtsync.sync import Check, Push, ServerProtocol, Show, Subscribe, Unsubscribe
from crdtsync.telemetry import SERVER_APPENDS, SERVER_CLONES, SERVER_ENTRIES, SERVER_REFUSALS, now

__all__ = ["DocumentFrame", "Documents"]

DocumentFrame: TypeAlias = Subscribe | Push | Check | Show | Unsubscribe

_HEAD_BYTES = 64  # one head in a frame, at the most
_ENDED_MAX = 64  # subscriptions that have ended and still stand in the queue
_FRAME_BYTES_MIN = 512  # what any frame is taken to cost, so that many small ones are a lot too

T = TypeVar("T")


class Documents:
    """Serves the subscriptions of one connection.

    Args:
        protocol: the connection.
        channels: the server's documents.
        limits: how much at a time.
        bench: judges what the client does.
        showing: shows who is there.
        wake: called when there is something to send.
        room: waits until the client has taken enough of its answers to be given more.
        moved: is told of each document that is followed, and how far it is held; None: no more.
    """

    def __init__(
        self,
        protocol: ServerProtocol,
        channels: Channels,
        limits: ServerLimits,
        bench: Bench,
        showing: Showing,
        wake: Callable[[], None],
        room: Callable[[], Awaitable[None]],
        moved: Callable[[str, Subscription | None], None],
    ) -> None:
        self._protocol = protocol
        self._channels = channels
        self._backend = channels.backend
        self._limits = limits
        self._bench = bench
        self._showing = showing
        self._wake = wake
        self._room = room
        self._moved = moved
        self._honoured = False
        self._throttle = Throttle(
            limits.connection.push_bytes_per_s, limits.connection.push_entries_per_s
        )
        self._withheld = 0
        self._subscriptions: dict[str, Subscription] = {}
        self._behind: list[tuple[int, int, Subscription]] = []  # a heap: priority, turn
        self._turns = 0

    @property
    def ready(self) -> bool:
        """Whether there is something that `fill` could send now."""
        return bool(self._behind) and self._protocol.can_send

    def honour(self, *, honoured: bool) -> None:
        """Say whether the connection's cursors count."""
        self._honoured = honoured
        for document, subscription in self._subscriptions.items():
            subscription.honoured = honoured
            if not honoured:
                subscription.goal = subscription.channel.offset
            self._moved(document, subscription)

    def advance(self, offsets: Mapping[str, int]) -> None:
        """Take note of how far documents are durable at the client."""
        for document, offset in offsets.items():
            subscription = self._subscriptions.get(document)
            if subscription is not None and subscription.held < offset <= subscription.cursor:
                subscription.held = offset
                self._moved(document, subscription)

    @property
    def holds_all(self) -> bool:
        """Whether the client holds all that there was when it asked, of all that it follows."""
        return all(one.held >= one.goal for one in self._subscriptions.values())

    def release(self, now: float) -> None:
        """Give credit back that was withheld, if it is time."""
        if self._withheld and not self._throttle.waits(now) and not self._protocol.closed:
            withheld, self._withheld = self._withheld, 0
            self._protocol.returned(withheld)
            self._wake()

    def review(self) -> None:
        """End the documents that the user may read no more, as a fresh token has shown."""
        for document in list(self._subscriptions):
            decision = self._bench.may_read(document)
            if not decision:
                self._drop(document)
                self._forbid(document, decision)

    async def handle(self, document: str, frames: Sequence[DocumentFrame]) -> None:
        """Deal with frames of one document, in order."""
        for kind, run in groupby(frames, key=type):
            if kind is Push:
                await self._room()
                # One after the other they would each wait for a commit of their own.
                await self._guarded(document, self._push, [f for f in run if type(f) is Push])
                continue
            for frame in run:
                await self._room()
                if isinstance(frame, Subscribe):
                    await self._guarded(document, self._subscribe, frame)
                elif isinstance(frame, Check):
                    await self._check(frame)
                elif isinstance(frame, Show):
                    await self._show(frame)
                else:
                    self._drop(document)
                    self._moved(document, None)

    async def fill(self, *, may_read: bool) -> None:
        """Hand entries to the protocol: as many as fit into one turn, and as credit allows.

        Args:
            may_read: nothing waits to be sent. What does should not wait for the storage too, so
                that only then entries are read that are not cached.
        """
        budget = self._limits.turn_bytes_max
        while budget > 0 and self.ready:
            subscription = self._behind[0][2]
            if subscription.live and subscription.clone_anew():
                channel = subscription.channel
                self._subscribed(subscription)
                self._moved(channel.document, subscription)
            behind = subscription.live and subscription.is_behind
            frame = subscription.cached() if behind else None
            if behind and frame is None and not may_read:
                return
            heapq.heappop(self._behind)
            subscription.queued = False
            if not subscription.live:
                continue
            if frame is not None:
                self._send(subscription, *frame)
                budget -= len(frame.payload)
            elif behind:
                await self._guarded(subscription.channel.document, self._read, subscription)
                return
            budget -= _FRAME_BYTES_MIN + self._settle(subscription)
            may_read = False

    @property
    def lag(self) -> int:
        """How many entries of all that is followed were not sent yet."""
        behind = (one for _, _, one in self._behind if one.live)
        return sum(max(0, one.channel.offset - one.cursor) for one in behind)

    def behind(self) -> dict[str, int]:
        """Return by how much each document that is followed was not sent yet."""
        return {
            document: max(0, one.channel.offset - one.cursor)
            for document, one in self._subscriptions.items()
        }

    def close(self) -> None:
        """End all subscriptions."""
        for document in list(self._subscriptions):
            self._drop(document)

    async def _guarded(
        self, document: str, act: Callable[[T], Awaitable[None]], argument: T
    ) -> None:
        """Do something for a document; if it goes wrong, say so, to the right extent."""
        if self._protocol.closed:
            return
        try:
            await act(argument)
        except CrdtSyncError as error:
            code = failure_code(error)
            if code is not None:
                self._fail(document, code, error)
            elif isinstance(error, StorageError):
                events.STORAGE_FAILED.log(
                    problem="a connection ends because of the storage", error=error
                )
                self._protocol.goodbye(
                    "unavailable",
                    "the server cannot store or read at the moment; nothing was changed",
                    self._limits.retry_after_ms,
                )
            else:
                raise

    async def _subscribe(self, asked: Subscribe) -> None:
        document = asked.document
        self._drop(document)
        decision = self._bench.may_read(document)
        if not decision:
            self._forbid(document, decision)
            return
        channel = await self._channels.join(document)
        try:
            subscription = await subscribe(asked, channel, self._backend, self._queue)
        except BaseException:
            self._channels.leave(channel)
            raise
        if self._protocol.closed:
            self._channels.leave(channel)
            return
        self._subscriptions[document] = subscription
        subscription.honoured = self._honoured
        channel.follow(subscription)
        self._moved(document, subscription)
        self._subscribed(subscription)
        self._queue(subscription)

    def _subscribed(self, subscription: Subscription) -> None:
        if subscription.mode == "clone":
            SERVER_CLONES.add()
        channel = subscription.channel
        self._protocol.subscribed(channel.document, channel.heads, subscription.mode)

    async def _push(self, pushes: list[Push]) -> None:
        document = pushes[0].document
        try:
            subscription = self._subscriptions.get(document)
            if subscription is None:
                return  # it has failed since
            entries: list[Entry] = []
            for push in pushes:
                entries += read_push(document, push.entries, self._limits.entry)
                await checkpoint()  # decoding is work: the other connections' turn
            check_logs(entries, subscription.channel, self._limits)
            subscription.offered(entries)
            await subscription.channel.check_seals(entries)
            check_marks(entries, subscription.channel)
            entries = self._channels.timekeeper.clamped(entries)
            entries = await self._bench.judge(entries, subscription.channel)
            began = now()
            appended = await self._backend.append(document, entries)
            SERVER_APPENDS.since(began)
        finally:
            self._give_back(pushes)
        if self._protocol.closed:
            return
        refused: dict[int, list[tuple[int, str]]] = {}
        for entry in entries:
            if entry.refusal is not None:
                refused.setdefault(entry.replica, []).append((entry.seq, entry.refusal))
        for replica, stored in appended.stored.items():
            told = [one for one in refused.get(replica, ()) if one[0] <= stored.seq]
            self._protocol.receipt(document, replica, stored.seq, stored.offset, told)
        if appended.gap:
            channel = subscription.channel
            self._protocol.heads(document, channel.heads, offset=channel.offset)

    def _give_back(self, pushes: Sequence[Push]) -> None:
        size = sum(push.size for push in pushes)
        time = anyio.current_time()
        self._throttle.spend(size, sum(len(push.entries) for push in pushes), time)
        if self._withheld or self._throttle.waits(time):
            self._withheld += size  # until `release`
        else:
            self._protocol.returned(size)

    async def _check(self, asked: Check) -> None:
        await checkpoint()
        subscription = self._subscriptions.get(asked.document)
        if subscription is not None and not self._protocol.closed:
            channel = subscription.channel
            self._protocol.heads(asked.document, channel.heads, asked.nonce, offset=channel.offset)

    async def _show(self, asked: Show) -> None:
        await checkpoint()
        subscription = self._subscriptions.get(asked.document)
        if subscription is not None:
            self._showing.hear(asked, subscription.channel.presence)

    async def _read(self, subscription: Subscription) -> None:
        frame = await subscription.read(self._backend, self._limits.wire.frame_bytes_max)
        if not subscription.live:
            return
        if frame is not None and self._protocol.can_send:
            self._send(subscription, *frame)
        self._settle(subscription)

    def _send(self, subscription: Subscription, upto: int, payload: bytes, entries: int) -> None:
        SERVER_ENTRIES.add(entries, "out")
        self._protocol.send_payload(payload)
        subscription.cursor = upto

    def _settle(self, subscription: Subscription) -> int:
        """Queue a subscription again or let it rest; return about how many bytes that sends."""
        channel = subscription.channel
        if subscription.is_behind:
            self._queue(subscription)
            return 0
        channel.rest(subscription)
        if subscription.completed:
            return 0
        subscription.completed = True
        self._protocol.complete(
            channel.document, channel.offset, channel.heads, priority=subscription.priority
        )
        return len(channel.heads) * _HEAD_BYTES

    def _queue(self, subscription: Subscription) -> None:
        if not subscription.queued:
            subscription.queued = True
            self._turns += 1
            heapq.heappush(self._behind, (subscription.priority, self._turns, subscription))
            if len(self._behind) > 2 * len(self._subscriptions) + _ENDED_MAX:
                # Else a client that gives no credit could ask again and again at our cost.
                self._behind = [each for each in self._behind if each[2].live]
                heapq.heapify(self._behind)
        self._wake()

    def _drop(self, document: str) -> None:
        subscription = self._subscriptions.pop(document, None)
        if subscription is not None:
            subscription.end()
            self._showing.end(document)
            self._channels.leave(subscription.channel)

    def _forbid(self, document: str, decision: Decision) -> None:
        SERVER_REFUSALS.add(kind="document")
        self._protocol.failed(document, "forbidden", decision.reason or "")

    def _fail(self, document: str, code: str, error: CrdtSyncError) -> None:
        self._drop(document)
        SERVER_REFUSALS.add(kind="document")
        if self._protocol.closed:
            return
        hello = self._protocol.hello
        connection = None if hello is None else hello.client.hex()
        events.DOCUMENT_FAILED.log(document=document, connection=connection, code=code, error=error)
        # What our disk looks like is no client's business.
        private = isinstance(error, CorruptLogError)
        reason = "the server's copy of this document is damaged" if private else str(error)
        self._protocol.failed(document, code, reason)
