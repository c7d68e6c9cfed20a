"""The page to look at a server, as a person uses it."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from crdtsync import Counter, Document, Record, Replica, Table, Text, field
from crdtsync.errors import AuthenticationError
from crdtsync.server import MemoryBackend
from crdtsync.server.access import ALLOWED, AllowAll, Decision, refused
from crdtsync.server.authentication import Identity
from crdtsync.strategies import KeepAll
from tests.pages.conftest import Windows, page_at, serving
from tests.pages.looks import objections
from tests.server.authors import Author

pytestmark = pytest.mark.anyio

EVIL = "<img src=x onerror=document.title=1>"


class Task(Record):
    title: str = ""
    votes: Counter


class Board(Document):
    name: str = field(default="", strategy=KeepAll())
    tasks: Table[Task]
    notes: Text


class Tokens:
    requires_loopback = False

    async def authenticate(self, token: str | None, *, user: str | None) -> Identity:
        if token != "correct horse":
            raise AuthenticationError("nobody knows this token")
        return Identity("ann")


class OwnOnly(AllowAll):
    def may_read(self, user: Identity, document: str) -> Decision:
        return ALLOWED if document.startswith(f"{user.user}/") else refused("not yours")


async def inspect(windows: Windows, url: str, **options: object) -> Page:
    page = await windows.open(page_at(url, "inspect"), **options)  # type: ignore[arg-type]
    await expect(page.locator("#state")).to_have_text("live")
    return page


async def test_what_happens_is_shown_as_it_happens(windows: Windows) -> None:
    async with windows.serving(MemoryBackend()) as url:
        page = await inspect(windows, url)
        await expect(page.locator("#documents-note")).to_contain_text("No document yet")
        await expect(page.locator("#connections-note")).to_have_text("Nobody is connected.")
        with Replica(user="ann") as replica:
            board = replica.document(Board, "board/1")
            async with replica.connect(url) as connection:
                with board.action("rename", to=EVIL):
                    board.name = EVIL
                board.notes.append("one line\nand another")
                await connection.synced()
                entry = page.locator("#live li", has_text="rename")
                await expect(entry).to_contain_text("ann")
                await expect(entry).to_contain_text(f'to="{EVIL}"')
                await expect(entry).to_contain_text("board/1")
                await expect(page.locator("#documents button")).to_contain_text("2 entries")
                await expect(page.locator("#documents button")).to_contain_text("1 here")
                row = page.locator("#connections tbody tr")
                await expect(row).to_have_count(1)
                await expect(row).to_contain_text("ann")
                await expect(row).to_contain_text("active")
                await expect(row).to_contain_text("board/1")
                await expect(page.locator("#live-said")).to_contain_text("by ann")

                await page.locator("#documents button").click()
                await expect(page.locator("#document-title")).to_be_focused()
                await expect(page.locator("#view")).to_contain_text("one line\nand another")
                await expect(page.locator("#view")).to_contain_text(EVIL)
                await expect(page.locator("#log li")).to_have_count(2)
                board.tasks.add(key="t/1", title="milk")
                await expect(page.locator("#view summary")).to_have_text(["tasks", "t/1"])
                await expect(page.locator("#log li")).to_have_count(3)
            await expect(page.locator("#connections-note")).to_have_text("Nobody is connected.")
            await page.get_by_role("button", name="Who is away").click()
            away = page.get_by_role("table", name="Connections whose clients are away")
            await expect(away).to_contain_text("board/1")
            assert await objections(page) == []
        assert await page.title() == "crdtsync: inspect"


async def test_a_conflict_is_shown_until_it_is_settled(windows: Windows) -> None:
    async with windows.serving(MemoryBackend()) as url:
        with Replica(user="ann") as ann, Replica(user="bob") as bob:
            hers, his = ann.document(Board, "b"), bob.document(Board, "b")
            hers.name, his.name = "hers", "his"
            async with ann.connect(url) as one, bob.connect(url) as other:
                await one.synced()
                await other.synced()
                page = await windows.open(page_at(url, "inspect#document=b"))
                values = page.get_by_role("table", name="Values of name")
                await expect(values).to_contain_text('"hers"')
                await expect(values).to_contain_text('"his"')
                await expect(values).to_contain_text("bob")
                await one.synced()
                hers.name = "both"
                await expect(values).to_have_count(0)
                await expect(page.locator("#view")).to_contain_text('"both"')


async def test_by_keyboard_alone(windows: Windows) -> None:
    backend = MemoryBackend()
    for name in "one", "two":
        await backend.append(name, Author(7, name).write_many(150))
    async with windows.serving(backend) as url:
        page = await inspect(windows, url)
        press, focused = page.keyboard.press, page.locator(":focus")
        await expect(page.locator("#documents li")).to_have_count(2)
        await press("Tab")
        await press("Enter")
        await press("Tab")
        await expect(focused).to_have_attribute("id", "like")
        await page.keyboard.type("tw")
        await expect(page.locator("#documents li")).to_have_count(1)
        await press("Tab")
        if await focused.get_attribute("id") == "documents":  # a list that scrolls can be focused
            await press("Tab")
        await press("Enter")
        await expect(page.locator("#document-title")).to_be_focused()
        await expect(page.locator("#document-title")).to_have_text("two")
        await expect(page.locator("#log li")).to_have_count(100)
        older = page.get_by_role("button", name="Older entries")
        await older.focus()
        await press("Enter")
        await expect(page.locator("#log li")).to_have_count(150)
        await expect(older).to_be_hidden()
        await backend.append("two", [Author(8, "two").write()])
        await expect(page.locator("#log li")).to_have_count(151)
        await press("Escape")
        await expect(page.locator("#document")).to_be_hidden()
        await expect(focused).to_contain_text("two")
        await page.go_back()
        await expect(page.locator("#document-title")).to_be_visible()
        await page.get_by_role("button", name="Pause").focus()
        await press("Space")
        await expect(page.get_by_role("button", name="Pause")).to_have_attribute(
            "aria-pressed", "true"
        )
        shown = await page.locator("#live li").count()
        await backend.append("one", [Author(8, "one").write()])
        await expect(page.locator("#live-note")).to_have_text("Paused; 1 entry since.")
        assert await page.locator("#live li").count() == shown


async def test_elsewhere_it_wants_a_token_and_shows_what_that_may_read(windows: Windows) -> None:
    windows.expected = ("401",)
    backend = MemoryBackend()
    for name in "ann/1", "bob/1":
        await backend.append(name, [Author(7, name).write()])
    async with windows.serving(backend, authenticator=Tokens(), policy=OwnOnly()) as url:
        page = await windows.open(page_at(url, "inspect"))
        await expect(page.get_by_label("Token")).to_be_focused()
        assert await objections(page) == []
        await page.keyboard.type("wrong")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_have_text("nobody knows this token")
        await page.get_by_label("Token").fill("correct horse")
        await page.keyboard.press("Enter")
        await expect(page.locator("#state")).to_have_text("live")
        await expect(page.locator("#who")).to_have_text("ann")
        await expect(page.locator("#documents .name")).to_have_text(["ann/1"])
        [cookie] = await page.context.cookies()
        assert cookie["httpOnly"]
        assert cookie["sameSite"] == "Strict"
        assert cookie["path"] == "/inspect"
        assert await page.evaluate("document.cookie") == ""
        await page.reload()
        await expect(page.locator("#state")).to_have_text("live")
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_label("Token")).to_be_visible()
        assert await page.context.cookies() == []


async def test_it_comes_back_with_the_server(windows: Windows) -> None:
    windows.expected = ("ERR_CONNECTION", "ERR_INCOMPLETE", "ERR_EMPTY")
    backend, author = MemoryBackend(), Author(7, "b")
    await backend.append("b", [author.write()])
    async with serving(backend) as url:
        page = await inspect(windows, url)
    await expect(page.locator("#state")).to_have_text("cut off, trying again")
    await backend.append("b", [author.write()])
    async with windows.serving(backend, port=int(url.rstrip("/").rpartition(":")[2])):
        await expect(page.locator("#state")).to_have_text("live")
        await expect(page.locator("#documents button")).to_contain_text("2 entries")
        await backend.append("b", [author.write()])
        await expect(page.locator("#live li")).to_have_count(1)


@pytest.mark.parametrize("width", [360, 800, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_everybody_can_use_it(
    windows: Windows, width: int, scheme: str, tmp_path: Path
) -> None:
    backend = MemoryBackend()
    async with windows.serving(backend) as url:
        with Replica(user="ann") as ann, Replica(user="bob" + "b" * 40) as bob:
            hers, his = ann.document(Board, "board/1"), bob.document(Board, "board/1")
            for title in "Buy oat milk", "Call the band", "w" * 200:
                hers.tasks.add(title=title).votes.increment(2)
            hers.tasks.add(key="gone", title="old")
            del hers.tasks["gone"]
            hers.notes.append("We have forty plates 🍽\nand no forks. " * 8)
            hers.name, his.name = "Garden party", "Street party"
            for name in "board/2", f"a/document/with/a/long/name/{'n' * 80}":
                ann.document(Board, name).name = "x"
            async with ann.connect(url) as one, bob.connect(url) as other:
                await one.synced()
                await other.synced()
                page = await inspect(windows, url, width=width, height=800, color_scheme=scheme)
                with hers.action("rename_everything", to="something", because="w" * 200):
                    hers.tasks.add(title="new")
                await expect(page.locator("#live")).to_contain_text("rename_everything")
                await expect(page.locator("#connections tbody tr")).to_have_count(2)
                assert await objections(page) == []
                await page.screenshot(
                    path=tmp_path / f"inspect-{width}-{scheme}.png", full_page=True
                )
                await page.locator("#documents button", has_text="board/1").click()
                await expect(page.locator("#conflicts table")).to_have_count(1)
                await expect(page.locator("#log li").first).to_be_visible()
                assert await objections(page) == []
                await page.screenshot(
                    path=tmp_path / f"document-{width}-{scheme}.png", full_page=True
                )
