"""A server that does what a test tells it to, for clients to be tested against."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import anyio

from crdtsync.errors import TransportError
from crdtsync.log import Entry, Head
from crdtsync.sync import ServerProtocol, WireLimits, encode_frame
from crdtsync.sync.frames import Check, Entries, Frame, Hello, Push, Subscribe
from crdtsync.transport import FrameStream, MemoryFrameStream, memory_pair

__all__ = ["EPOCH", "Scripted", "ScriptedServer", "heads_of", "unix_ms"]

F = TypeVar("F", bound=Frame)
EPOCH = bytes(range(16))


def heads_of(*entries: Entry) -> dict[int, Head]:
    """Return the heads of logs that end with these entries."""
    return {entry.replica: Head(entry.seq, entry.hash) for entry in entries}


def unix_ms() -> int:
    """Return the time as servers tell it."""
    return time.time_ns() // 1_000_000


class Scripted:
    """The server's end of one connection.

    Attributes:
        events: what came and was not asked for yet.
        generous: give credit for pushes back at once.
    """

    def __init__(self, stream: FrameStream, limits: WireLimits | None = None) -> None:
        self.stream = stream
        self.protocol = ServerProtocol(limits)
        self.events: list[Frame] = []
        self.generous = True

    async def flush(self) -> None:
        """Send what the protocol has queued."""
        await self.stream.send(self.protocol.data_to_send())

    async def until(self, kind: type[F], when: Callable[[F], bool] = lambda _: True) -> F:
        """Return the first event of a kind, waiting for it."""
        with anyio.fail_after(30):
            while True:
                for index, event in enumerate(self.events):
                    if isinstance(event, kind) and when(event):
                        del self.events[index]
                        return event
                for payload in await self.stream.receive():
                    for event in self.protocol.receive(payload):
                        self.events.append(event)
                        if isinstance(event, Push) and self.generous:
                            self.protocol.returned(event.size)
                await self.flush()

    async def welcome(self) -> Hello:
        """Let the client in."""
        hello = await self.until(Hello)
        self.protocol.welcome(epoch=EPOCH, time=unix_ms())
        await self.flush()
        return hello

    async def accept(
        self, document: str = "board", heads: dict[int, Head] | None = None, mode: str = "vector"
    ) -> Subscribe:
        """Take a subscription."""
        asked = await self.until(Subscribe, lambda frame: frame.document == document)
        self.protocol.subscribed(document, heads or {}, mode)
        await self.flush()
        return asked

    async def send(self, document: str, after: int, entries: Sequence[Entry | bytes]) -> None:
        """Send entries, each with an offset of its own."""
        datas = tuple(one if isinstance(one, bytes) else one.data for one in entries)
        frame = Entries(document, after, after + len(datas), datas)
        self.protocol.send_payload(encode_frame(frame))
        await self.flush()

    async def answer(self, heads: dict[int, Head], document: str = "board") -> None:
        """Answer the next Check."""
        check = await self.until(Check, lambda frame: frame.document == document)
        self.protocol.heads(document, heads, check.nonce)
        await self.flush()

    async def until_gone(self) -> None:
        """Read until the client has closed."""
        with anyio.fail_after(30):
            try:
                while True:
                    for payload in await self.stream.receive():
                        self.events += self.protocol.receive(payload)
            except TransportError:
                return


class ScriptedServer:
    """Hands out connections to a client, and their other ends to the test.

    Attributes:
        refuse: how many of the next tries find nobody.
        tries: how often the client has tried.
    """

    def __init__(self, limits: WireLimits | None = None) -> None:
        self.limits = limits
        self.refuse = 0
        self.tries = 0
        self._opened: list[Scripted] = []
        self._streams: list[MemoryFrameStream] = []
        self._news = anyio.Event()

    async def connect(self) -> MemoryFrameStream:
        """Be the client's connector."""
        self.tries += 1
        if self.refuse:
            self.refuse -= 1
            raise TransportError("nobody there")
        ours, theirs = memory_pair()
        self._opened.append(Scripted(theirs, self.limits))
        self._streams.append(theirs)
        self._news.set()
        return ours

    async def accept(self) -> Scripted:
        """Return the next connection, waiting for it."""
        with anyio.fail_after(30):
            while not self._opened:
                await self._news.wait()
                self._news = anyio.Event()
        return self._opened.pop(0)

    async def aclose(self) -> None:
        """Close all connections that were made."""
        for stream in self._streams:
            await stream.aclose()
