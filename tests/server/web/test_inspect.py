"""What is below `/inspect`: who may see what, and that it is what the server holds."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdtsync import (
    Counter,
    Document,
    List,
    Map,
    Record,
    Replica,
    RichText,
    Set,
    Table,
    Text,
    field,
)
from crdtsync.errors import AuthenticationError, StorageError
from crdtsync.server import Added, Backend, MemoryBackend, Row, WebApp, web_app
from crdtsync.server.access import ALLOWED, AllowAll, Decision, refused
from crdtsync.server.authentication import Identity
from crdtsync.server.glance import Glance
from crdtsync.server.web.inspect.connections import tell_connections
from crdtsync.server.web.inspect.feed import Feed
from crdtsync.strategies import KeepAll
from crdtsync.transport import connect_stream
from tests.server.authors import Author
from tests.server.client import Client
from tests.server.web.http import ask, reading
from tests.web import serving_app

TOKEN = "correct horse"


class Tokens:
    """Believes one token, for a while."""

    requires_loopback = False

    def __init__(self, lasts_s: float | None = None) -> None:
        self.expires = None if lasts_s is None else time.time() + lasts_s
        self.asked: list[str | None] = []

    async def authenticate(self, token: str | None, *, user: str | None) -> Identity:
        self.asked.append(token)
        if token != TOKEN:
            raise AuthenticationError("nobody knows this token")
        return Identity("ann", self.expires)


class OwnOnly(AllowAll):
    """Everybody may read what begins with their name."""

    def may_read(self, user: Identity, document: str) -> Decision:
        return ALLOWED if document.startswith(f"{user.user}/") else refused("not yours")


class Task(Record):
    title: str = ""
    votes: Counter
    tags: Set[str]


class Board(Document):
    name: str = field(default="", strategy=KeepAll())
    tasks: Table[Task]
    stops: List[str]
    limits: Map[object]
    notes: Text
    page: RichText


async def keep(backend: Backend, replica: Replica, document: str) -> None:
    entries = replica.document(Board, document).log
    await backend.append(document, list(entries))


@asynccontextmanager
async def serving(backend: Backend | None = None, **options: Any) -> AsyncIterator[WebApp]:
    async with web_app(backend or MemoryBackend(), **options) as app:
        yield app


class TestFiles:
    @pytest.mark.parametrize("page", ["/inspect", "/demo"])
    async def test_a_page_comes_with_all_that_it_asks_for(self, page: str) -> None:
        async with serving() as app:
            shown = await ask(app, page)
            assert shown.status == 200
            assert shown.headers["content-type"] == "text/html; charset=utf-8"
            urls = re.findall(r'(?:src|href)="([^"]*)"', shown.text)
            files = [url for url in urls if url.startswith(page[1:] + "/")]
            assert len(files) >= 4
            for file in files:
                found = await ask(app, f"/{file}")
                assert found.status == 200
                assert found.body
                assert "default-src 'none'" in found.headers["content-security-policy"]
                assert found.headers["x-content-type-options"] == "nosniff"

    async def test_what_a_browser_holds_is_not_sent_again(self) -> None:
        async with serving() as app:
            tag = (await ask(app, "/demo/yjs.js")).headers["etag"]
            again = await ask(app, "/demo/yjs.js", if_none_match=tag)
            assert (again.status, again.body) == (304, b"")

    @pytest.mark.parametrize(
        ("url", "method", "status"),
        [
            ("/inspect/", "GET", 308),
            ("/inspect/nothing.js", "GET", 404),
            ("/inspect/../app.py", "GET", 404),
            ("/demo/inspect.js", "GET", 404),
            ("/inspect/api/nothing", "GET", 404),
            ("/inspect/api/document?name=none", "GET", 404),
            ("/inspect/api/log?name=none", "GET", 404),
            ("/inspect", "POST", 405),
            ("/inspect/session", "GET", 405),
            ("/inspect/api/me", "POST", 405),
            ("/inspect/api/live", "HEAD", 405),
            ("/demo", "HEAD", 200),
            ("/inspected", "GET", 404),
        ],
    )
    async def test_what_is_where(self, url: str, method: str, status: int) -> None:
        async with serving() as app:
            assert (await ask(app, url, method)).status == status

    async def test_where_it_is_mounted_makes_no_difference(self) -> None:
        async with serving() as app:
            assert (await ask(app, "/inspect", root="/sync")).status == 200
            assert (await ask(app, "/inspect/api/me", root="/sync")).data["signed_in"] is False

    async def test_a_page_can_be_taken_out(self) -> None:
        async with serving() as app:
            del app.pages["/demo"]
            assert (await ask(app, "/demo")).status == 404


class TestWhoMayLook:
    async def test_in_development_mode_this_machine_may(self) -> None:
        async with serving() as app:
            assert (await ask(app, "/inspect/api/documents")).data["total"] == 0

    @pytest.mark.parametrize(
        "headers",
        [
            {"sec_fetch_site": "cross-site"},
            {"sec_fetch_site": "same-site"},
            {"origin": "http://localhost:9"},
            {"origin": "http://[", "host": "localhost"},
            {"host": "evil.example"},
        ],
    )
    async def test_other_sites_and_other_ports_may_not(self, headers: Any) -> None:
        async with serving() as app:
            assert (await ask(app, "/inspect/api/documents", **headers)).status == 403
            assert (await ask(app, "/inspect/session", "POST", b"x", **headers)).status == 403

    async def test_a_token_is_wanted(self) -> None:
        async with serving(authenticator=Tokens()) as app:
            for name in "me", "documents", "document?name=a", "log?name=a", "live":
                assert (await ask(app, f"/inspect/api/{name}")).status == 401
            assert (await ask(app, "/inspect")).status == 200
            wrong = await ask(app, "/inspect/api/me", authorization="Bearer wrong")
            assert (wrong.status, wrong.text) == (401, "nobody knows this token")
            right = await ask(app, "/inspect/api/me", authorization=f"Bearer {TOKEN}")
            assert right.data == {"user": "ann", "signed_in": True}

    async def test_a_session_begins_with_a_token_and_ends_when_told(self) -> None:
        tokens = Tokens()
        async with serving(authenticator=tokens) as app:
            refused_ = await ask(app, "/inspect/session", "POST", b"wrong")
            assert (refused_.status, "set-cookie" in refused_.headers) == (401, False)
            begun = await ask(app, "/inspect/session", "POST", TOKEN.encode())
            assert begun.status == 204
            kept, *options = begun.headers["set-cookie"].split("; ")
            assert {"HttpOnly", "SameSite=Strict"} < set(options)
            assert TOKEN not in kept
            assert "Secure" not in options
            asked = len(tokens.asked)
            assert (await ask(app, "/inspect/api/me", cookie=kept)).data["user"] == "ann"
            assert len(tokens.asked) == asked
            ended = await ask(app, "/inspect/session", "DELETE", cookie=kept)
            assert "Max-Age=0" in ended.headers["set-cookie"]
            assert (await ask(app, "/inspect/api/me", cookie=kept)).status == 401

    @pytest.mark.parametrize("secure", [{"scheme": "https"}, {"x_forwarded_proto": "https"}])
    async def test_what_came_by_tls_is_kept_for_tls(self, secure: Any) -> None:
        async with serving(authenticator=Tokens()) as app:
            begun = await ask(app, "/inspect/session", "POST", TOKEN.encode(), **secure)
            assert begun.headers["set-cookie"].endswith("; Secure")

    async def test_a_session_is_no_older_than_its_token(self) -> None:
        tokens = Tokens(lasts_s=1000)
        async with serving(authenticator=tokens) as app:
            begun = await ask(app, "/inspect/session", "POST", TOKEN.encode())
            kept = begun.headers["set-cookie"].split("; ")[0]
            assert 990 < int(begun.headers["set-cookie"].split("Max-Age=")[1].split(";")[0]) <= 1000
            [session] = app.pages["/inspect"]._sessions._sessions.items()  # type: ignore[attr-defined]
            secret, held = session
            app.pages["/inspect"]._sessions._sessions[secret] = held._replace(until=time.time())  # type: ignore[attr-defined]
            assert (await ask(app, "/inspect/api/me", cookie=kept)).status == 401
        async with serving(authenticator=Tokens(lasts_s=-1)) as app:
            late = await ask(app, "/inspect/session", "POST", TOKEN.encode())
            assert (late.status, late.text) == (401, "the token has expired")

    async def test_sessions_are_bounded_and_so_is_what_is_sent(self) -> None:
        async with serving(authenticator=Tokens()) as app:
            kept = []
            for _ in range(1025):
                begun = await ask(app, "/inspect/session", "POST", TOKEN.encode())
                kept.append(begun.headers["set-cookie"].split("; ")[0])
            statuses = [(await ask(app, "/inspect/api/me", cookie=k)).status for k in kept]
            assert statuses == [401] + [200] * 1024
            assert (await ask(app, "/inspect/session", "POST", bytes(20_000))).status == 413
            assert (await ask(app, "/inspect/session", "POST", b"x", cut=True)).status == 400

    async def test_nobody_sees_what_they_may_not_read(self) -> None:
        backend = MemoryBackend()
        for name in "ann/1", "bob/1":
            await backend.append(name, [Author(7, name).write()])
        async with serving(backend, authenticator=Tokens(), policy=OwnOnly()) as app:
            mine: Any = {"authorization": f"Bearer {TOKEN}"}
            found = (await ask(app, "/inspect/api/documents", **mine)).data
            assert [one["name"] for one in found["documents"]] == ["ann/1"]
            assert found["total"] == 1
            for name in "document", "log":
                assert (await ask(app, f"/inspect/api/{name}?name=ann/1", **mine)).status == 200
                for other in "bob/1", "none":
                    kept = await ask(app, f"/inspect/api/{name}?name={other}", **mine)
                    assert kept.status == 403
            async with reading(app, "/inspect/api/live", **mine) as reader:
                for name in "bob/1", "ann/1":
                    await backend.append(name, [Author(9, name).write()])
                told = await reader.until("entries")
                assert [one["document"] for one in told["entries"]] == ["ann/1"]


class TestDocuments:
    async def test_a_document_is_shown_as_it_is_stored(self) -> None:
        backend = MemoryBackend()
        with Replica(user="ann") as ann, Replica(user="bob") as bob:
            hers, his = ann.document(Board, "b"), bob.document(Board, "b")
            task = hers.tasks.add(key="a/b", title="milk")
            task.votes.increment(3)
            task.tags.add("red")
            hers.tasks.add(key="gone", title="old")
            del hers.tasks["gone"]
            hers.notes.append("two 😀 lines")
            hers.stops.append("one")
            hers.limits.update(b=2, a=2**60)
            hers.page.append("words")
            ann.merge(bob)
            hers.name, his.name = "hers", "his"
            ann.merge(bob)
            await keep(backend, ann, "b")
            async with serving(backend) as app:
                shown = (await ask(app, "/inspect/api/document?name=b")).data
        fields = {tuple(one["path"]): one for one in shown["fields"]}
        assert fields["tasks", "a/b", "title"]["value"] == '"milk"'
        assert fields["tasks", "a/b"]["kind"] == "record"
        assert fields["tasks", "gone"]["kind"] == "removed"
        assert fields["$schema", "1"]["kind"] == "rules"
        assert fields["tasks", "a/b", "tags", "=red"]["kind"] == "element"
        writes = fields["name",]["writes"]
        assert {(one["user"], one["value"]) for one in writes} == {
            ("ann", '"hers"'),
            ("bob", '"his"'),
        }
        types = {tuple(one["path"]): (one["kind"], one["value"]) for one in shown["types"]}
        assert types["notes",] == ("text", "two 😀 lines")
        assert types["stops",] == ("list", '["one"]')
        assert types["limits",] == ("map", '{"a": 1152921504606846976, "b": 2}')
        assert types["page",][0] == "rich text"
        assert "words" in types["page",][1]
        assert {one["user"] for one in shown["replicas"]} == {"ann", "bob"}
        assert shown["entries"] == sum(one["entries"] for one in shown["replicas"])

    async def test_it_follows_what_is_added_meanwhile(self) -> None:
        backend = MemoryBackend()
        with Replica(user="ann") as ann:
            board = ann.document(Board, "b")
            async with serving(backend) as app:
                for name in "one", "two":
                    board.name = name
                    await keep(backend, ann, "b")
                    shown = (await ask(app, "/inspect/api/document?name=b")).data
                    [found] = [one for one in shown["fields"] if one["path"] == ["name"]]
                    assert found["value"] == f'"{name}"'

    async def test_a_log_is_read_from_its_end_page_by_page(self) -> None:
        backend, author = MemoryBackend(), Author(7, "b")
        await backend.append("b", author.write_many(250))
        async with serving(backend) as app:
            before: int | None = 0
            seqs: list[int] = []
            sizes = []
            url = "/inspect/api/log?name=b"
            while before is not None:
                page = (await ask(app, url)).data
                seqs += [one["seq"] for one in page["entries"]]
                sizes.append(len(page["entries"]))
                before = page["more"]
                url = f"/inspect/api/log?name=b&before={before}"
            assert seqs == list(range(250, 0, -1))
            assert sizes == [100, 100, 50]
            assert (await ask(app, "/inspect/api/log?name=b&before=x")).status == 400
            assert (await ask(app, "/inspect/api/log?name=b&before=1")).data["entries"] == []

    async def test_gaps_between_offsets_hide_nothing(self) -> None:
        backend, author = Gappy(), Author(7, "b")
        await backend.append("b", author.write_many(120))
        async with serving(backend) as app:
            page = (await ask(app, "/inspect/api/log?name=b")).data
            assert [one["seq"] for one in page["entries"]] == list(range(120, 20, -1))

    async def test_documents_are_found_by_name_those_in_use_first(self) -> None:
        backend = MemoryBackend()
        for number in range(205):
            await backend.append(f"d/{number:03}", [Author(7, f"d/{number:03}").write()])
        async with serving(backend) as app:
            everything = (await ask(app, "/inspect/api/documents")).data
            assert (everything["total"], len(everything["documents"])) == (205, 200)
            found = (await ask(app, "/inspect/api/documents?like=D/20")).data
            assert [one["name"] for one in found["documents"]] == [
                "d/200",
                "d/201",
                "d/202",
                "d/203",
                "d/204",
            ]
            assert found["documents"][0] == {
                "name": "d/200",
                "entries": 1,
                "replicas": 1,
                "connections": 0,
            }

    async def test_a_failing_storage_is_said_so(self, caplog: pytest.LogCaptureFixture) -> None:
        class Failing(MemoryBackend):
            async def documents(self) -> list[str]:
                raise StorageError("the disk is gone", path="server.db")

        async with serving(Failing()) as app:
            answer = await ask(app, "/inspect/api/documents")
            assert (answer.status, answer.text) == (503, "the server cannot read at the moment")
        assert "the disk is gone" in caplog.text

    async def test_a_bug_is_not_told_to_strangers(self, caplog: pytest.LogCaptureFixture) -> None:
        class Broken(MemoryBackend):
            async def documents(self) -> list[str]:
                raise RuntimeError("private")

        async with serving(Broken()) as app:
            answer = await ask(app, "/inspect/api/documents")
            assert (answer.status, answer.text) == (500, "a fault of the server")
        assert "private" in caplog.text


class Gappy(MemoryBackend):
    """A backend whose offsets are a thousand apart."""

    async def read(
        self, document: str, after: int, bytes_max: int, upto: int | None = None
    ) -> list[Row]:
        rows = await super().read(
            document, after // 1000, bytes_max, None if upto is None else upto // 1000
        )
        return [row._replace(offset=row.offset * 1000) for row in rows]

    async def state(self, document: str) -> Any:
        state = await super().state(document)
        return state._replace(offset=state.offset * 1000)


class TestLive:
    async def test_entries_are_told_as_they_become_durable(self) -> None:
        backend = MemoryBackend()
        async with serving(backend) as app, reading(app, "/inspect/api/live") as reader:
            assert (await reader.until("connections"))["total"] == 0
            with Replica(user="ann") as ann:
                board = ann.document(Board, "b")
                with board.action("rename", to="Groceries"):
                    board.name = "Groceries"
                await keep(backend, ann, "b")
            [told] = (await reader.until("entries"))["entries"]
            assert (told["user"], told["action"], told["document"]) == ("ann", "rename", "b")
            assert told["arguments"] == 'to="Groceries"'
            assert told["seq"] == 1

    async def test_who_was_cut_off_goes_on_where_they_were(self) -> None:
        backend, author = MemoryBackend(), Author(7, "b")
        async with serving(backend) as app:
            async with reading(app, "/inspect/api/live") as reader:
                await backend.append("b", author.write_many(2))
                assert len((await reader.until("entries"))["entries"]) == 2
                [last] = reader.ids
            await backend.append("b", author.write_many(3))
            async with reading(app, "/inspect/api/live", last_event_id=last) as reader:
                told = await reader.until("entries")
                assert [one["seq"] for one in told["entries"]] == [3, 4, 5]
                assert told["missed"] == 0
            await backend.append("b", author.write_many(600))
            async with reading(app, "/inspect/api/live", last_event_id=last) as reader:
                told = await reader.until("entries")
                assert (told["missed"], told["entries"][0]["seq"]) == (103, 106)
            for other in "other-5", f"{last}0000", last.split("-")[0], "", "-", "ä-²":
                async with reading(
                    app, "/inspect/api/live", last_event_id=other.encode().decode("latin-1")
                ) as reader:
                    await reader.until("connections")

    async def test_it_ends_with_the_server_and_with_the_token(self) -> None:
        async with serving() as app, reading(app, "/inspect/api/live") as reader:
            await reader.until("connections")
            await app.hang_up()
            assert reader.reply.ended
        tokens = Tokens(lasts_s=0.5)
        mine = {"authorization": f"Bearer {TOKEN}"}
        async with serving(authenticator=tokens) as app:
            with anyio.fail_after(20):
                async with reading(app, "/inspect/api/live", **mine) as reader:
                    while not reader.reply.ended:
                        await reader.grown.wait()

    async def test_readers_are_bounded_and_make_room_when_they_go(self) -> None:
        async with serving() as app:
            async with anyio.create_task_group() as tasks:
                started = []
                all_there = anyio.Event()

                async def look() -> None:
                    async with reading(app, "/inspect/api/live") as reader:
                        await reader.until("connections")
                        started.append(reader)
                        if len(started) == 16:
                            all_there.set()
                        await anyio.sleep_forever()

                for _ in range(16):
                    tasks.start_soon(look)
                with anyio.fail_after(20):
                    await all_there.wait()
                assert (await ask(app, "/inspect/api/live")).status == 503
                tasks.cancel_scope.cancel()
            async with reading(app, "/inspect/api/live") as reader:
                await reader.until("connections")

    async def test_connections_are_told_with_what_they_lack(self) -> None:
        backend, author = MemoryBackend(), Author(7, "b")
        await backend.append("b", author.write_many(3))
        app = web_app(backend)
        async with serving_app(app) as url, reading(app, "/inspect/api/live") as reader:
            assert (await reader.until("connections"))["total"] == 0
            client = Client(await connect_stream(url))
            await client.hello()
            with anyio.fail_after(20):
                while True:
                    told = await reader.until("connections")
                    if told["connections"] and told["connections"][0]["state"] == "active":
                        break
            [one] = told["connections"]
            assert (one["kind"], one["behind"], one["documents"]) == ("replica", 0, [])
            await client.stream.aclose()
            with anyio.fail_after(20):
                while (await reader.until("connections"))["total"]:
                    pass


class TestConnections:
    async def test_who_is_away_is_told_with_what_waits_for_them(self) -> None:
        backend = MemoryBackend()
        app = web_app(backend)
        with Replica(user="ann") as ann, Replica(user="bob") as bob:
            ann.document(Board, "b").name = "one"
            async with serving_app(app) as url:
                async with ann.connect(url) as connection:
                    await connection.synced()
                bob.document(Board, "b").name = "two"
                async with bob.connect(url) as connection:
                    await connection.synced()
                    told = (await ask(app, "/inspect/api/away")).data
        [one] = told["connections"]
        assert (one["user"], one["state"], one["documents"]) == ("ann", "active", ["b"])
        assert one["behind"] >= 1

    def test_those_who_lag_come_first_and_what_is_secret_stays_out(self) -> None:
        found = [
            Glance("replica", "ann", 7, "open", 1, {"a": 2, "secret": 3}),
            Glance("replica", "bob", 8, "open", 1, {"secret": 9}),
            Glance("y-websocket", "cleo", 9, "open", 1, {"a": 5}),
            Glance("replica", None, None, "new", 1, {}),
        ]
        told = tell_connections(found, "dan", lambda name: name != "secret")
        assert [(one["user"], one["behind"]) for one in told["connections"]] == [
            ("cleo", 5),
            ("ann", 2),
            (None, 0),
        ]
        assert "secret" not in str(told)
        mine = tell_connections(found, "bob", lambda name: name != "secret")
        assert [one["user"] for one in mine["connections"]] == ["cleo", "ann", None, "bob"]


@given(
    st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=6), max_size=8),
    st.integers(1, 5),
    st.integers(1, 60),
    st.integers(0, 60),
    st.integers(1, 5),
)
def test_a_feed_keeps_the_last_items_within_its_bounds(
    batches: list[list[int]], items_max: int, bytes_max: int, after: int, most: int
) -> None:
    feed = Feed(items_max, bytes_max)
    everything: list[Row] = []
    for sizes in batches:
        rows = [Row(len(everything) + n, 7, 1, bytes(size)) for n, size in enumerate(sizes, 1)]
        feed.add(Added("b", rows, {}))
        everything += rows
    assert feed.end == len(everything)
    kept = list(enumerate(everything, 1))[-items_max:]
    while sum(len(row.data) for _, row in kept) > bytes_max and len(kept) > 1:
        kept = kept[1:]
    expected = [pair for pair in kept if pair[0] > after][:most]
    assert [(item.number, item.row) for item in feed.after(after, most)] == expected
