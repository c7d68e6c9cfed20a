"""The examples of the page about Yjs run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import anyio
import pytest

from crdtsync import Document, Record, Replica, Table, Text
from crdtsync.server import MemoryBackend
from tests.server.yjs.harness import until
from tests.yjs.server import serving

pytestmark = pytest.mark.anyio

PAGE = Path(__file__).parents[2] / "docs" / "yjs.md"
BROWSER = "import WebSocket from 'ws'\nglobalThis.WebSocket = WebSocket\n"
SYNCED = """
while (!(provider.isSynced ?? provider.synced)) await new Promise(r => setTimeout(r, 5))
"""
DONE = "setTimeout(() => process.exit(0), 300)\n"


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Task(Record):
    title: str = ""
    notes: Text


class Board(Document):
    name: str = "Untitled"
    tasks: Table[Task]


@pytest.mark.parametrize("number", range(3))
async def test_example(node, node_folder, number):
    example = re.findall(r"```js\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)[number]
    async with serving(MemoryBackend()) as server:
        replica = Replica(user="py")
        board = replica.document(Board, "board/1")
        async with replica.connect(server.native):
            code = BROWSER + example.replace("ws://localhost:8765/", server.native)
            script = node_folder / f"example-{number}.mjs"
            script.write_text(code + SYNCED + "doc.getText('t').insert(0, 'x')\n" + DONE, "utf-8")
            done = await anyio.run_process([node, script.name], cwd=node_folder)
            assert done.stderr == b""
            await until(lambda: [entry.name for entry in board.log])
            if number == 2:
                (task,) = board.tasks.values()
                assert (board.name, task.title) == ("Groceries", "Buy oat milk")
                assert str(task.notes) == "the one with the cow"
                assert b"Groceries" in done.stdout
