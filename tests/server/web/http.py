"""HTTP requests to an ASGI application, without a network."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import anyio

from crdtsync.server import WebApp

__all__ = ["Reader", "Reply", "ask", "reading"]


class Reply:
    """An answer as it comes."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.ended = False

    @property
    def text(self) -> str:
        return self.body.decode().strip()

    @property
    def data(self) -> Any:
        return json.loads(self.body)

    async def take(self, event: Any) -> None:
        if event["type"] == "http.response.start":
            assert self.status == 0
            self.status = event["status"]
            self.headers = {name.decode(): text.decode() for name, text in event["headers"]}
        else:
            assert self.status
            assert not self.ended
            self.body += event["body"]
            self.ended = not event.get("more_body", False)


def scope_of(url: str, method: str, headers: dict[str, str], root: str, scheme: str) -> Any:
    parts = urlsplit(url)
    told = {"host": "localhost"} | headers
    return {
        "type": "http",
        "method": method,
        "scheme": scheme,
        "path": root + parts.path,
        "root_path": root,
        "query_string": parts.query.encode(),
        "headers": [(name.encode(), text.encode()) for name, text in told.items()],
        "client": ("127.0.0.1", 1),
    }


async def ask(
    app: WebApp,
    url: str,
    method: str = "GET",
    body: bytes = b"",
    *,
    root: str = "",
    scheme: str = "http",
    cut: bool = False,
    **headers: str,
) -> Reply:
    """Ask for something, and wait for all of the answer. Of header names `_` stands for `-`."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    events = [{"type": "http.request", "body": body, "more_body": cut}]
    reply = Reply()

    async def receive() -> Any:
        return events.pop(0) if events else {"type": "http.disconnect"}

    await app(scope_of(url, method, named, root, scheme), receive, reply.take)
    assert reply.ended
    return reply


class Reader:
    """Reads server-sent events."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.ids: list[str] = []
        self._read = 0
        self.grown = anyio.Event()

    async def until(self, name: str) -> Any:
        """Return what the next event of a name tells."""
        with anyio.fail_after(20):
            while True:
                while (event := self._next()) is not None:
                    if event.get("event") == name:
                        return json.loads(event["data"])
                assert not self.reply.ended
                await self.grown.wait()

    def _next(self) -> dict[str, str] | None:
        at = self.reply.body.find(b"\n\n", self._read)
        if at < 0:
            return None
        text = self.reply.body[self._read : at].decode()
        self._read = at + 2
        event = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
        self.ids += [event["id"]] if "id" in event else []
        return event


@asynccontextmanager
async def reading(app: WebApp, url: str, **headers: str) -> AsyncIterator[Reader]:
    """Follow a stream of events while the context is open."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    reader = Reader(Reply())
    gone = anyio.Event()

    async def receive() -> Any:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(event: Any) -> None:
        await reader.reply.take(event)
        grown, reader.grown = reader.grown, anyio.Event()
        grown.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(app, scope_of(url, "GET", named, "", "http"), receive, send)
        yield reader
        gone.set()
