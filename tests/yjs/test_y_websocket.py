"""Stock clients of y-websocket against the real server, together with Python replicas."""

from __future__ import annotations

import pytest

from crdtsync import Document, List, Replica, Text
from crdtsync.server import MemoryBackend
from tests.server.yjs.harness import until
from tests.yjs.server import serving

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Board(Document):
    name: str = ""
    notes: Text
    stops: List[str]


async def test_what_javascript_writes_python_reads_and_the_reverse(peer):
    async with serving(MemoryBackend()) as server:
        replica = Replica(user="py")
        board = replica.document(Board, "board/1")
        async with replica.connect(server.native) as connection:
            await peer.run(
                """
                kept.a = join(url, 'board/1', { user: 'ann' })
                await until(() => kept.a.provider.synced)
                kept.a.doc.getText('notes').insert(0, 'Grüezi 😀!')
                kept.a.doc.getArray('stops').push(['Basel', 'Bern'])
                """,
                url=server.y,
            )
            await until(lambda: list(board.stops) and str(board.notes))
            assert str(board.notes) == "Grüezi 😀!"
            assert list(board.stops) == ["Basel", "Bern"]
            board.notes.insert(8, "😀")
            board.stops.insert(1, "Olten")
            await connection.synced()
            assert await peer.run(
                """
                await until(() => kept.a.doc.getArray('stops').length === 3)
                return [kept.a.doc.getText('notes').toString(),
                        kept.a.doc.getArray('stops').toJSON()]
                """
            ) == ["Grüezi 😀😀!", ["Basel", "Olten", "Bern"]]
            assert [entry.name for entry in board.log if entry.name == "yjs"]
