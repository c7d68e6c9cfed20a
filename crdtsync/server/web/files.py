"""Pages and what they are made of: files that come with the package."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path

from crdtsync.server.web.exchange import Exchange, Refused

__all__ = ["Files"]

_FOLDER = Path(__file__).parent / "static"
_KINDS = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


class Files:
    """A page, and the files that it asks for by relative URLs.

    They are read when they are first asked for, and kept.

    Args:
        page: name of the page.
        names: of the other files.
    """

    def __init__(self, page: str, names: Collection[str]) -> None:
        self._page = page
        self._names = frozenset(names)
        self._read: dict[str, tuple[bytes, str]] = {}

    async def answer(self, exchange: Exchange) -> None:
        """Answer with the page, or the file below it.

        Raises:
            Refused: there is no such file.
        """
        exchange.only("GET")
        if exchange.path == "":  # from where its URLs would lead elsewhere
            await exchange.answer(308, headers=[("location", f"../{Path(self._page).stem}")])
            return
        name = self._page if exchange.path is None else exchange.path
        if exchange.path is not None and name not in self._names:
            raise Refused(404, "there is nothing of this path")
        body, tag = self._file(name)
        headers = [("etag", tag), ("cache-control", "no-cache")]
        kind = _KINDS[Path(name).suffix]
        if exchange.headers.get("if-none-match") == tag:
            await exchange.answer(304, kind=kind, headers=headers)
        else:
            await exchange.answer(200, body, kind, headers)

    def _file(self, name: str) -> tuple[bytes, str]:
        if name not in self._read:
            body = (_FOLDER / name).read_bytes()
            self._read[name] = body, f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        return self._read[name]
