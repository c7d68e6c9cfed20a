"""The module with which front ends read and write fields, against Python replicas."""

from __future__ import annotations

import datetime
import decimal
import math
import uuid

import pytest

from crdtsync import Document, Record, Replica, Table, Text, field
from crdtsync.codec import decode, encode
from crdtsync.server import MemoryBackend
from crdtsync.strategies import KeepAll
from tests.server.yjs.harness import until
from tests.yjs.server import serving

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Task(Record):
    title: str = ""
    done: bool = False
    notes: Text


class Board(Document):
    name: str = "Untitled"
    size: int = 0
    anything: object = None
    choices: str = field(default="", strategy=KeepAll())
    tasks: Table[Task]


async def test_fields_are_written_on_both_sides_and_read_on_the_other(peer):
    async with serving(MemoryBackend()) as server:
        replica = Replica(user="py")
        board = replica.document(Board, "board")
        async with replica.connect(server.native) as connection:
            board.name = "Groceries"
            board.tasks.add(key="a/b @1", title="milk 😀")
            await connection.synced()
            found = await peer.run(
                """
                const doc = new Y.Doc()
                const board = kept.board = new fields.Fields(doc)
                kept.a = join(url, 'board', { user: 'ann' }, { doc })
                await until(() => kept.a.provider.synced)
                const found = [board.get('name'), board.records('tasks'),
                  board.get(fields.path('tasks', 'a/b @1', 'title')), board.get('size') ?? 'unset']
                board.set('name', 'Errands')
                board.set('size', 3)
                board.set('anything', [1.5, null, { 'ä': [true, new Uint8Array([1, 2])] }])
                board.set('tasks/t2/title', 'bread')
                board.set('tasks/t2/done', true)
                doc.getText('tasks/t2/notes').insert(0, 'dark')
                return found
                """,
                url=server.y,
            )
            assert found == ["Groceries", ["a/b @1"], "milk 😀", "unset"]
            await until(lambda: "t2" in board.tasks and str(board.tasks["t2"].notes) == "dark")
            assert (board.name, board.size) == ("Errands", 3)
            assert board.anything == [1.5, None, {"ä": [True, b"\1\2"]}]
            assert board.tasks["t2"].done is True
            assert board.conflicts() == []
            board.tasks["t2"].title = "rye bread"
            board.name = "All errands"
            assert await peer.run(
                """
                await until(() => kept.board.get('name') === 'All errands')
                // The number of its entry counts the letters before, which come in one turn.
                for (let n = 0; n < 20; n++) kept.a.doc.getText('tasks/t2/notes').insert(0, 'x')
                kept.board.set('name', 'Done')
                return [kept.board.get('tasks/t2/title'), kept.board.candidates('name').length]
                """
            ) == ["rye bread", 1]
            await until(lambda: board.name == "Done")
            (candidate,) = board.candidates("name")
            assert candidate.user == "ann"
            # The write names the entry that the server has made of it.
            last = [entry.seq for entry in board.log if entry.replica == candidate.replica][-1]
            assert candidate.seq == last > 1
            assert {e.user for e in board.log if e.seq == 1} == {"py", "ann"}


async def test_writes_that_have_not_seen_each_other_stand_side_by_side(peer):
    async with serving(MemoryBackend()) as server:
        replica = Replica(user="py")
        board = replica.document(Board, "board")
        async with replica.connect(server.native) as connection:
            board.choices = "first"
            await connection.synced()
            await peer.run(
                """
                const make = () => {
                  const doc = new Y.Doc()
                  const board = new fields.Fields(doc)
                  return { board, ...join(url, 'board', {}, { doc }) }
                }
                kept.a = make(); kept.b = make()
                await until(() => kept.a.provider.synced && kept.b.provider.synced)
                kept.a.provider.disconnect(); kept.b.provider.disconnect()
                kept.a.board.set('choices', 'tea')
                kept.b.board.set('choices', 'coffee')
                kept.a.provider.connect(); kept.b.provider.connect()
                await until(() => kept.a.board.candidates('choices').length === 2 &&
                  kept.b.board.candidates('choices').length === 2)
                """,
                url=server.y,
            )
            await until(lambda: len(board.conflicts()) == 1)
            values = {candidate.value for candidate in board.conflicts()[0].candidates}
            assert values == {"tea", "coffee"}
            assert (
                await peer.run(
                    """
                kept.b.board.set('choices', 'water')
                await until(() => kept.a.board.candidates('choices').length === 1)
                return kept.a.board.get('choices')
                """
                )
                == "water"
            )
            await until(lambda: board.conflicts() == [])
            assert board.choices == "water"


async def test_records_are_deleted_and_come_back_as_in_python(peer):
    async with serving(MemoryBackend()) as server:
        replica = Replica(user="py")
        board = replica.document(Board, "board")
        async with replica.connect(server.native) as connection:
            for key in "t1", "t2", "t3":
                board.tasks.add(key=key, title=key)
            await connection.synced()
            await peer.run(
                """
                const doc = new Y.Doc()
                kept.board = new fields.Fields(doc)
                kept.a = join(url, 'board', {}, { doc })
                await until(() => kept.a.provider.synced)
                kept.board.deleteRecord('tasks', 't1')
                kept.a.provider.disconnect()
                kept.board.deleteRecord('tasks', 't2')
                """,
                url=server.y,
            )
            await until(lambda: "t1" not in board.tasks)
            board.tasks["t2"].title = "still needed"  # which the deletion has not seen
            del board.tasks["t3"]
            await connection.synced()
            records = await peer.run(
                """
                kept.a.provider.connect()
                await until(() => kept.board.get('tasks/t2/title') === 'still needed')
                await until(() => !kept.board.records('tasks').includes('t3'))
                kept.board.addRecord('tasks', 't4')
                kept.board.remove('tasks/t2/done')
                return kept.board.records('tasks')
                """
            )
            await until(lambda: "t4" in board.tasks)
            assert records == ["t2", "t4"]
            assert list(board.tasks) == ["t2", "t4"]
            assert await peer.run(
                """
                kept.board.deleteRecord('tasks', 't2')
                return kept.board.records('tasks')
                """
            ) == ["t4"]
            await until(lambda: list(board.tasks) == ["t4"])


async def test_every_value_is_carried_exactly(peer):
    values = [
        *(0, 1, 23, 24, 255, 256, 65535, 65536, 2**32, 2**53 - 1, 2**53, 2**64 - 1, 2**64, 10**30),
        *(-1, -24, -25, -256, -(2**53), -(2**63), -(2**64), -(10**30)),
        *(1.5, -0.1, 1e300, 5e-324, math.inf, 65504.0, 2.0**-24, 1.1),
        *("", "ä😀", b"", b"\xff" * 300, [], {}, {"k": [None, {"": False}]}, list(range(300))),
        decimal.Decimal("1.10"),
        uuid.UUID(int=7),
        datetime.date(2026, 2, 28),
        datetime.datetime(2026, 2, 28, 12, tzinfo=datetime.UTC),
    ]
    back = await peer.run(
        """
        const again = hex => fields.encode(fields.decode(Buffer.from(hex, 'hex')))
        return hexes.map(hex => Buffer.from(again(hex)).toString('hex'))
        """,
        hexes=[encode(value).hex() for value in values],
    )
    for value, data in zip(values, back, strict=True):
        assert decode(bytes.fromhex(data)) == value


async def test_what_is_no_slot_is_passed_over(peer):
    outcome = await peer.run(
        """
        const doc = new Y.Doc()
        const slots = doc.getMap('slots')
        slots.set('name@7.0', new Uint8Array([0xff]))
        slots.set('name@x', new Uint8Array([1]))
        slots.set('no key at all', 'text')
        slots.set('name@8.0', fields.encode(['one', 2, 3]))
        slots.set('name@9.0', new Uint8Array([0x9f, 0x01, 0x02, 0x03, 0xff]))
        const board = new fields.Fields(doc)
        const before = board.get('name') ?? 'unset'
        board.set('name', 'mine')
        return [before, board.get('name'), [...slots.keys()].length]
        """
    )
    assert outcome == ["unset", "mine", 2]
