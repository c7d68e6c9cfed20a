"""Listening, and stopping."""

from __future__ import annotations

import sys

import anyio
import pytest
from anyio.abc import TaskStatus

from crdtsync.errors import TransportError
from crdtsync.server import MemoryBackend, SqliteBackend, serve
from crdtsync.sync import Goodbye
from crdtsync.transport.url import connect_stream
from tests.server.authors import Author
from tests.server.client import Client


@pytest.mark.parametrize("url", ["tcp://0.0.0.0:0", "tcp://[::]:0", "tcp://example.com:80"])
async def test_it_does_not_open_itself_to_the_network_by_accident(url):
    with pytest.raises(TransportError, match="development mode"):
        await serve(MemoryBackend(), ["tcp://127.0.0.1:0", url])


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_what_is_not_installed_is_named(monkeypatch, anyio_backend):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "crdtsync.server.web.runner", raising=False)
    with pytest.raises(TransportError, match=r"pip install 'crdtsync\[server\]'"):
        await serve(MemoryBackend(), ["ws://127.0.0.1:0"])


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_on_trio_web_addresses_are_others_business(anyio_backend):
    with pytest.raises(TransportError, match="web_app"):
        await serve(MemoryBackend(), ["ws://127.0.0.1:0"])


async def test_an_address_in_use_is_an_error_and_leaves_nothing_open(tmp_path):
    backend = MemoryBackend()
    path = tmp_path / "server.sock"
    async with anyio.create_task_group() as tasks:

        async def run(*, task_status: TaskStatus[list[str]]) -> None:
            await serve(backend, ["tcp://127.0.0.1:0"], task_status=task_status)

        (taken,) = await tasks.start(run)
        with anyio.fail_after(30), pytest.raises(TransportError):
            await serve(MemoryBackend(), [f"unix://{path}", taken])
        assert not path.exists()
        tasks.cancel_scope.cancel()


async def test_one_server_on_several_addresses(tmp_path):
    backend = MemoryBackend()
    urls = ["tcp://127.0.0.1:0", f"unix://{tmp_path}/server.sock"]
    async with anyio.create_task_group() as tasks:

        async def run(*, task_status: TaskStatus[list[str]]) -> None:
            await serve(backend, urls, task_status=task_status)

        ann, bob = [Client(await connect_stream(url)) for url in await tasks.start(run)]
        for client in (ann, bob):
            await client.hello()
            await client.follow()
        author = Author(1)
        await ann.push_durably([author.write()])
        assert await bob.until_entries(1) == [author.entries[0].data]
        tasks.cancel_scope.cancel()
    for client in (ann, bob):
        await client.stream.aclose()


async def test_stopping_says_goodbye_and_keeps_what_was_acknowledged(tmp_path):
    author = Author(1)
    async with SqliteBackend(tmp_path / "server.db") as backend:
        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:

                async def run(*, task_status: TaskStatus[list[str]]) -> None:
                    await serve(
                        backend, [f"unix://{tmp_path}/server.sock"], task_status=task_status
                    )

                (url,) = await tasks.start(run)
                client = Client(await connect_stream(url))
                await client.hello()
                await client.follow()
                receipt = await client.push_durably(author.write_many(3))
                await client.push(author.write_many(3))
                tasks.cancel_scope.cancel()
        goodbye = await client.until(Goodbye)
        assert goodbye.code == "stopping"
        assert goodbye.retry_after_ms is not None
        await client.stream.aclose()
        with pytest.raises(TransportError):
            await connect_stream(url)
        # The backend is still the caller's.
        assert (await backend.state("board")).heads[1].seq >= receipt.seq
