"""The keywords of a server: said once, and the same wherever they are taken."""

from __future__ import annotations

import inspect
from typing import Any, get_type_hints

import pytest

from crdtsync.server import Hub, HubOptions, MemoryBackend, WebOptions, serve, web_app


def test_the_options_are_all_that_a_hub_takes() -> None:
    taken = get_type_hints(Hub.__init__).keys() - {"backend", "return"}
    assert HubOptions.__annotations__.keys() == taken


def test_the_web_adds_its_own() -> None:
    taken = inspect.signature(web_app).parameters.keys() - {"backend", "options"}
    assert WebOptions.__annotations__.keys() == taken | HubOptions.__annotations__.keys()


@pytest.mark.parametrize("unknown", ["orgins", "port"])
async def test_what_no_server_takes_is_a_mistake(unknown: str) -> None:
    options: dict[str, Any] = {unknown: None}
    with pytest.raises(TypeError, match=unknown):
        web_app(MemoryBackend(), **options)
    with pytest.raises(TypeError, match=unknown):
        await serve(MemoryBackend(), [], **options)


async def _mistakes(backend: MemoryBackend) -> None:
    """What a type checker objects to. mypy reads it; nobody runs it."""
    web_app(backend, history="drop")  # type: ignore[arg-type]
    web_app(backend, port=1)  # type: ignore[call-arg]
    await serve(backend, [], origins=1)  # type: ignore[arg-type]
    await serve(backend, [], port=1)  # type: ignore[call-arg]
