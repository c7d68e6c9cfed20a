"""`/demo`: a board that browsers and Python replicas edit together.

It is a Yjs client like any other: whoever may open the document by the Yjs doors may use it here.
"""

from __future__ import annotations

from crdtsync.server.hub import Hub
from crdtsync.server.web.exchange import Exchange
from crdtsync.server.web.files import Files

__all__ = ["DemoPage"]


class DemoPage:
    """The page, and what it has to know of the server: what a browser keeps of another is void.

    Args:
        hub: the server.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._files = Files(
            "demo.html",
            [
                *("style.css", "icon.svg", "demo.css", "demo.js", "binding.js"),
                *("yjs.js", "yjs.LICENSES.txt", "crdtsync-fields.js"),
            ],
        )

    async def answer(self, exchange: Exchange) -> None:
        """Answer a request."""
        if exchange.path == "server":
            exchange.only("GET")
            exchange.from_here()
            epoch = self._hub.channels.backend.epoch.hex()
            await exchange.answer_json({"epoch": epoch, "development": self._hub.believes})
        else:
            await self._files.answer(exchange)
