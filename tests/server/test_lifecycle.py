"""The table of a connection's life: whole, and drawn as it is."""

from __future__ import annotations

from pathlib import Path

from crdtsync.server.lifecycle import TRANSITIONS, Event, State, draw

DOCS = Path(__file__).parents[2] / "docs" / "connections.md"


def test_the_picture_in_the_docs_is_the_table() -> None:
    # If not: put what `draw()` returns into the block there.
    assert f"```mermaid\n{draw()}\n```" in DOCS.read_text("utf-8")


def test_whoever_comes_is_something() -> None:
    for state in State:
        assert (state, Event.COME) in TRANSITIONS
    assert {state for state, event in TRANSITIONS if event is Event.COME_ALONE} == {
        State.UNKNOWN,
        State.RETIRED,
    }


def test_every_state_is_reached_and_left_and_nobody_is_unknown_again() -> None:
    reached = {to for to, _ in TRANSITIONS.values()}
    assert reached == set(State) - {State.UNKNOWN}
    for state in State:
        assert any(to is not state for (s, _), (to, _) in TRANSITIONS.items() if s is state)


def test_only_who_holds_all_or_is_alone_becomes_active() -> None:
    becomes = {e for (s, e), (to, _) in TRANSITIONS.items() if to is State.ACTIVE is not s}
    assert becomes == {Event.COME_ALONE, Event.HOLD_ALL}
