"""Yjs clients in rooms: what one writes all have, and the log has it with author and time."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import anyio
import pycrdt
import pytest

from crdtsync import Document, Replica, Text
from crdtsync.log import decode_entry
from crdtsync.proof import Prover
from crdtsync.server import MemoryBackend, SqliteBackend
from crdtsync.server.access import Level, PatternPolicy, Rule, refused
from crdtsync.server.authentication import Identity
from crdtsync.server.yjs import YjsLimits
from tests.server.yjs.harness import doors_of, until

pytestmark = pytest.mark.anyio


async def entries_of(backend, document="board"):
    rows = await backend.read(document, 0, 10**9)
    return [decode_entry(row.data) for row in rows]


async def test_two_clients_write_one_text():
    backend = MemoryBackend()
    async with doors_of(backend) as served:
        ann, bob = served.y(user="ann"), served.y(user="bob")
        await until(lambda: ann.synced and bob.synced)
        ann.text.insert(0, "hey 😀")
        await until(lambda: str(bob.text) == "hey 😀")
        bob.text.insert(0, "> ")
        await until(lambda: str(ann.text) == "> hey 😀")
        late = served.y()
        await until(lambda: str(late.text) == "> hey 😀")
    entries = await entries_of(backend)
    assert [entry.name for entry in entries] == ["yjs", "yjs"]
    assert [entry.user for entry in entries] == ["ann", "bob"]
    assert [entry.replica for entry in entries] == [ann.client_id, bob.client_id]
    assert entries[1].dependencies[0].hash == entries[0].hash
    assert entries[0].time < entries[1].time
    prover = Prover(lambda replica: next(e for e in entries if e.replica == replica))
    assert prover.proved(entries, {}) == 2
    assert prover.key_of(ann.client_id) is not None
