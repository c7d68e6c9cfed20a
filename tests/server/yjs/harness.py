"""Yjs clients without a network: streams in memory, and clients made of a CRDT document each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pycrdt
from anyio.abc import TaskGroup

from crdtsync.errors import TransportError
from crdtsync.server import Backend, Hub, MemoryBackend, ServerLimits
from crdtsync.server.yjs import Doors, YjsLimits, messages
from crdtsync.sync.awareness import Awareness, decode_awareness, encode_awareness
from crdtsync.update.encoding import Source, encoded

__all__ = ["Client", "End", "HocuspocusClient", "Served", "YClient", "doors_of", "until"]


MOST = 1024 * 1024


class End:
    """One end of a WebSocket in memory."""

    def __init__(self, buffered: int) -> None:
        self.send_stream, self.inbox = anyio.create_memory_object_stream[bytes](buffered)
        self.other: End
        self.closed: tuple[int, str] | None = None
        self.sent = 0

    @property
    def code(self) -> int | None:
        """The close code, if it is closed."""
        return None if self.closed is None else self.closed[0]

    async def receive(self) -> bytes | None:
        try:
            return await self.inbox.receive()
        except (anyio.EndOfStream, anyio.ClosedResourceError):
            return None

    def receive_nowait(self) -> bytes | None:
        try:
            return self.inbox.receive_nowait()
        except (anyio.WouldBlock, anyio.EndOfStream, anyio.ClosedResourceError):
            return None

    async def send(self, data: bytes, /) -> None:
        try:
            await self.other.send_stream.send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            raise TransportError("gone") from error
        self.sent += 1

    async def close(self, code: int = 1000, reason: str = "") -> None:
        if self.closed is None and self.other.closed is None:
            self.closed = code, reason
            self.other.closed = code, reason
        # The other end still reads what was sent before.
        self.other.send_stream.close()
        self.inbox.close()


def pair(buffered: int = 1000) -> tuple[End, End]:
    """Return the two ends of a WebSocket."""
    one, other = End(buffered), End(buffered)
    one.other, other.other = other, one
    return one, other


class Client:
    """A Yjs client: what it holds, and what it was told.

    Attributes:
        doc: its document.
        others: who it believes to be there.
        statuses: what became of its changes.
        refusals: what it was refused, and why.
    """

    def __init__(self, end: End, client_id: int, doc: pycrdt.Doc[Any] | None = None) -> None:
        self.end = end
        self.doc: pycrdt.Doc[Any] = doc or pycrdt.Doc(client_id=client_id)
        self.client_id = client_id
        self.others: dict[int, str] = {}
        self.statuses: list[bool] = []
        self.refusals: list[str] = []
        self.stateless: list[str] = []
        self.scopes: list[str] = []
        self.synced = False
        self.updates = 0
        self._subscription = self.doc.observe(self._changed)
        self._outbox: list[bytes] = []
        self._applying = False
        self._bell = anyio.Event()
        self._clock = 0
        self._may_read = anyio.Event()
        self._may_read.set()
        self.heard = 0

    @property
    def text(self) -> pycrdt.Text:
        text: pycrdt.Text = self.doc.get("text", type=pycrdt.Text)
        return text

    def _changed(self, event: pycrdt.TransactionEvent) -> None:
        update = event.update
        if not self._applying:
            self.put(messages.update(update))

    def put(self, body: bytes) -> None:
        """Send a body."""
        self._outbox.append(self.frame(body))
        self._bell.set()

    def frame(self, body: bytes) -> bytes:
        return body

    def body(self, frame: bytes) -> bytes:
        return frame

    def show(self, state: str | None) -> None:
        """Show a state to the others."""
        self._clock += 1
        self.put(
            messages.awareness(encode_awareness([Awareness(self.client_id, self._clock, state)]))
        )

    def open(self) -> None:
        """Ask for what there is."""
        self.put(messages.step_one(self.doc.get_state()))

    def pause(self) -> None:
        """Read nothing any more."""
        self._may_read = anyio.Event()

    def resume(self) -> None:
        """Read on."""
        self._may_read.set()

    async def flush(self) -> None:
        """Send what was put."""
        frames, self._outbox = self._outbox, []
        for frame in frames:
            await self.end.send(frame)

    def hold(self, update: bytes) -> None:
        """Take an update in, and tell nobody of it."""
        self._applying = True
        self.doc.apply_update(update)
        self._applying = False

    async def run(self) -> None:
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._send)
                while (frame := await self.end.receive()) is not None:
                    await self._may_read.wait()
                    self.heard += 1
                    self.hear(Source(self.body(frame)))
                tasks.cancel_scope.cancel()
        finally:
            self.doc.unobserve(self._subscription)
            await self.end.close(1005, "")

    async def _send(self) -> None:
        try:
            while True:
                await self._bell.wait()
                self._bell = anyio.Event()
                await self.flush()
        except TransportError:
            return

    def hear(self, source: Source) -> None:
        match source.number():
            case 0:
                self._hear_sync(source)
            case 1:
                for client, _, state in decode_awareness(source.blob(), state_bytes_max=MOST):
                    if state is None:
                        self.others.pop(client, None)
                    else:
                        self.others[client] = state
            case 2:
                self.hear_auth(source)
            case 5:
                self.stateless.append(source.text())
            case 8:
                self.statuses.append(bool(source.number()))
            case other:
                raise AssertionError(other)

    def hear_auth(self, source: Source) -> None:
        assert source.number() == 0
        self.refusals.append(source.text())

    def _hear_sync(self, source: Source) -> None:
        kind, data = source.number(), source.blob()
        if kind == 0:
            self.put(messages.step_two(self.doc.get_update(data)))
            return
        self.updates += 1
        self.hold(data)
        self.synced |= kind == 1


class YClient(Client):
    """A client of y-websocket."""


class HocuspocusClient(Client):
    """A client of Hocuspocus, with one document."""

    def __init__(self, end: End, client_id: int, address: str, token: str = "") -> None:
        super().__init__(end, client_id)
        self.address = address
        self.token = token
        self.asked = 0
        self.pongs = 0

    def open(self) -> None:
        self.put(encoded(2, 0, self.token))
        super().open()

    def frame(self, body: bytes) -> bytes:
        return encoded(self.address) + body

    def raw(self, frame: bytes) -> None:
        """Send a frame without an address."""
        self._outbox.append(frame)
        self._bell.set()

    def body(self, frame: bytes) -> bytes:
        if frame == messages.PONG:
            self.pongs += 1
            return messages.KEEP_ALIVE
        prefix = encoded(self.address)
        assert frame.startswith(prefix)
        return frame[len(prefix) :]

    def hear_auth(self, source: Source) -> None:
        match source.number():
            case 0:
                self.asked += 1
            case 1:
                self.refusals.append(source.text())
            case 2:
                self.scopes.append(source.text())


class Served:
    """Doors, and clients that connect to them."""

    def __init__(self, doors: Doors, hub: Hub, tasks: TaskGroup) -> None:
        self.doors = doors
        self.hub = hub
        self.tasks = tasks
        self._ids = iter(range(1001, 2**32))

    def y(
        self,
        room: str = "board",
        *,
        token: str | None = None,
        user: str | None = None,
        client_id: int | None = None,
        doc: pycrdt.Doc[Any] | None = None,
        buffered: int = 1000,
    ) -> YClient:
        """Connect a client of y-websocket, with a document of its own if none is given."""
        ours, theirs = pair(buffered)
        client = YClient(theirs, client_id or next(self._ids), doc)
        client.open()

        async def serve() -> None:
            await self.doors.serve_y_websocket(ours, room, token=token, user=user)

        self.tasks.start_soon(serve)
        self.tasks.start_soon(client.run)
        return client

    def hocuspocus(
        self,
        address: str = "board",
        *,
        token: str = "",
        user: str | None = None,
        opened: bool = True,
    ) -> HocuspocusClient:
        """Connect a client of Hocuspocus."""
        ours, theirs = pair()
        client = HocuspocusClient(theirs, next(self._ids), address, token)
        if opened:
            client.open()

        async def serve() -> None:
            await self.doors.serve_hocuspocus(ours, user=user)

        self.tasks.start_soon(serve)
        self.tasks.start_soon(client.run)
        return client


@asynccontextmanager
async def doors_of(
    backend: Backend | None = None,
    limits: YjsLimits | None = None,
    hub_limits: ServerLimits | None = None,
    **options: Any,
) -> AsyncIterator[Served]:
    """Open doors, and end whatever is left of the clients afterwards."""
    async with (
        Hub(backend or MemoryBackend(), hub_limits, **options) as hub,
        Doors(hub, limits) as doors,
        anyio.create_task_group() as tasks,
    ):
        yield Served(doors, hub, tasks)
        tasks.cancel_scope.cancel()


async def until(condition: Callable[[], object]) -> None:
    """Wait until something is so."""
    with anyio.fail_after(20):
        while not condition():  # noqa: ASYNC110 - whatever makes it so tells nobody
            await anyio.sleep(0.001)
