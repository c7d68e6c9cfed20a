"""The board: windows of a browser and Python replicas edit it together."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from crdtsync import Document, Record, Replica, Table, Text, field
from crdtsync.errors import AuthenticationError
from crdtsync.server import MemoryBackend
from crdtsync.server.authentication import Identity
from crdtsync.strategies import KeepAll
from tests.pages.conftest import Windows, page_at, serving, until
from tests.pages.looks import objections

pytestmark = pytest.mark.anyio

CUT = ("WebSocket connection", "ERR_CONNECTION")
DOCS = Path(__file__).parents[2] / "docs"


class Item(Record):
    title: str = ""
    done: bool = False


class Board(Document):
    title: str = field(default="Untitled", strategy=KeepAll())
    items: Table[Item]
    notes: Text


async def board(windows: Windows, url: str, user: str, **options: object) -> Page:
    page = await windows.open(page_at(url, f"demo?user={user}"), **options)  # type: ignore[arg-type]
    await live(page)
    return page


async def live(page: Page) -> None:
    await expect(page.locator("#state")).to_have_text("live", timeout=20_000)


async def add(page: Page, title: str) -> None:
    await page.fill("#new", title)
    await page.press("#new", "Enter")


async def titles(page: Page) -> list[str]:
    rows = await page.locator("#items input:not([type=checkbox])").all()
    return [await row.input_value() for row in rows]


async def test_two_windows_and_a_replica_edit_one_board(windows: Windows) -> None:
    async with windows.serving(MemoryBackend()) as url:
        with Replica(user="py") as replica:
            python = replica.document(Board, "demo")
            async with replica.connect(url):
                one, two = await board(windows, url, "Ada"), await board(windows, url, "Alan")
                await expect(one.locator("#people li")).to_have_text(["Ada (you)", "Alan"])
                await expect(two.locator("#people li")).to_have_text(["Alan (you)", "Ada"])

                await one.fill("#title", "Garden party")
                await one.press("#title", "Enter")
                await add(one, "Lights 💡")
                await one.click("#notes")
                await one.keyboard.type("Bring chairs. 😀")
                await until(lambda: str(python.notes) == "Bring chairs. 😀")
                await until(lambda: python.title == "Garden party")
                await expect(two.locator("#title")).to_have_value("Garden party")
                await expect(two.locator("#notes")).to_have_value("Bring chairs. 😀")
                [item] = python.items.values()
                assert item.title == "Lights 💡"

                python.notes.insert(0, "😀 ")
                python.items.add(title="Written in Python")
                item.title = "Lights"
                for page in one, two:
                    await expect(page.locator("#notes")).to_have_value("😀 Bring chairs. 😀")
                    await expect(page.locator("#items li")).to_have_count(2)
                    await until(lambda page=page: _sorted(page, ["Lights", "Written in Python"]))

                await two.get_by_label("Lights: done").check()
                await until(lambda: item.done)
                await one.get_by_role("button", name="Remove Lights").click()
                await until(lambda: len(python.items) == 1)
                await expect(two.locator("#items li")).to_have_count(1)
                assert python.conflicts() == []
                users = {python.log.user_of(entry.replica) for entry in python.log}
                assert users == {"Ada", "Alan", "py"}


async def _sorted(page: Page, wanted: list[str]) -> bool:
    return sorted(await titles(page)) == wanted


async def test_what_is_done_off_line_meets_when_they_are_back(windows: Windows) -> None:
    async with windows.serving(MemoryBackend()) as url:
        with Replica(user="py") as replica:
            python = replica.document(Board, "demo")
            one, two = await board(windows, url, "Ada"), await board(windows, url, "Alan")
            async with replica.connect(url) as connection:
                python.notes.append("middle")
                python.title = "Party"
                await connection.synced()
                await expect(one.locator("#notes")).to_have_value("middle")
                await expect(two.locator("#title")).to_have_value("Party")
            # Now all three are on their own.
            for page, title, side, key in (
                (one, "Hers", "front ", "Home"),
                (two, "His", " back", "End"),
            ):
                await page.get_by_role("button", name="Work off line").click()
                await expect(page.locator("#state")).to_have_text("off line")
                await page.fill("#title", title)
                await page.press("#title", "Enter")
                await page.click("#notes")
                await page.keyboard.press(f"ControlOrMeta+{key}")
                await page.keyboard.insert_text(side)
                await add(page, f"{title} thing")
                await expect(page.locator("#state")).to_have_text("off line: 3 changes wait")
            python.notes.insert(3, "-")
            for page in one, two:
                await page.get_by_role("button", name="Work off line").click()
                await live(page)
            async with replica.connect(url):
                await until(lambda: str(python.notes) == "front mid-dle back")
                for page in one, two:
                    await expect(page.locator("#notes")).to_have_value("front mid-dle back")
                    await expect(page.locator("#items li")).to_have_count(2)
                    choices = page.locator("#choices").get_by_role("button")
                    await until(lambda choices=choices: _texts(choices, {"Hers", "His"}))
                    await expect(page.locator("#people li")).to_have_count(2)
                [conflict] = python.conflicts()
                assert {one.value for one in conflict.candidates} == {"Hers", "His"}
                await one.locator("#choices").get_by_role("button", name="His").click()
                await until(lambda: python.conflicts() == [] and python.title == "His")
                await expect(two.locator("#choices")).to_be_empty()


async def _texts(choices: object, wanted: set[str]) -> bool:
    return set(await choices.all_inner_texts()) == wanted  # type: ignore[attr-defined]


async def test_the_server_is_away_for_a_while(windows: Windows) -> None:
    windows.expected = CUT
    backend = MemoryBackend()
    async with serving(backend) as url:
        page = await board(windows, url, "Ada")
        await add(page, "before")
    await expect(page.locator("#state")).to_have_text("no server")
    await add(page, "meanwhile")
    await expect(page.locator("#state")).to_have_text("no server: 1 change waits")
    async with serving(backend, int(url.rstrip("/").rpartition(":")[2])) as again:
        await live(page)
        with Replica(user="py") as replica:
            python = replica.document(Board, "demo")
            async with replica.connect(again):
                await until(lambda: len(python.items) == 2)
        assert await titles(page) == ["before", "meanwhile"]


async def test_what_was_done_off_line_outlives_its_window(windows: Windows) -> None:
    async with windows.serving(MemoryBackend()) as url:
        context = await windows.context()
        page = await windows.open(page_at(url, "demo?user=Ada"), context)
        await live(page)
        await page.click("#offline")
        await add(page, "not sent")
        await page.locator("#notes").fill("nor this")
        # Until the browser has written it down.
        await page.evaluate("() => new Promise(resolve => setTimeout(resolve, 300))")
        await page.close()
        page = await windows.open(page_at(url, "demo?user=Ada"), context)
        await live(page)
        await expect(page.locator("#notes")).to_have_value("nor this")
        other = await board(windows, url, "Alan")
        await expect(other.locator("#notes")).to_have_value("nor this")
        assert await titles(other) == ["not sent"]


async def test_another_server_at_the_same_address_gets_nothing_of_it(windows: Windows) -> None:
    windows.expected = CUT
    async with serving(MemoryBackend()) as url:
        context = await windows.context()
        page = await windows.open(page_at(url, "demo?user=Ada"), context)
        await live(page)
        await add(page, "for the first server")
        await page.close()
    async with serving(MemoryBackend(), int(url.rstrip("/").rpartition(":")[2])) as again:
        page = await windows.open(page_at(again, "demo?user=Ada"), context)
        await live(page)
        await expect(page.locator("#items li")).to_have_count(0)
        await add(page, "for the second")
        assert await titles(page) == ["for the second"]


async def test_by_keyboard_alone(windows: Windows) -> None:
    async with windows.serving(MemoryBackend()) as url:
        page, other = await board(windows, url, "Ada"), await board(windows, url, "Alan")
        press, focused = page.keyboard.press, page.locator(":focus")
        await press("Tab")
        await expect(focused).to_have_text("To the content")
        await press("Enter")
        await press("Tab")
        await expect(focused).to_have_attribute("id", "title")
        await page.keyboard.type("Party")
        await press("Tab")
        await expect(other.locator("#title")).to_have_value("Party")
        await expect(focused).to_have_attribute("id", "new")
        for title in "milk", "bread":
            await page.keyboard.type(title)
            await press("Enter")
        await press("Shift+Tab")
        await expect(focused).to_have_attribute("aria-label", "Remove bread")
        await press("Shift+Tab")
        await page.keyboard.type("never mind")
        await press("Escape")
        await press("Shift+Tab")
        await press("Space")
        await expect(other.get_by_label("bread: done")).to_be_checked()
        await press("Tab")
        await press("ControlOrMeta+A")
        await page.keyboard.type("rye bread")
        await press("Tab")
        await until(lambda: _sorted(other, ["milk", "rye bread"]))
        await press("Enter")
        await expect(other.locator("#items li")).to_have_count(1)
        await expect(focused).to_have_attribute("aria-label", "Remove milk")
        await press("Enter")
        await expect(other.locator("#empty")).to_be_visible()
        await expect(focused).to_have_attribute("id", "new")
        await press("Tab")
        await press("Tab")
        await expect(focused).to_have_attribute("id", "notes")
        await page.keyboard.type("one")
        await expect(other.locator("#notes")).to_have_value("one")


async def test_the_caret_stays_and_undo_takes_back_ones_own(windows: Windows) -> None:
    async with windows.serving(MemoryBackend()) as url:
        one, two = await board(windows, url, "Ada"), await board(windows, url, "Alan")
        await one.click("#notes")
        await one.keyboard.type("12")
        await one.keyboard.press("ArrowLeft")
        await expect(two.locator("#notes")).to_have_value("12")
        await two.click("#notes")
        await two.keyboard.press("ControlOrMeta+Home")
        await two.keyboard.type("0😀")
        await expect(one.locator("#notes")).to_have_value("0😀12")
        await one.keyboard.type("x")
        await expect(two.locator("#notes")).to_have_value("0😀1x2")
        await one.keyboard.press("ControlOrMeta+Z")
        await expect(two.locator("#notes")).to_have_value("0😀")
        await one.keyboard.press("ControlOrMeta+Shift+Z")
        await expect(two.locator("#notes")).to_have_value("0😀1x2")


async def test_nobody_types_over_what_is_being_typed(windows: Windows) -> None:
    async with windows.serving(MemoryBackend()) as url:
        one, two = await board(windows, url, "Ada"), await board(windows, url, "Alan")
        await one.click("#title")
        await one.keyboard.type("half a ti")
        await two.fill("#title", "Other")
        await two.press("#title", "Enter")
        await add(two, "seen")
        await expect(one.locator("#items li")).to_have_count(1)
        await expect(one.locator("#title")).to_have_value("half a ti")
        await one.keyboard.press("Escape")
        await expect(one.locator("#title")).to_have_value("Other")


async def test_the_names_of_others_are_text(windows: Windows) -> None:
    async with windows.serving(MemoryBackend()) as url:
        evil = "<img src=x onerror=document.title=1>"
        await windows.open(page_at(url, f"demo?user={evil}"))
        page = await board(windows, url, "Ada")
        await expect(page.locator("#people li")).to_have_text(["Ada (you)", evil])
        assert await page.title() == "crdtsync: demo board"


class Tokens:
    requires_loopback = False

    async def authenticate(self, token: str | None, *, user: str | None) -> Identity:
        if token != "correct horse":
            raise AuthenticationError("nobody knows this token")
        return Identity("ann")


async def test_where_users_show_tokens_it_asks_for_one(windows: Windows) -> None:
    windows.expected = ("nobody knows this token",)
    async with windows.serving(MemoryBackend(), authenticator=Tokens()) as url:
        page = await windows.open(page_at(url, "demo"))
        await expect(page.get_by_label("Token")).to_be_focused()
        assert await objections(page) == []
        await page.keyboard.type("wrong")
        await page.keyboard.press("Enter")
        await expect(page.locator("#problem")).to_contain_text("nobody knows this token")
        await page.reload()
        await page.get_by_label("Token").fill("correct horse")
        await page.keyboard.press("Enter")
        await live(page)


async def test_the_script_on_the_page_is_the_one_in_the_docs(windows: Windows) -> None:
    code = re.findall(r"```python\n(.*?)```", (DOCS / "pages.md").read_text("utf-8"), re.DOTALL)[0]
    async with windows.serving(MemoryBackend()) as url:
        page = await board(windows, url, "Ada")
        shown = await page.locator("#script").text_content()
        assert shown is not None
        here = url.rstrip("/")
        assert shown == code.replace("ws://localhost:8765", here) + "\n\nanyio.run(main)\n"


@pytest.mark.parametrize("width", [360, 800, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_everybody_can_use_it(
    windows: Windows, width: int, scheme: str, tmp_path: Path
) -> None:
    async with windows.serving(MemoryBackend()) as url:
        one = await board(windows, url, "Ada", width=width, height=800, color_scheme=scheme)
        two = await board(windows, url, "Alan")
        assert await objections(one) == []
        await add(one, "Something rather long, so that it has to be cut or wrapped " + "w" * 80)
        await one.locator("#notes").fill("words " * 80 + "w" * 200)
        for page in one, two:
            await page.click("#offline")
            await page.fill("#title", f"From {page is one} " + "w" * 60)
            await page.press("#title", "Enter")
        for page in one, two:
            await page.click("#offline")
        await one.locator("#items input[type=checkbox]").check()
        await expect(one.locator("#choices button")).to_have_count(2)
        assert await objections(one) == []
        await one.screenshot(path=tmp_path / f"demo-{width}-{scheme}.png", full_page=True)
