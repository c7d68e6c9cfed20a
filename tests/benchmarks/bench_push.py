"""A push into a real server file: sealed, and judged; floor = the same push without that.

From the bytes that arrive to the commit that is flushed to the disk. Sealing, which is the
author's, counts as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from crdtsync import Document, Replica
from crdtsync.keys import DeviceKey
from crdtsync.limits import Limits
from crdtsync.log import EMPTY_HEAD, Entry, Head, make_entry, with_seal
from crdtsync.seal import KEY, make_seal
from crdtsync.server import ServerLimits, SqliteBackend
from crdtsync.server.access import (
    ALLOWED,
    AccessPolicy,
    AllowAll,
    Decision,
    JudgedAction,
    View,
    refused,
)
from crdtsync.server.authentication import Identity
from crdtsync.server.bench import Bench
from crdtsync.server.channel import Channels
from crdtsync.server.intake import read_push
from tests.benchmarks.ratio import measure

REPLICA = 2**52
ROUNDS = 30
LIMITS = Limits()


class Board(Document):
    name: str = ""


def updates(count: int) -> list[Entry]:
    """Return the entries of a replica that sets a field so often, with real CRDT updates."""
    with Replica() as replica:
        board = replica.document(Board, "board")
        for number in range(count):
            board.name = f"name {number}"
        return [*board.log]


class Batches:
    """Batches of one content, each for a document of its own, so that every one is new."""

    def __init__(self, count: int, key: DeviceKey | None) -> None:
        self._models = updates(count)
        self._key = key
        self._made = 0
        self._ready = [self._make() for _ in range(2 * ROUNDS)]

    def _make(self) -> list[Entry]:
        self._made += 1
        name = f"board/{id(self)}/{self._made}"
        head, entries = EMPTY_HEAD, []
        for model in self._models:
            extra = {KEY: self._key.public} if self._key is not None and not head.seq else {}
            entry = make_entry(
                name,
                model.replica,
                head,
                model.time,
                model.name,
                model.update,
                arguments=model.arguments,
                extra=extra,
            )
            head = Head(entry.seq, entry.hash)
            entries.append(entry)
        return entries

    def next(self) -> tuple[str, list[bytes]]:
        """Return a document's name and what is pushed of it, sealed where there is a key."""
        entries = self._ready.pop()
        last = entries[-1]
        if self._key is not None:
            seal = make_seal(self._key, last.document, last.replica, last)
            entries[-1] = with_seal(last, seal)
        return last.document, [entry.data for entry in entries]


class Server:
    """The way of a push through a server."""

    def __init__(self, portal: BlockingPortal, path: Path) -> None:
        self._portal = portal
        self._backend = portal.call(SqliteBackend, path)
        self._channels = Channels(self._backend, ServerLimits())

    def close(self) -> None:
        self._portal.call(self._backend.aclose)

    def pusher(self, batches: Batches, policy: AccessPolicy) -> Callable[[], None]:
        identity = Identity("ann")
        bench = Bench(
            policy,
            self._backend,
            lambda: identity,
            lambda: batches._models[0].replica,
            lambda: None,
            believes=True,
        )

        async def push() -> None:
            document, datas = batches.next()
            channel = await self._channels.join(document)
            entries = read_push(document, datas, LIMITS)
            await channel.check_seals(entries)
            entries = await bench.judge(entries, channel)
            appended = await self._backend.append(document, entries)
            self._channels.leave(channel)
            assert not appended.gap

        return lambda: self._portal.call(push)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with start_blocking_portal() as portal:
        server = Server(portal, tmp_path / "server.db")
        yield server
        server.close()


@pytest.mark.parametrize("count", [1, 10, 100, 1000])
def test_sealed(benchmark: Any, server: Server, count: int) -> None:
    measure(
        benchmark,
        f"a push of {count:,} entries, sealed and verified",
        ours=server.pusher(Batches(count, DeviceKey.generate()), AllowAll()),
        floor=server.pusher(Batches(count, None), AllowAll()),
        operations=count,
        rounds=ROUNDS,
        goal="≤ 1.5 times unsealed" if count >= 10 else "",
    )


class Judge:
    """Judges each action by its arguments, or by what the document holds."""

    def __init__(self, *, uses_view: bool) -> None:
        self.uses_view = uses_view

    def may_read(self, user: Identity, document: str) -> Decision:
        return ALLOWED

    def may_write(self, user: Identity, document: str) -> Decision:
        return ALLOWED

    def judge(self, action: JudgedAction, view: View) -> Decision:
        if self.uses_view:
            assert "locked" not in view()
        return refused("locked") if "locked" in action.arguments else ALLOWED


@pytest.mark.parametrize("by", ["arguments", "view"])
@pytest.mark.parametrize("count", [1, 100])
def test_judged(benchmark: Any, server: Server, by: str, count: int) -> None:
    measure(
        benchmark,
        f"a push of {count:,} entries, judged by its {by}",
        ours=server.pusher(Batches(count, None), Judge(uses_view=by == "view")),
        floor=server.pusher(Batches(count, None), AllowAll()),
        operations=count,
        rounds=ROUNDS,
        goal="≤ 1.5 times unjudged" if by == "arguments" else "",
    )
