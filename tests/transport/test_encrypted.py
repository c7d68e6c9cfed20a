"""TLS: who is trusted, and what becomes of those who do not speak it."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import ByteStream

from crdtsync.errors import SyncError, TransportError
from crdtsync.sync import WireLimits
from crdtsync.transport import ByteFrameStream, FrameStream, connect_stream, listen
from tests.certificates import authority
from tests.web import serving_app

LIMITS = WireLimits(handshake_timeout_s=0.2)


async def echo(stream: FrameStream) -> None:
    try:
        while True:
            await stream.send(await stream.receive())
    except SyncError:
        return


@asynccontextmanager
async def echoing(url: str) -> AsyncIterator[str]:
    listener = await listen(url, LIMITS, authority().server)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, echo)
        yield listener.url
        tasks.cancel_scope.cancel()
    await listener.aclose()


async def check_echo(url: str) -> None:
    with anyio.fail_after(30):
        stream = await connect_stream(url, ssl_context=authority().client)
        await stream.send([b"one", bytes(100_000)])
        got: list[bytes] = []
        while len(got) < 2:
            got += await stream.receive()
        assert got == [b"one", bytes(100_000)]
        await stream.aclose()


async def test_who_is_not_known_is_not_trusted() -> None:
    async with echoing("tls://localhost:0") as url:
        with pytest.raises(TransportError, match=r"not trusted.*give an ssl_context") as caught:
            await connect_stream(url)
        assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
        await check_echo(url)


async def test_nor_is_who_has_another_name() -> None:
    async with echoing("tls://127.0.0.2:0") as url:
        with pytest.raises(TransportError, match=r"127\.0\.0\.2.*mismatch"):
            await connect_stream(url, ssl_context=authority().client)


async def test_the_same_on_the_web() -> None:
    async with serving_app(url="wss://127.0.0.1:0") as url:
        with pytest.raises(TransportError, match="not trusted"):
            await connect_stream(url)
        await (await connect_stream(url, ssl_context=authority().client)).aclose()


async def test_a_server_that_does_not_encrypt_is_reported() -> None:
    async with echoing("tcp://localhost:0") as url:
        with anyio.fail_after(30), pytest.raises(TransportError, match="tls://"):
            await connect_stream(url.replace("tcp", "tls"), ssl_context=authority().client)


async def test_a_server_that_answers_in_plain_is_called_so() -> None:
    async def goodbye(raw: ByteStream) -> None:
        async with raw:
            await raw.receive()
            await raw.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, goodbye)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        with anyio.fail_after(30):
            for scheme in ("tls", "wss"):
                with pytest.raises(TransportError, match="TLS is not spoken there"):
                    await connect_stream(f"{scheme}://127.0.0.1:{port}")
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("sent", [b"", b"\x00\x00\x00\x02hi", b"\x16\x03\x01\x02\x00" + bytes(99)])
async def test_a_client_that_does_not_is_let_go_and_harms_nobody(sent: bytes) -> None:
    async with echoing("tls://localhost:0") as url:
        host, port = url[6:].split(":")
        async with await anyio.connect_tcp(host, int(port)) as raw:
            if sent:
                await raw.send(sent)
            await check_echo(url)
            with anyio.fail_after(30):
                try:
                    while True:
                        await raw.receive()
                except (anyio.EndOfStream, anyio.BrokenResourceError):
                    pass
        await check_echo(url)


@pytest.mark.parametrize("url", ["tls://localhost:0", "wss://localhost:0"])
async def test_there_is_no_encryption_without_a_certificate(url: str) -> None:
    if url.startswith("tls"):
        with pytest.raises(TransportError, match="certificate"):
            await listen(url)
    else:
        from crdtsync.server import MemoryBackend, serve

        with pytest.raises(TransportError, match=r"certificate|asyncio only"):
            await serve(MemoryBackend(), [url])


class Busy(ByteStream):
    async def send(self, item: bytes) -> None:
        raise anyio.BusyResourceError("writing to")

    async def receive(self, max_bytes: int = 65536) -> bytes:
        raise anyio.BusyResourceError("writing to")

    async def send_eof(self) -> None: ...

    async def aclose(self) -> None: ...


async def test_a_peer_that_makes_tls_send_in_mid_sentence_ends_the_connection_only() -> None:
    stream = ByteFrameStream(Busy(), 10)
    with pytest.raises(TransportError, match="keys"):
        await stream.receive()
