"""Who is let in: users by their tokens, devices by their keys, and nobody before that."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from crdtsync.errors import AuthenticationError, RemoteProtocolError
from crdtsync.keys import DeviceKey, sign_challenge
from crdtsync.log import EMPTY_HEAD, EMPTY_UPDATE, make_entry
from crdtsync.server import Backend, Hub, MemoryBackend, ServerLimits, SqliteBackend
from crdtsync.server.access import AccessPolicy, Level, PatternPolicy, Rule
from crdtsync.server.authentication import Authenticator, Identity
from crdtsync.server.devices import Device
from crdtsync.sync import Challenge, Goodbye, Receipt, Renewed, Welcome, WireLimits, encode_frame
from crdtsync.sync.frames import Failed, Subscribe
from crdtsync.transport.stream import memory_pair
from tests.server.authors import Author
from tests.server.client import Client


class Tokens:
    """Knows who has which token, and until when."""

    requires_loopback = False

    def __init__(self, users: dict[str, Identity]) -> None:
        self.users = users

    async def authenticate(self, token: str | None, *, user: str | None) -> Identity:
        if token == "fault":
            raise RuntimeError("the directory is down")
        if token == "never":
            await anyio.sleep_forever()
        identity = self.users.get(token or "")
        if identity is None or (user is not None and user != identity.user):
            raise AuthenticationError("that is no token of yours")
        return identity


USERS = {"a": Identity("ann"), "b": Identity("bob")}


@asynccontextmanager
async def server(
    backend: Backend,
    authenticator: Authenticator | None = None,
    *,
    names: list[str] | None = None,
    limits: ServerLimits | None = None,
    policy: AccessPolicy | None = None,
) -> AsyncIterator[Callable[[], Client]]:
    """Serve a backend; what is yielded makes a client."""
    async with (
        anyio.create_task_group() as tasks,
        Hub(backend, limits, authenticator=authenticator, names=names, policy=policy) as hub,
    ):
        clients: list[Client] = []

        def connect() -> Client:
            here, there = memory_pair()
            tasks.start_soon(hub.serve, there)
            clients.append(Client(here))
            return clients[-1]

        yield connect
        for client in clients:
            await client.stream.aclose()
        tasks.cancel_scope.cancel()


async def knock(
    client: Client,
    key: DeviceKey | None,
    *,
    token: str | None = "a",
    user: str | None = "ann",
    replica: int = 7,
    sign: Callable[..., bytes] = sign_challenge,
    server: str = "here",
) -> Welcome | Goodbye:
    """Say Hello, answer the challenge, and return what the server says then."""
    installation = secrets.token_bytes(16)
    client.protocol.hello(
        client=installation,
        replica=replica,
        software="tests",
        user=user,
        token=token,
        key=None if key is None else key.public,
    )
    await client.flush()
    with anyio.fail_after(30):
        while True:
            for event in client.events:
                if isinstance(event, Welcome | Goodbye):
                    return event
                if isinstance(event, Challenge) and key is not None:
                    signature = sign(
                        key,
                        event.nonce,
                        server=server,
                        epoch=event.epoch,
                        client=installation,
                        replica=replica,
                    )
                    client.protocol.prove(server, signature)
                    await client.flush()
            client.events.clear()
            await client.receive()


@pytest.fixture(params=["memory", "sqlite"])
async def backend(request: Any, tmp_path: Any) -> AsyncIterator[Backend]:
    made = MemoryBackend() if request.param == "memory" else SqliteBackend(tmp_path / "s.db")
    yield made
    await made.aclose()


async def test_a_device_is_bound_for_good(backend: Backend) -> None:
    key, other = DeviceKey.generate(), DeviceKey.generate()
    async with server(backend, Tokens(USERS)) as connect:
        for _ in range(2):
            assert isinstance(await knock(connect(), key), Welcome)
        stranger = await knock(connect(), other)
        assert isinstance(stranger, Goodbye)
        assert stranger.code == "authentication"
        assert "belongs to another device" in stranger.reason
        thief = await knock(connect(), key, token="b", user="bob")
        assert isinstance(thief, Goodbye)
        assert "belongs to another user" in thief.reason
        assert isinstance(await knock(connect(), other, replica=8, token="b", user="bob"), Welcome)
    assert await backend.devices() == [
        Device(7, key.public, "ann", False),
        Device(8, other.public, "bob", False),
    ]


@pytest.mark.parametrize("token", [None, "", "x", "fault"])
async def test_without_a_token_of_ones_own_nobody_is_let_in(token: str | None) -> None:
    backend = MemoryBackend()
    async with server(backend, Tokens(USERS)) as connect:
        said = await knock(connect(), DeviceKey.generate(), token=token)
        assert isinstance(said, Goodbye)
        assert said.code == "authentication"
        assert "directory" not in said.reason
        forged = await knock(connect(), DeviceKey.generate(), token="b", user="ann")
        assert isinstance(forged, Goodbye)
        nameless = await knock(connect(), None)
        assert isinstance(nameless, Goodbye)
        assert "device key" in nameless.reason
    assert await backend.devices() == []


def signs_another_nonce(key: DeviceKey, nonce: bytes, **facts: Any) -> bytes:
    return sign_challenge(key, bytes(32), **facts)


def signs_for_another_replica(key: DeviceKey, nonce: bytes, **facts: Any) -> bytes:
    return sign_challenge(key, nonce, **{**facts, "replica": 8})


def signs_with_another_key(key: DeviceKey, nonce: bytes, **facts: Any) -> bytes:
    return sign_challenge(DeviceKey.generate(), nonce, **facts)


def signs_nothing(key: DeviceKey, nonce: bytes, **facts: Any) -> bytes:
    return b""


def signs_for_another_epoch(key: DeviceKey, nonce: bytes, **facts: Any) -> bytes:
    return sign_challenge(key, nonce, **{**facts, "epoch": bytes(16)})


@pytest.mark.parametrize(
    "sign",
    [
        signs_another_nonce,
        signs_for_another_replica,
        signs_with_another_key,
        signs_nothing,
        signs_for_another_epoch,
    ],
)
async def test_who_has_not_the_key_is_not_let_in(sign: Callable[..., bytes]) -> None:
    backend = MemoryBackend()
    async with server(backend) as connect:
        said = await knock(connect(), DeviceKey.generate(), sign=sign)
        assert isinstance(said, Goodbye)
        assert "not signed with the device's key" in said.reason
    assert await backend.devices() == []


async def test_a_challenge_that_another_server_passed_on_is_of_no_use() -> None:
    async with server(MemoryBackend(), names=["sync.example"]) as connect:
        key = DeviceKey.generate()
        relayed = await knock(connect(), key, server="evil.example")
        assert isinstance(relayed, Goodbye)
        assert "not known as 'evil.example'" in relayed.reason
        assert isinstance(await knock(connect(), key, server="sync.example"), Welcome)


async def test_nothing_is_processed_before_the_proof() -> None:
    backend = MemoryBackend()
    async with server(backend, Tokens(USERS)) as connect:
        client, key = connect(), DeviceKey.generate()
        client.protocol.hello(
            client=bytes(16), replica=7, software="t", user="ann", token="a", key=key.public
        )
        hello = client.protocol.data_to_send()
        await client.stream.send([*hello, encode_frame(Subscribe("board", 0, {}, None))])
        with pytest.raises(RemoteProtocolError):
            while True:
                for payload in await client.stream.receive():
                    for event in client.protocol.receive(payload):
                        if isinstance(event, Goodbye):
                            assert event.code == "protocol"
                            raise RemoteProtocolError(event.reason)
    assert await backend.devices() == []


async def test_an_authenticator_that_never_answers_costs_the_deadline_only() -> None:
    limits = ServerLimits(wire=WireLimits(handshake_timeout_s=0.2), close_timeout_s=0.2)
    async with server(MemoryBackend(), Tokens(USERS), limits=limits) as connect:
        said = await knock(connect(), DeviceKey.generate(), token="never")
        assert isinstance(said, Goodbye)
        assert said.code == "timeout"
        assert isinstance(await knock(connect(), DeviceKey.generate()), Welcome)


async def test_a_revoked_device_is_sent_away_and_stays_out(backend: Backend) -> None:
    key, author = DeviceKey.generate(), Author(70)
    async with server(backend, Tokens(USERS)) as connect:
        client = connect()
        assert isinstance(await knock(client, key), Welcome)
        await client.subscribe()
        await client.push_durably([author.write()])
        assert await backend.revoke(7)
        assert not await backend.revoke(8)
        goodbye = await client.until_goodbye()
        assert (goodbye.code, goodbye.reason) == ("authentication", "this device was revoked")
        again = await knock(connect(), key)
        assert isinstance(again, Goodbye)
        assert "was revoked" in again.reason
        assert isinstance(await knock(connect(), DeviceKey.generate(), replica=8), Welcome)
    assert (await backend.state("board")).offset == 1  # its log stays what it was


async def test_an_expired_token_stops_new_work_and_loses_nothing() -> None:
    users = {"a": Identity("ann", time.time() + 1.2), "later": Identity("ann", time.time() + 1000)}
    backend, author = MemoryBackend(), Author(70)
    async with server(backend, Tokens(users)) as connect:
        client = connect()
        welcome = await knock(client, DeviceKey.generate())
        assert isinstance(welcome, Welcome)
        assert welcome.expires == int((users["a"].expires or 0) * 1000)
        await client.subscribe()
        await client.push_durably([author.write()])
        goodbye = await client.until_goodbye()
        assert goodbye.code == "expired"
    assert (await backend.state("board")).offset == 1


async def test_a_token_is_renewed_on_a_live_connection() -> None:
    now = time.time()
    users = {
        "a": Identity("ann", now + 1.2),
        "later": Identity("ann", now + 1000),
        "b": Identity("bob", now + 1000),
    }
    author = Author(70)
    async with server(MemoryBackend(), Tokens(users)) as connect:
        client = connect()
        assert isinstance(await knock(client, DeviceKey.generate()), Welcome)
        client.protocol.renew("later")
        await client.flush()
        assert (await client.until(Renewed)).expires == int((now + 1000) * 1000)
        await anyio.sleep(max(0.0, now + 2.5 - time.time()))
        await client.subscribe()
        assert isinstance(await client.push_durably([author.write()]), Receipt)
        client.protocol.renew("b")
        await client.flush()
        assert (await client.until_goodbye()).code == "authentication"


async def test_a_fresh_token_that_shows_less_ends_what_may_not_be_read_any_more() -> None:
    users = {
        "in": Identity("ann", claims={"groups": ["team"]}),
        "out": Identity("ann", claims={"groups": []}),
    }
    policy = PatternPolicy(
        [
            Rule(Level.WRITE, ("board",), groups=frozenset({"team"})),
            Rule(Level.READ, ("news",), everybody=True),
        ]
    )
    async with server(MemoryBackend(), Tokens(users), policy=policy) as connect:
        client = connect()
        assert isinstance(await knock(client, DeviceKey.generate(), token="in"), Welcome)
        for document in ("board", "news"):
            await client.follow(document)
        client.protocol.renew("out")
        await client.flush()
        failed = await client.until(Failed)
        assert (failed.document, failed.code) == ("board", "forbidden")
        assert client.protocol.is_live("news")


async def test_nobody_writes_in_another_user_s_name() -> None:
    backend, author = MemoryBackend(), Author(70)
    async with server(backend, Tokens(USERS)) as connect:
        client = connect()
        assert isinstance(await knock(client, DeviceKey.generate()), Welcome)
        await client.subscribe()
        forged = make_entry("board", 7, EMPTY_HEAD, 1, "a", EMPTY_UPDATE, extra={"user": "bob"})
        await client.push([forged])
        failed = await client.until(Failed)
        assert failed.code == "foreign"
        assert "in the name of user 'bob'" in failed.reason
        await client.subscribe()
        await client.push_durably([author.write()])
    assert (await backend.state("board")).offset == 1


async def test_a_device_without_a_user_may_get_one_once(backend: Backend) -> None:
    key = DeviceKey.generate()
    async with server(backend) as connect:
        assert isinstance(await knock(connect(), key, user=None), Welcome)
        assert isinstance(await knock(connect(), key, user="ann"), Welcome)
        assert isinstance(await knock(connect(), key, user="bob"), Goodbye)
        assert isinstance(await knock(connect(), key, user=None), Goodbye)
    assert await backend.device(7) == Device(7, key.public, "ann", False)
    assert await backend.device(8) is None
