"""Stock clients of y-websocket against the real server, together with Python replicas."""

from __future__ import annotations

from typing import Any

import pytest

from crdtsync import Document, List, Map, Record, Replica, RichText, Table, Text
from crdtsync.server import MemoryBackend, PresenceLimits, ServerLimits, SqliteBackend
from crdtsync.server.access import Level, PatternPolicy, Rule
from tests.server.yjs.harness import until
from tests.yjs.server import running, serving

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Task(Record):
    title: str = ""
    marks: Map[object]


class Board(Document):
    name: str = ""
    notes: Text
    stops: List[str]
    map: Map[Any]
    page: RichText
    tasks: Table[Task]


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


async def test_both_sides_read_and_write_one_map_live(peer):
    async with serving(MemoryBackend()) as server:
        replica = Replica(user="py")
        board = replica.document(Board, "map")
        async with replica.connect(server.native) as connection:
            board.map.update({"from py": [1, {"a": 2.5}], "both": 1, "😀": None, "big": 2**60})
            board.tasks.add(key="t/1", title="Buy milk", marks={"done": False})
            await connection.synced()
            found = await peer.run(
                """
                kept.a = join(url, 'map', { user: 'ann' })
                const map = kept.a.doc.getMap('map'), marks = kept.a.doc.getMap('tasks/t%2F1/marks')
                await until(() => map.size === 4 && marks.size === 1)
                const found = [map.get('from py'), map.get('both'), map.get('😀'),
                               map.get('big') instanceof Uint8Array, marks.toJSON()]
                map.set('both', 'from js')
                map.delete('from py')
                map.set('nested', new Y.Map([['list', Y.Array.from([1, new Y.Text('é😀')])]]))
                map.set('plain', { n: 3, list: ['two', 0.5, true, null] })
                map.set('bytes', new Uint8Array([1, 2]))
                marks.set('done', true)
                return found
                """,
                url=server.y,
            )
            assert found == [[1, {"a": 2.5}], 1, None, True, {"done": False}]
            await until(lambda: board.tasks["t/1"].marks.get("done") is True)
            expected = {
                "big": 2**60,
                "both": "from js",
                "bytes": b"\x01\x02",
                "nested": {"list": [1, "é😀"]},
                "plain": {"n": 3, "list": ["two", 0.5, True, None]},
                "😀": None,
            }
            assert dict(board.map) == expected
            heard = []
            board.observe(lambda change: heard.append(change.paths))
            await peer.run("kept.a.doc.getMap('map').get('nested').set('x', 7)")
            await until(lambda: board.map["nested"].get("x") == 7)
            assert heard == [(("map",),)]
            board.map["both"] = "from py again"
            del board.map["plain"], board.map["😀"]
            board.map["nested"] = board.map["nested"] | {"y": 8}
            board.tasks["t/1"].marks.clear()
            assert await peer.run(
                """
                const map = kept.a.doc.getMap('map'), marks = kept.a.doc.getMap('tasks/t%2F1/marks')
                await until(() => marks.size === 0)
                map.delete('big'); map.delete('bytes')
                return map.toJSON()
                """
            ) == {"both": "from py again", "nested": {"list": [1, "é😀"], "x": 7, "y": 8}}
            await until(lambda: len(board.map) == 2)
            assert {entry.user for entry in board.log if entry.name == "yjs"} <= {"ann", None}


async def test_of_two_sides_that_write_one_key_off_line_both_keep_the_same(peer, tmp_path):
    data = tmp_path / "server.db"
    replica = Replica(user="py")
    board = replica.document(Board, "map")
    with running(data) as server:
        async with replica.connect(server.native) as connection:
            board.map.update(n=0)
            await connection.synced()
            await peer.run(
                """
                kept.a = join(url, 'map')
                await until(() => kept.a.doc.getMap('map').size === 1)
                """,
                url=server.y,
            )
    await peer.run(
        """
        await until(() => !kept.a.provider.wsconnected)
        const map = kept.a.doc.getMap('map')
        map.set('n', 'js'); map.set('js', 1)
        """
    )
    board.map.update(n="py", py=1)
    with running(data, server.native):
        async with replica.connect(server.native) as connection:
            found = await peer.run(
                """
                const map = kept.a.doc.getMap('map')
                await until(() => map.size === 3)
                return map.toJSON()
                """
            )
            await until(lambda: len(board.map) == 3)
            await connection.synced()
            assert found == dict(board.map)
            assert found.keys() == {"n", "js", "py"}


async def test_clients_of_every_kind_converge_on_everything(peer, tmp_path):
    with running(tmp_path / "server.db") as server:
        replica = Replica(user="py")
        board = replica.document(Board, "all")
        async with replica.connect(server.native):
            found = await peer.run(
                """
                const clients = []
                for (let n = 0; n < 4; n++) clients.push(join(url, 'all', { user: 'u' + n }))
                await until(() => clients.every(c => c.provider.synced))
                const turns = ['😀', 'é', 'plain', '漢字']
                for (let turn = 0; turn < 15; turn++) {
                  clients.forEach(({ doc }, n) => doc.transact(() => {
                    const text = doc.getText('notes')
                    const characters = [...text.toString()]
                    const middle = characters.slice(0, characters.length / 2).join('').length
                    text.insert(middle, turns[n])
                    if (turn % 4 === 3) text.delete(0, characters[0].length)
                    doc.getArray('stops').insert(0, [n, { turn }, null])
                    doc.getMap('map').set('k' + turn % 3, { n, list: [1, 'two'] })
                    const element = new Y.XmlElement('p')
                    element.setAttribute('align', 'left')
                    element.insert(0, [new Y.XmlText('<' + turns[n] + '>')])
                    doc.getXmlFragment('page').insert(0, [element])
                    doc.getText('undeclared').insert(0, 'x', { bold: true })
                  }))
                  if (turn % 5 === 4) await new Promise(r => setTimeout(r, 5))
                }
                const state = ({ doc }) => canonical([
                  doc.getText('notes').toDelta(), doc.getArray('stops').toJSON(),
                  doc.getMap('map').toJSON(), doc.getXmlFragment('page').toString(),
                  doc.getText('undeclared').toDelta()
                ])
                await until(() => clients.every(c => state(c) === state(clients[0]) &&
                  c.doc.getArray('stops').length === 180))
                kept.clients = clients
                const { doc } = clients[0]
                return { notes: doc.getText('notes').toString(), stops: doc.getArray('stops'),
                         map: doc.getMap('map'), page: doc.getXmlFragment('page').toString() }
                """,
                url=server.y,
            )
            await until(lambda: len(board.stops) == 180)
            assert str(board.notes) == found["notes"]
            assert [*board.stops] == found["stops"]
            assert dict(board.map) == found["map"]
            assert str(board.page).count("<") == 60
            users = {entry.user for entry in board.log if entry.seq == 1}
            assert users >= {"u0", "u1", "u2", "u3"}
            assert {entry.name for entry in board.log} == {"yjs"}


async def test_a_client_that_was_off_line_and_a_server_that_was_killed_lose_nothing(peer, tmp_path):
    data = tmp_path / "server.db"
    with running(data) as server:
        await peer.run(
            """
            kept.a = join(url, 'room'); kept.b = join(url, 'room')
            await until(() => kept.a.provider.synced && kept.b.provider.synced)
            kept.a.doc.getText('t').insert(0, 'before ')
            await until(() => kept.b.doc.getText('t').length === 7)
            """,
            url=server.y,
        )
    await peer.run(
        """
        await until(() => !kept.a.provider.wsconnected && !kept.b.provider.wsconnected)
        kept.a.doc.getText('t').insert(7, 'by a ')
        kept.b.doc.getText('t').insert(0, 'by b ')
        """
    )
    with running(data, server.native):
        texts = await peer.run(
            """
            await until(() => kept.a.provider.synced && kept.b.provider.synced)
            const c = join(url, 'room')
            const text = ({ doc }) => doc.getText('t').toString()
            await until(() => text(kept.a).length === 17 && text(kept.b) === text(kept.a) &&
              text(c) === text(kept.a))
            return text(c)
            """,
            url=server.y,
        )
    assert texts == "by b before by a "


async def test_presence_is_shown_and_goes(peer):
    limits = ServerLimits(presence=PresenceLimits(grace_s=0.3))
    async with serving(MemoryBackend(), limits=limits) as server:
        await peer.run(
            """
            const a = join(url, 'p'), b = join(url, 'p')
            a.provider.awareness.setLocalStateField('user', { name: 'ann 😀' })
            const names = ({ provider }) => [...provider.awareness.getStates().values()]
              .map(state => state.user?.name).filter(Boolean)
            await until(() => names(b).includes('ann 😀'))
            const late = join(url, 'p')
            await until(() => names(late).includes('ann 😀'))
            // Back at once: nobody has missed it, although it says an old clock again.
            let changes = 0
            b.provider.awareness.on('change', ({ removed }) => { changes += removed.length })
            const before = a.provider.awareness.meta.get(a.doc.clientID).clock
            a.provider.ws.close()
            await until(() => a.provider.wsconnected && a.provider.synced)
            await new Promise(resolve => setTimeout(resolve, 500))
            if (changes) throw new Error('it was shown as gone')
            if (a.provider.awareness.meta.get(a.doc.clientID).clock !== before) throw new Error()
            // Cut off for good.
            a.provider.shouldConnect = false
            a.provider.ws.terminate()
            await until(() => !names(b).includes('ann 😀') && !names(late).includes('ann 😀'))
            """,
            url=server.y,
        )


async def test_a_refusal_is_final_and_says_why(peer):
    policy = PatternPolicy([Rule(Level.WRITE, ("public/**",), everybody=True)])
    async with serving(MemoryBackend(), policy=policy) as server:
        closed = await peer.run(
            """
            const a = join(url, 'secret/plan')
            await until(() => a.closed)
            await new Promise(resolve => setTimeout(resolve, 500))
            return [a.closed.code, a.closed.reason, a.tries, a.provider.synced]
            """,
            url=server.y,
        )
    assert closed == [4403, "no rule lets you read this document", 1, False]


async def test_who_may_only_read_follows_and_writes_nothing(peer):
    policy = PatternPolicy(
        [Rule(Level.READ, ("**",), everybody=True), Rule(Level.WRITE, ("**",), frozenset({"ann"}))]
    )
    backend = MemoryBackend()
    async with serving(backend, policy=policy) as server:
        await peer.run(
            """
            const ann = join(url, 'news', { user: 'ann' }), bob = join(url, 'news', { user: 'bob' })
            await until(() => ann.provider.synced && bob.provider.synced)
            bob.doc.getText('t').insert(0, 'from bob')
            ann.doc.getText('t').insert(0, 'from ann')
            await until(() => bob.doc.getText('t').toString().includes('from ann'))
            if (ann.doc.getText('t').toString() !== 'from ann') throw new Error()
            """,
            url=server.y,
        )
        assert len(await backend.read("news", 0, 10**6)) == 1


async def test_two_who_open_a_new_room_at_the_same_instant_both_get_in(peer, tmp_path):
    data = tmp_path / "server.db"
    with running(data) as server:
        await peer.run(
            """
            const pairs = []
            for (let n = 0; n < 200; n++) {
              const pair = [join(url, 'new/' + n), join(url, 'new/' + n)]
              pair.forEach(({ doc }, who) => doc.getText('t').insert(0, String(who)))
              pairs.push(pair)
            }
            const text = ({ doc }) => doc.getText('t').toString()
            await until(() => pairs.every(([a, b]) => text(a) === text(b) && text(a).length === 2))
            pairs.flat().forEach(({ provider }) => provider.destroy())
            """,
            url=server.y,
        )
    async with SqliteBackend(data) as backend:
        assert len(await backend.documents()) == 200


async def test_an_expired_token_is_no_longer_let_in(peer):
    class Tokens:
        requires_loopback = False

        async def authenticate(self, token, *, user):
            from crdtsync.errors import AuthenticationError
            from crdtsync.server.authentication import Identity

            if token != "fresh":
                raise AuthenticationError("this token is stale")
            return Identity("ann")

    async with serving(MemoryBackend(), authenticator=Tokens()) as server:
        closed = await peer.run(
            """
            const stale = join(url, 'room', { token: 'stale' })
            const fresh = join(url, 'room', { token: 'fresh' })
            await until(() => stale.closed && fresh.provider.synced)
            return stale.closed
            """,
            url=server.y,
        )
    assert closed == {"code": 4401, "reason": "this token is stale"}


async def test_clocks_of_texts_count_utf_16_on_both_sides(peer):
    async with serving(MemoryBackend()) as server:
        replica = Replica(user="py")
        board = replica.document(Board, "emoji")
        async with replica.connect(server.native) as connection:
            board.notes.append("a😀b")
            await connection.synced()
            await peer.run(
                """
                kept.a = join(url, 'emoji')
                const text = kept.a.doc.getText('notes')
                await until(() => text.length === 4)
                text.insert(3, '|')  // between the pair and b
                text.delete(1, 2)  // the pair
                """,
                url=server.y,
            )
            await until(lambda: str(board.notes) == "a|b")
            board.notes.insert(1, "👩‍👩‍👧")
            text = await peer.run(
                """
                await until(() => kept.a.doc.getText('notes').length > 3)
                return kept.a.doc.getText('notes').toString()
                """
            )
            assert text == str(board.notes) == "a👩‍👩‍👧|b"


async def test_a_replica_and_a_yjs_client_see_one_another_and_their_cursors(peer):
    async with serving(MemoryBackend()) as server:
        with Replica(user="py") as replica:
            board = replica.document(Board, "board/1")
            board.notes.append("😀 Hello 漢 world")
            async with replica.connect(server.native) as connection:
                presence = connection.presence(board)
                presence.update(user={"name": "Py"}, cursor={"anchor": board.notes.position(8)})
                await connection.synced()
                found = await peer.run(
                    """
                    const a = kept.a = join(url, 'board/1', { user: 'ann' })
                    const { awareness } = a.provider
                    const text = a.doc.getText('notes')
                    await until(() => a.provider.synced && awareness.getStates().has(id))
                    const shown = awareness.getStates().get(id)
                    const json = Y.createRelativePositionFromJSON(shown.cursor.anchor)
                    const at = Y.createAbsolutePositionFromRelativePosition(json, a.doc)
                    const place = n => Y.createRelativePositionFromTypeIndex(text, n)
                    awareness.setLocalState({
                      user: { name: 'root' },
                      cursor: { anchor: place(at.index), head: place(text.length) },
                    })
                    return [shown.user, text.toString().slice(at.index), a.doc.clientID]
                    """,
                    url=server.y,
                    id=replica.id,
                )
                assert found[:2] == [{"name": "Py"}, "漢 world"]
                # At first it shows an empty state.
                await until(lambda: [p for p in presence.others.values() if p.state])
                ann = presence.others[found[2]]
                assert ann.user == "ann"
                board.notes.insert(0, "漢😀")
                cursor = ann.state["cursor"]
                assert board.notes.index(cursor["anchor"]) == 10
                assert board.notes.index(cursor["head"]) == len(board.notes)
                await peer.run("kept.a.provider.disconnect()")
                await until(lambda: not presence.others)
            # Who leaves is gone for the others at once; and comes back under the same id.
            await peer.run("kept.a.provider.connect()")
            for at in range(2):
                async with replica.connect(server.native) as connection:
                    connection.presence(board).update(at=at)
                    await peer.run(
                        """
                        const states = kept.a.provider.awareness.getStates()
                        await until(() => states.get(id)?.at === at)
                        """,
                        id=replica.id,
                        at=at,
                    )
                await peer.run(
                    "await until(() => !kept.a.provider.awareness.getStates().has(id))",
                    id=replica.id,
                )
