"""Stock clients of Hocuspocus, of all versions, against the real server."""

from __future__ import annotations

import anyio
import pytest

from crdtsync.errors import AuthenticationError
from crdtsync.server import MemoryBackend, SqliteBackend
from crdtsync.server.access import Level, PatternPolicy, Rule
from crdtsync.server.authentication import Identity
from tests.yjs.server import running, serving

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(
    params=["hocuspocus-provider-2", "hocuspocus-provider-3", "@hocuspocus/provider"],
    ids=["2", "3", "4"],
)
def provider(request):
    return request.param


class Names:
    """A token is the user's name."""

    requires_loopback = False

    async def authenticate(self, token, *, user):
        if not token or token == "stranger":
            raise AuthenticationError("nobody knows you")
        return Identity(token)


class Slow(MemoryBackend):
    """Stores when it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may = anyio.Event()

    async def append(self, document, entries):
        await self.may.wait()
        return await super().append(document, entries)


async def test_documents_share_a_socket_and_converge(peer, tmp_path):
    async with SqliteBackend(tmp_path / "server.db") as backend, serving(backend) as server:
        await peer.run(
            """
            const one = open(url, 'one')
            const two = open(url, 'two', { websocketProvider: one.socket })
            const other = open(url, 'one')
            await until(() => [one, two, other].every(c => c.provider.isSynced))
            one.doc.getText('t').insert(0, 'in one 😀')
            two.doc.getArray('a').push([{ deep: [1, null] }])
            await until(() => other.doc.getText('t').toString() === 'in one 😀')
            if (other.doc.getArray('a').length) throw new Error('documents are mixed')
            other.doc.getXmlFragment('x').insert(0, [new Y.XmlElement('p')])
            await until(() => one.doc.getXmlFragment('x').toString() === '<p></p>')
            await until(() => [one, two, other].every(c => !c.provider.hasUnsyncedChanges))
            one.provider.awareness.setLocalStateField('name', 'ann')
            await until(() => [...other.provider.awareness.getStates().values()]
              .some(state => state.name === 'ann'))
            one.provider.sendStateless('hello')
            await until(() => other.stateless.includes('hello'))
            """,
            url=server.hocuspocus,
        )
        assert await backend.documents() == ["one", "two"]


async def test_a_change_is_unsynced_until_it_is_stored(peer):
    backend = Slow()
    async with serving(backend) as server:
        await peer.run(
            """
            kept.a = open(url, 'doc')
            await until(() => kept.a.provider.isSynced && !kept.a.provider.hasUnsyncedChanges)
            kept.a.doc.getText('t').insert(0, 'x')
            await new Promise(resolve => setTimeout(resolve, 200))
            if (kept.a.provider.unsyncedChanges !== 1) throw new Error('it is not stored yet')
            """,
            url=server.hocuspocus,
        )
        backend.may.set()
        await peer.run("await until(() => !kept.a.provider.hasUnsyncedChanges)")


async def test_scopes_and_refusals_are_told_for_each_document(peer):
    policy = PatternPolicy(
        [
            Rule(Level.READ, ("news",), everybody=True),
            Rule(Level.WRITE, ("{user}/**",), everybody=True),
        ]
    )
    async with serving(MemoryBackend(), policy=policy, authenticator=Names()) as server:
        found = await peer.run(
            """
            const own = open(url, 'ann/diary')
            const news = open(url, 'news', { websocketProvider: own.socket })
            const bobs = open(url, 'bob/diary', { websocketProvider: own.socket })
            const stranger = open(url, 'news', { token: 'stranger' })
            await until(() => own.provider.isSynced && news.provider.isSynced && bobs.failed &&
              stranger.failed)
            news.doc.getText('t').insert(0, 'no')
            own.doc.getText('t').insert(0, 'yes')
            await until(() => !own.provider.hasUnsyncedChanges)
            await new Promise(resolve => setTimeout(resolve, 100))
            return [own.provider.authorizedScope, news.provider.authorizedScope, bobs.failed,
                    stranger.failed, news.provider.unsyncedChanges]
            """,
            url=server.hocuspocus,
        )
    assert found == [
        "read-write",
        "readonly",
        "no rule lets you read this document",
        "nobody knows you",
        1,
    ]


async def test_a_server_that_was_killed_is_found_again(peer, tmp_path):
    data = tmp_path / "server.db"
    with running(data) as server:
        await peer.run(
            """
            kept.a = open(url, 'doc'); kept.b = open(url, 'doc')
            await until(() => kept.a.provider.isSynced && kept.b.provider.isSynced)
            kept.a.doc.getText('t').insert(0, 'before ')
            await until(() => kept.b.doc.getText('t').length === 7)
            """,
            url=server.hocuspocus,
        )
    await peer.run(
        """
        await until(() => !kept.a.provider.isSynced)
        kept.a.doc.getText('t').insert(7, 'after')
        """
    )
    with running(data, server.native):
        await peer.run(
            """
            await until(() => kept.b.doc.getText('t').toString() === 'before after')
            await until(() => !kept.a.provider.hasUnsyncedChanges)
            """
        )
