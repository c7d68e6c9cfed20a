"""A server that asks for tokens and keys, and clients that drive the frames themselves."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Self

import anyio
import jwt
from anyio.abc import TaskStatus

from crdtsync import Replica
from crdtsync.keys import sign_challenge
from crdtsync.log import Entry
from crdtsync.server import Backend, SqliteBackend, serve
from crdtsync.server.access import ALLOWED, Decision, JudgedAction, View, refused
from crdtsync.server.authentication import Identity
from crdtsync.server.authentication.jwt import JwtAuthenticator
from crdtsync.server.authentication.keyset import secret_key
from crdtsync.sync import (
    Challenge,
    Failed,
    Frame,
    Goodbye,
    Heads,
    Receipt,
    Welcome,
)
from crdtsync.transport import Connection, FrameStream
from crdtsync.transport.url import connect_stream
from tests.adversary.forger import Forger
from tests.server.client import Client

__all__ = ["House", "Intruder", "Policy", "house", "token"]

SECRET = bytes(range(32))
ANY: Any = Frame


def token(user: str, seconds: float = 1000, audience: str = "boards") -> str:
    """Return a token that the house's key has signed."""
    claims = {"sub": user, "aud": audience, "exp": time.time() + seconds}
    return jwt.encode(claims, SECRET, "HS256")


class Policy:
    """Everybody may do everything, but an action of this name, which is refused."""

    def may_read(self, user: Identity, document: str) -> Decision:
        return ALLOWED

    def may_write(self, user: Identity, document: str) -> Decision:
        return ALLOWED

    def judge(self, action: JudgedAction, view: View) -> Decision:
        return refused("not this") if action.name == "forbidden" else ALLOWED


class Intruder(Client):
    """Has a valid token and a valid key, and no manners."""

    @classmethod
    async def enter(
        cls, stream: FrameStream, forger: Forger, *, replica: int | None = None, **shown: Any
    ) -> Self:
        """Say hello, and be let in or told why not: see `events`.

        Args:
            stream: the connection.
            forger: whose log it is going to push, and whose key it has.
            replica: the id to connect under, if it is not the forger's.
            shown: what else to say, instead of the truth.
        """
        intruder = cls(stream)
        client, replica = secrets.token_bytes(16), replica or forger.replica
        shown = {"token": token("eve"), "key": forger.key.public} | shown
        intruder.protocol.hello(client=client, replica=replica, software="evil", **shown)
        await intruder.flush()
        answer = await intruder.until_one_of(Challenge, Goodbye)
        if isinstance(answer, Challenge):
            signature = sign_challenge(
                forger.key,
                answer.nonce,
                server="s",
                epoch=answer.epoch,
                client=client,
                replica=replica,
            )
            intruder.protocol.prove("s", signature)
            await intruder.flush()
            await intruder.until_one_of(Welcome, Goodbye)
        return intruder

    async def until_one_of(self, *kinds: type[Any]) -> Frame:
        """Return the first event of these kinds that was not returned before."""
        found: Frame = await self.until(ANY, lambda event: isinstance(event, kinds))
        return found

    async def answer(self, entries: Sequence[Entry], document: str = "b") -> Frame:
        """Push entries, and return what the server says to that."""
        if not self.protocol.is_live(document):
            await self.subscribe(document)
        await self.push(entries, document)
        nonce = self.protocol.check(document)
        await self.flush()
        found: Frame = await self.until(
            ANY,
            lambda event: (
                isinstance(event, Receipt | Failed | Goodbye)
                or (isinstance(event, Heads) and event.nonce in {0, nonce})
            ),
        )
        return found


class House:
    """A server, and honest people who connect to it.

    Attributes:
        url: where it listens.
        backend: what it holds.
    """

    def __init__(self, url: str, backend: Backend) -> None:
        self.url = url
        self.backend = backend
        self.streams: list[FrameStream] = []

    async def enter(self, forger: Forger, **shown: Any) -> Intruder:
        """Let an intruder try."""
        self.streams.append(await connect_stream(self.url))
        return await Intruder.enter(self.streams[-1], forger, **shown)

    def connect(self, replica: Replica) -> AbstractAsyncContextManager[Connection]:
        """Connect an honest replica."""
        assert replica.user is not None
        return replica.connect(self.url, token=token(replica.user))

    async def sync(self, *replicas: Replica) -> None:
        """Let all hold what all have done."""
        with anyio.fail_after(60):
            for _ in range(2):
                for replica in replicas:
                    async with self.connect(replica) as connection:
                        await connection.synced()


@asynccontextmanager
async def house(
    folder: Path, policy: Any = None, *, make: Callable[[Path], Any] = SqliteBackend
) -> AsyncIterator[House]:
    """Serve a real file over a real socket, in earnest: with tokens, keys and a policy."""
    authenticator = JwtAuthenticator([secret_key(SECRET)], audience="boards", leeway_s=0)
    async with make(folder / "server.db") as backend, anyio.create_task_group() as tasks:

        async def run(*, task_status: TaskStatus[list[str]]) -> None:
            await serve(
                backend,
                [f"unix://{folder}/s"],
                authenticator=authenticator,
                policy=policy or Policy(),
                task_status=task_status,
            )

        (url,) = await tasks.start(run)
        home = House(url, backend)
        try:
            with anyio.fail_after(60):
                yield home
        finally:
            for stream in home.streams:
                await stream.aclose()
        tasks.cancel_scope.cancel()
