"""What is particular to SQLite: faults of the disk and of the file."""

from __future__ import annotations

import apsw
import pytest

from crdtsync.errors import CorruptLogError, StorageError, StoreLockedError
from crdtsync.server.backends import SqliteBackend
from tests.server.authors import Author


async def test_every_commit_reaches_the_disk(tmp_path):
    async with SqliteBackend(tmp_path / "server.db") as backend:
        full = 2
        assert backend._connection.pragma("synchronous") == full
        assert backend._connection.pragma("journal_mode") == "wal"


async def test_a_file_belongs_to_one_server(tmp_path):
    async with SqliteBackend(tmp_path / "server.db"):
        with pytest.raises(StoreLockedError):
            SqliteBackend(tmp_path / "server.db")
    async with SqliteBackend(tmp_path / "server.db"):
        pass


async def test_a_full_disk_refuses_what_does_not_fit_and_goes_on(tmp_path):
    ann, bob = Author(1), Author(2, "other")
    async with SqliteBackend(tmp_path / "server.db") as backend:
        told: list[str] = []
        backend.watch(lambda added: told.append(added.document))
        await backend.append("board", ann.write_many(2))
        state = await backend.state("board")
        pages = backend._connection.pragma("page_count")
        backend._connection.pragma("max_page_count", pages)
        with pytest.raises(StorageError, match="full"):
            await backend.append("board", ann.write_many(2, size=50_000))
        with pytest.raises(StorageError, match="full"):
            await backend.append("other", bob.write_many(2, size=50_000))
        assert await backend.state("board") == state
        assert await backend.documents() == ["board"]
        assert len(await backend.read("board", 0, 2**20)) == 2
        assert told == ["board"]
        backend._connection.pragma("max_page_count", 2**20)
        await backend.append("board", ann.entries)
        await backend.append("other", bob.entries)
        assert (await backend.state("board")).heads == {1: ann.head}
        assert told == ["board", "board", "other"]


async def test_a_damaged_head_is_reported_and_the_other_documents_go_on(tmp_path):
    path = tmp_path / "server.db"
    ann, bob = Author(1), Author(2, "other")
    async with SqliteBackend(path) as backend:
        await backend.append("board", ann.write_many(3))
        await backend.append("other", bob.write_many(3))
    for damage in (b"\xff", ann.entries[1].data):
        connection = apsw.Connection(str(path))
        connection.execute("UPDATE entries SET data = ? WHERE replica = 1 AND seq = 3", (damage,))
        connection.close()
        async with SqliteBackend(path) as backend:
            with pytest.raises(CorruptLogError) as caught:
                await backend.append("board", [ann.write()])
            assert (caught.value.document, caught.value.seq) == ("board", 3)
            assert caught.value.position == 3
            with pytest.raises(CorruptLogError):
                await backend.state("board")
            await backend.append("other", [bob.write()])


async def test_a_failed_read_is_a_storage_error(tmp_path):
    async with SqliteBackend(tmp_path / "server.db") as backend:
        await backend.append("board", [Author(1).write()])
        backend._connection.execute("DROP TABLE entries")
        with pytest.raises(StorageError):
            await backend.read("board", 0, 1)
