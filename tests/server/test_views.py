"""What policies are shown follows what the backend holds, also where that was rewritten."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from crdtsync import Document, Replica
from crdtsync.clock import HybridLogicalClock, pack
from crdtsync.log import with_clamp
from crdtsync.server import MemoryBackend
from crdtsync.server.erasures import Erasure
from crdtsync.server.views import DocumentView


class Note(Document):
    title: str = ""
    text: str = ""


def at(ms: int) -> Callable[[], int]:
    return lambda: ms


@pytest.mark.parametrize("followed", [True, False])
async def test_what_is_erased_is_not_shown(followed: bool) -> None:
    backend, view = MemoryBackend(), DocumentView("b")
    with Replica() as replica:
        note = replica.document(Note, "b")
        note.title, note.text = "secret", "stays"
        await backend.append("b", [*note.log])
        if followed:
            await view.follow(backend)
            assert view.plain() == {"title": "secret", "text": "stays"}
        await backend.erase(Erasure("b", replica.id, 1, "by order"))
        for _ in range(2):
            await view.follow(backend)
            assert view.plain() == {"text": "stays"}
        note.title = "new"
        await backend.append("b", [*note.log])
        await view.follow(backend)
        assert view.plain() == {"title": "new", "text": "stays"}


async def test_what_is_clamped_hides_nothing() -> None:
    backend, view = MemoryBackend(), DocumentView("b")
    with (
        Replica(clock=HybridLogicalClock(at(9_000_000))) as ahead,
        Replica(clock=HybridLogicalClock(at(2_000))) as sound,
    ):
        for replica, title in ((ahead, "from the future"), (sound, "later")):
            replica.document(Note, "b").title = title
        (wrong,) = ahead.document(Note, "b").log
        await backend.append("b", [with_clamp(wrong, pack(1_000)), *sound.document(Note, "b").log])
        await view.follow(backend)
        assert view.plain() == {"title": "later"}
