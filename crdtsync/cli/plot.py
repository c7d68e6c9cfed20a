"""The plot of `crdtsync demo`: who does what, and what must come of it."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = [
    "DECISION",
    "DESKTOP",
    "EXPECTED",
    "LAPTOP",
    "MEANWHILE",
    "PHONE",
    "PLAN",
    "RULES",
    "USERS",
]

LAPTOP, PHONE, DESKTOP = "Ann's laptop", "Ann's phone", "Bob's desktop"
USERS = {LAPTOP: "ann", PHONE: "ann", DESKTOP: "bob"}


class Deed(NamedTuple):
    """One action: on which device, which method of the board, with what."""

    device: str
    action: str
    arguments: tuple[Any, ...]


def _deed(device: str, action: str, *arguments: Any) -> Deed:
    return Deed(device, action, arguments)


PLAN = (
    _deed(LAPTOP, "name_board", "Garden party"),
    _deed(LAPTOP, "add_task", "lanterns", "Buy lanterns", "Ten lanterns.", ["shop", "urgent"]),
    _deed(LAPTOP, "add_task", "music", "Book the band", "", []),
)

MEANWHILE = (
    _deed(LAPTOP, "name_board", "Garden party, 5 June"),
    _deed(DESKTOP, "name_board", "Summer party"),
    _deed(LAPTOP, "retitle", "lanterns", "Buy paper lanterns"),
    _deed(DESKTOP, "move", "lanterns", "done"),
    _deed(PHONE, "retitle", "lanterns", "Rent lanterns"),
    _deed(LAPTOP, "move", "lanterns", "doing"),
    _deed(LAPTOP, "vote", "lanterns", 2),
    _deed(DESKTOP, "vote", "lanterns", 1),
    _deed(PHONE, "vote", "lanterns", 1),
    _deed(DESKTOP, "tag", "lanterns", "urgent"),
    _deed(PHONE, "untag", "lanterns", "urgent"),
    _deed(LAPTOP, "tag", "lanterns", "paper"),
    _deed(LAPTOP, "note", "lanterns", "paper ", "Ten "),
    _deed(DESKTOP, "correct", "lanterns", "Ten", "Twelve"),
    _deed(PHONE, "note", "lanterns", " Ask Zoë 🏮", ""),
    _deed(DESKTOP, "retitle", "music", "Book the jazz band"),
    _deed(LAPTOP, "remove_task", "music"),
)
"""Every kind of conflict that a board can have."""

DECISION = _deed(PHONE, "name_board", "Summer party, 5 June")

RULES = {
    "keep-all": "both kept until somebody decides",
    "lww": "the later write holds",
    "furthest": "the app's own rule: what is furthest on",
    "votes": "every vote counts, once",
    "tags": "a removal takes only what it has seen",
    "notes": "what all typed is merged",
    "tasks": "work that a removal has not seen stays",
}
"""Why a conflict is settled as it is: by the strategy's name, or by what merges by itself."""

EXPECTED = {
    "status": "done",
    "votes": 4,
    "tags": ["paper", "shop", "urgent"],
    "notes": "Twelve paper lanterns. Ask Zoë 🏮",
}
"""What the rules make of it, whoever was later: the demo fails where it is otherwise."""
