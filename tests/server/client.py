"""A client without a replica: a protocol, a stream, and a script; and servers for it to talk to."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio

from crdtsync.log import Cursor, Entry, Head
from crdtsync.server import Backend, Hub, ServerLimits
from crdtsync.sync import (
    ClientProtocol,
    Complete,
    Entries,
    Frame,
    Goodbye,
    Receipt,
    Subscribed,
    Welcome,
    WireLimits,
)
from crdtsync.transport.stream import FrameStream, memory_pair
from crdtsync.transport.url import connect_stream
from tests.web import serve_anywhere

__all__ = ["TRANSPORTS", "Client", "Connect", "serving"]

F = TypeVar("F", bound=Frame)

TRANSPORTS = ("memory", "tcp", "unix", "ws")


class Client:
    """Talks to a server as a script tells it to.

    Attributes:
        protocol: its end of the protocol.
        events: everything received, in order.
        entries: the bytes of all entries received, by document.
        generous: give back credit for what has arrived at once.
    """

    def __init__(self, stream: FrameStream, limits: WireLimits | None = None) -> None:
        self.stream = stream
        self.protocol = ClientProtocol(limits)
        self.events: list[Frame] = []
        self.entries: dict[str, list[bytes]] = {}
        self.generous = True
        self._unread: list[Frame] = []

    async def flush(self) -> None:
        """Send what the protocol has queued."""
        await self.stream.send(self.protocol.data_to_send())

    async def receive(self) -> None:
        """Take in what arrives next."""
        for payload in await self.stream.receive():
            for event in self.protocol.receive(payload):
                self.events.append(event)
                self._unread.append(event)
                if isinstance(event, Entries):
                    self.entries.setdefault(event.document, []).extend(event.entries)
                    if self.generous:
                        self.protocol.returned(event.size)
        if not self.protocol.closed:
            await self.flush()

    async def until(self, kind: type[F], when: Callable[[F], bool] = lambda _: True) -> F:
        """Return the first event of a kind that was not returned before, waiting for it."""
        looked_at = 0
        with anyio.fail_after(30):
            while True:
                for index in range(looked_at, len(self._unread)):
                    event = self._unread[index]
                    if isinstance(event, kind) and when(event):
                        del self._unread[index]
                        return event
                looked_at = len(self._unread)
                await self.receive()

    async def until_entries(self, count: int, document: str = "board") -> list[bytes]:
        """Return the entries of a document once there are so many."""
        with anyio.fail_after(30):
            while len(self.entries.get(document, [])) < count:
                await self.receive()
        return self.entries[document]

    async def hello(self, client: bytes | None = None, replica: int = 1) -> Welcome:
        self.protocol.hello(
            client=client or secrets.token_bytes(16), replica=replica, software="tests", user="ann"
        )
        await self.flush()
        return await self.until(Welcome)

    async def subscribe(
        self,
        document: str = "board",
        heads: dict[int, Head] | None = None,
        cursor: Cursor | None = None,
        priority: int = 0,
    ) -> Subscribed:
        self.protocol.subscribe(document, heads or {}, cursor, priority=priority)
        await self.flush()
        return await self.until(Subscribed, lambda frame: frame.document == document)

    async def follow(
        self,
        document: str = "board",
        heads: dict[int, Head] | None = None,
        cursor: Cursor | None = None,
    ) -> Complete:
        """Subscribe, and wait until everything is here."""
        await self.subscribe(document, heads, cursor)
        return await self.until(Complete, lambda frame: frame.document == document)

    async def push(self, entries: Sequence[Entry], document: str = "board") -> None:
        self.protocol.push(document, [entry.data for entry in entries])
        await self.flush()

    async def push_durably(self, entries: Sequence[Entry], document: str = "board") -> Receipt:
        await self.push(entries, document)
        return await self.until(
            Receipt, lambda receipt: (receipt.document, receipt.seq) == (document, entries[-1].seq)
        )

    async def until_goodbye(self) -> Goodbye:
        return await self.until(Goodbye)


Connect = Callable[..., Awaitable[Client]]


@asynccontextmanager
async def serving(
    backend: Backend,
    transport: str = "memory",
    folder: Path | None = None,
    limits: ServerLimits | None = None,
) -> AsyncIterator[Connect]:
    """Serve a backend; gives a function that connects a client and says hello."""
    async with anyio.create_task_group() as tasks:
        opened: list[FrameStream] = []
        if transport == "memory":
            hub = await _enter(tasks, backend, limits)

            async def connect() -> FrameStream:
                ours, theirs = memory_pair()
                tasks.start_soon(hub.serve, theirs)
                return ours
        else:
            url = f"{transport}://127.0.0.1:0"
            if transport == "unix":
                url = f"unix://{folder}/server.sock"
            bound = await tasks.start(partial(serve_anywhere, backend, url, limits=limits))

            async def connect() -> FrameStream:
                return await connect_stream(bound)

        async def join(*, hello: bool = True, wire: WireLimits | None = None) -> Client:
            client = Client(await connect(), wire)
            opened.append(client.stream)
            if hello:
                await client.hello()
            return client

        try:
            yield join
        finally:
            for stream in opened:
                await stream.aclose()
            tasks.cancel_scope.cancel()


async def _enter(tasks: anyio.abc.TaskGroup, backend: Backend, limits: ServerLimits | None) -> Hub:
    async def run(*, task_status: anyio.abc.TaskStatus[Hub]) -> None:
        async with Hub(backend, limits) as hub:
            task_status.started(hub)
            await anyio.sleep_forever()

    hub: Hub = await tasks.start(run)
    return hub
