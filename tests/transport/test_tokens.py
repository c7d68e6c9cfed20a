"""Tokens over real sockets: shown, renewed while the connection lives, expired, and refused."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import jwt
import pytest
from anyio.abc import TaskStatus

from crdtsync import Document, Replica
from crdtsync.errors import RefusedError
from crdtsync.server import MemoryBackend, serve
from crdtsync.server.authentication.jwt import JwtAuthenticator
from crdtsync.server.authentication.keyset import secret_key
from crdtsync.transport import Connection

SECRET = bytes(range(32))


class Note(Document):
    title: str = ""


def token(user: str, seconds: float, audience: str = "notes") -> str:
    claims = {"sub": user, "aud": audience, "exp": time.time() + seconds}
    return jwt.encode(claims, SECRET, "HS256")


@asynccontextmanager
async def served(folder: Path, backend: MemoryBackend | None = None) -> AsyncIterator[str]:
    async with anyio.create_task_group() as tasks:
        authenticator = JwtAuthenticator([secret_key(SECRET)], audience="notes", leeway_s=0)

        async def run(*, task_status: TaskStatus[list[str]]) -> None:
            await serve(
                backend or MemoryBackend(),
                [f"unix://{folder}/s"],
                authenticator=authenticator,
                task_status=task_status,
            )

        (url,) = await tasks.start(run)
        yield url
        tasks.cancel_scope.cancel()


async def until(connection: Connection, state: str) -> None:
    async for _ in connection.events():
        if connection.state == state:
            return
    assert connection.state == state


async def test_a_token_lets_its_user_in_and_nobody_else(tmp_path: Path) -> None:
    async with served(tmp_path) as url:
        with Replica(user="ann") as ann, Replica(user="bob") as bob:
            ann.document(Note, "n").title = "hers"
            async with ann.connect(url, token=token("ann", 100)) as connection:
                with anyio.fail_after(30):
                    await connection.synced()
            for bad in (token("ann", 100), token("bob", -100), token("bob", 100, "mail"), None):
                async with bob.connect(url, token=bad) as connection:
                    with anyio.fail_after(30), pytest.raises(RefusedError) as refusal:
                        await connection.synced()
                    assert refusal.value.code == "authentication"
                    assert connection.state == "refused"
            his = bob.document(Note, "n")
            async with bob.connect(url, token=token("bob", 100)) as connection:
                with anyio.fail_after(30):
                    await connection.synced()
            assert his.title == "hers"


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_fresh_tokens_are_fetched_before_the_old_one_expires(
    tmp_path: Path, asynchronous: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crdtsync.transport.session._RENEW_BEFORE_S", 1.5)
    monkeypatch.setattr("crdtsync.transport.session._RENEW_CHECK_S", 0.1)
    fetched: list[str] = []

    def fetch() -> str:
        fetched.append(token("ann", 2))
        return fetched[-1]

    async def fetch_slowly() -> str:
        await anyio.sleep(0.01)
        return fetch()

    async with served(tmp_path) as url:
        with Replica(user="ann") as ann:
            note = ann.document(Note, "n")
            source: Callable[[], Any] = fetch_slowly if asynchronous else fetch
            async with ann.connect(url, token=source) as connection:
                with anyio.fail_after(30):
                    await connection.synced()
                    session = connection._session
                    await anyio.sleep(4)
                    note.title = "still here"
                    await connection.synced()
                    assert connection._session is session  # it was one connection all the time
            assert len(fetched) > 2


async def test_an_expired_token_loses_nothing(tmp_path: Path) -> None:
    backend = MemoryBackend()
    async with served(tmp_path, backend) as url:
        with Replica(user="ann") as ann:
            note = ann.document(Note, "n")
            async with ann.connect(url, token=token("ann", 3)) as connection:
                with anyio.fail_after(30):
                    await connection.synced()
                    await until(connection, "refused")
                note.title = "done meanwhile"
                with pytest.raises(RefusedError, match="expired"):
                    await connection.synced()
            async with ann.connect(url, token=token("ann", 100)) as connection:
                with anyio.fail_after(30):
                    await connection.synced()
    assert (await backend.state("n")).offset == 1


async def test_refresh_shows_a_fresh_token_at_once(tmp_path: Path) -> None:
    async with served(tmp_path) as url:
        with Replica(user="ann") as ann:
            note = ann.document(Note, "n")
            async with ann.connect(url, token=token("ann", 3)) as connection:
                with anyio.fail_after(30):
                    await connection.synced()
                    connection.refresh(token("ann", 100))
                    await anyio.sleep(4)
                    note.title = "later"
                    await connection.synced()
                assert connection.state == "online"


async def test_who_cannot_get_a_token_waits_and_works_on(tmp_path: Path) -> None:
    down = True

    def fetch() -> str:
        if down:
            raise OSError("the issuer is down")
        return token("ann", 100)

    async with served(tmp_path) as url:
        with Replica(user="ann") as ann:
            note = ann.document(Note, "n")
            async with ann.connect(url, token=fetch) as connection:
                with anyio.fail_after(30):
                    await until(connection, "waiting")
                    assert "issuer is down" in (connection.status.error or "")
                    note.title = "meanwhile"
                    down = False
                    await connection.synced()
