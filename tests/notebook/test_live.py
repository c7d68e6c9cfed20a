"""A widget that follows a document."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from crdtsync import Document, Replica
from crdtsync.notebook import causal_graph
from crdtsync.notebook.live import live


class Light(Document):
    on: bool = False
    name: str = "lamp"


@pytest.fixture
def light() -> Light:
    return Replica(user="ann").document(Light, "light")


def test_without_an_event_loop_each_change_is_shown(light: Light) -> None:
    widget = live(light)
    assert "lamp" in widget.value
    light.name = "<b>sun</b>"
    assert "&lt;b&gt;sun" in widget.value


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_many_changes_in_a_row_are_shown_once(light: Light, anyio_backend: str) -> None:
    widget = live(light, pause_s=0)
    drawn: list[str] = []
    widget.observe(lambda change: drawn.append(change["new"]), "value")
    for number in range(20):
        light.name = f"n{number}"
    assert not drawn
    with anyio.fail_after(10):
        while not drawn:
            await anyio.lowlevel.checkpoint()
    assert len(drawn) == 1
    assert "n19" in drawn[0]


def test_a_closed_widget_follows_no_more(light: Light) -> None:
    widget = live(light, causal_graph)
    shown = widget.value
    widget.close()
    light.on = True
    assert widget.value == shown


def test_where_no_kernel_runs_the_last_picture_is_shown(light: Light) -> None:
    widget = live(light)
    light.name = "moon"
    assert "moon" in widget._repr_mimebundle_()["text/html"]
