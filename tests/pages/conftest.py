"""Real windows of a real browser, and a server for them."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from crdtsync.server import Backend, serve

_CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)


@pytest.fixture
def anyio_backend() -> str:
    """Playwright knows asyncio only."""
    return "asyncio"


class Windows:
    """Opens windows, and keeps what goes wrong in them.

    Attributes:
        problems: what the consoles of the windows tell: errors and warnings.
        expected: words of problems that are meant to be.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self.problems: list[str] = []
        self.expected: tuple[str, ...] = ()
        self._opened: list[Page] = []

    async def context(self, width: int = 1440, height: int = 900, **options: Any) -> BrowserContext:
        """Return a browser of its own: nothing is shared with others."""
        context = await self._browser.new_context(
            viewport={"width": width, "height": height}, **options
        )
        context.set_default_timeout(20_000)
        return context

    async def open(self, url: str, context: BrowserContext | None = None, **options: Any) -> Page:
        """Open a page in a window, in a browser of its own if none is given."""
        page = await (context or await self.context(**options)).new_page()
        page.on("console", lambda said: self._note(said.type, said.text))
        page.on("pageerror", lambda error: self._note("error", str(error)))
        self._opened.append(page)
        await page.goto(url)
        return page

    @asynccontextmanager
    async def serving(self, backend: Backend, **options: Any) -> AsyncIterator[str]:
        """Serve a backend, and close the windows before that ends."""
        async with serving(backend, **options) as url:
            yield url
            for page in self._opened:
                await page.close()

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not any(word in text for word in self.expected):
            self.problems.append(text)


@pytest.fixture
async def windows() -> AsyncIterator[Windows]:
    """Open a browser; in the end, see that no window had anything to complain about."""
    if _CHROMIUM is None:
        pytest.skip("NOT TESTED: the pages, for want of chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=_CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        try:
            opened = Windows(browser)
            yield opened
        finally:
            await browser.close()
    assert opened.problems == []


@asynccontextmanager
async def serving(backend: Backend, port: int = 0, **options: Any) -> AsyncIterator[str]:
    """Serve a backend; gives the URL that replicas connect to."""
    async with anyio.create_task_group() as tasks:
        run = partial(serve, backend, [f"ws://127.0.0.1:{port}"], **options)
        [url] = await tasks.start(run)
        yield url
        tasks.cancel_scope.cancel()


def page_at(url: str, page: str) -> str:
    """Return the URL of a page."""
    return url.replace("ws", "http", 1) + page


async def until(check: Any, timeout_s: float = 20) -> None:
    """Wait until something holds; `check` may be a coroutine function."""
    with anyio.fail_after(timeout_s):
        while True:
            found = check()
            if found if not hasattr(found, "__await__") else await found:
                return
            await anyio.sleep(0.02)
