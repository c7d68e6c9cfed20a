"""`crdtsync connections`: what a server's file knows, and retiring while the server runs."""

from __future__ import annotations

import json

import anyio
import pytest

from crdtsync.errors import RefusedError
from crdtsync.replica import Replica
from crdtsync.server import SqliteBackend, serve
from crdtsync.transport import connect
from crdtsync.transport.greeting import client_id
from tests.document.boards import Board


async def test_shows_and_retires_while_a_server_runs(run, tmp_path):
    path = tmp_path / "server.db"
    with Replica(user="ann") as ann:
        ann.document(Board, "board").name = "x"
        async with SqliteBackend(path) as backend, anyio.create_task_group() as tasks:
            [url] = await tasks.start(serve, backend, [f"unix://{tmp_path}/socket"])
            async with connect(ann, url) as connection:
                await connection.synced()
                while not await backend.followed(client_id(ann.id)):  # noqa: ASYNC110 - in batches
                    await anyio.sleep(0.05)
                [shown] = json.loads(run("connections", "--data", path, "--json").output)
                assert shown["connection"] == client_id(ann.id).hex()
                assert (shown["user"], shown["state"]) == ("ann", "active")
                assert list(shown["documents"]) == ["board"]
                told = run("connections", "--data", path, "--user", "ann").output
                assert "active" in told
                assert "  1 document  " in told
                assert (
                    run("connections", "--data", path, "--user", "eve").output
                    == "no connections of eve\n"
                )
                retired = run("connections", "--data", path, "--retire", shown["connection"])
                assert "retired by the operator" in retired.output
                with anyio.fail_after(30), pytest.raises(RefusedError, match="retired"):
                    while True:
                        await connection.synced()
                        await anyio.sleep(0.05)
            tasks.cancel_scope.cancel()
    assert run("connections", "--data", path, "--retire", "00" * 16).exit_code == 1
    assert run("connections", "--data", path, "--retire", "nobody").exit_code == 2
