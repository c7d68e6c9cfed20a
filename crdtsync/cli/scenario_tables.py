"""How `crdtsync demo` looks: the report of `crdtsync.cli.scenario` as tables, with few words."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from crdtsync.cli.output import iso_time
from crdtsync.cli.plot import DESKTOP, LAPTOP, PHONE
from crdtsync.cli.scenario import Report, in_words
from crdtsync.clock import to_datetime

__all__ = ["as_json", "show"]

_STYLES = {LAPTOP: "cyan", PHONE: "magenta", DESKTOP: "yellow"}
_HASH_LENGTH = 12
_ABSENT = "–"  # noqa: RUF001 - a dash, for people

_ROWS = (
    ("board name", None, "name"),
    ("title", "lanterns", "title"),
    ("status", "lanterns", "status"),
    ("votes", "lanterns", "votes"),
    ("tags", "lanterns", "tags"),
    ("notes", "lanterns", "notes"),
    ("task music", "music", "title"),
)


def as_json(report: Report) -> dict[str, Any]:
    """Return the report as JSON carries it, times in ISO 8601."""
    found = asdict(report)
    for writing in (*found["meanwhile"], found["decision"]):
        writing["time"] = iso_time(writing["time"])
    for settled in found["settled"]:
        settled["writings"] = [
            {"device": device, "time": iso_time(time), "wrote": value}
            for device, time, value in settled["writings"]
        ]
    return {**found, "ok": not report.problems}


def show(report: Report, to: Console) -> None:
    """Write the whole story."""
    to.print(Text("\nTwo people, three devices, one board", style="bold"))
    to.print(
        "Ann has a laptop and a phone, Bob a desktop. Each device has a store of its own; a server "
        "process passes on what they do. Together they plan a garden party."
    )
    _step(to, 1, "On line: Ann plans on her laptop, and all three see the same board.")
    to.print(_indented(_start(report)))
    _step(to, 2, "The server is killed. All three work on: nobody waits, nothing fails.")
    to.print(_indented(_offline(report)))
    _step(to, 3, "The server is back. The devices reconnect by themselves, and all agree.")
    to.print(_indented(_before_and_after(report)))
    _step(to, 4, "What was written at the same time, and how it was settled.")
    to.print(_indented(_settled(report)))
    _step(to, 5, "A person decides what no rule should: Ann names the board on her phone.")
    to.print(_indented(_decision(report)))
    _step(to, 6, "In the end all devices hold the same log and show the same board.")
    to.print(_indented(_proof(report)))
    _verdict(report, to)


def _step(to: Console, number: int, title: str) -> None:
    to.print()
    to.print(Text.assemble((f"{number}  ", "bold green"), (title, "bold")))


def _indented(content: Any) -> Padding:
    return Padding(content, (0, 0, 0, 3))


def _table(*headers: str) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
        header_style="dim",
    )
    for header in headers:
        table.add_column(Text(header, style=_STYLES.get(header, "")), overflow="fold")
    return table


def _device(name: str) -> Text:
    return Text(name, style=_STYLES[name])


def _start(report: Report) -> Table:
    names = ("title", "status", "votes", "tags", "notes")
    table = _table("task", *names)
    for key, task in report.start["tasks"].items():
        table.add_row(Text(key, style="italic"), *(_cell(task[name]) for name in names))
    return table


def _offline(report: Report) -> Text:
    count = Counter(writing.device for writing in report.meanwhile)
    words = Text(f"{len(report.meanwhile)} actions off line: ")
    for index, device in enumerate(report.offline):
        words.append(", " if index else "")
        words.append_text(_device(device))
        words.append(f" {count[device]}")
    words.append("\nEach was in its device's log before it was seen there.")
    return words


def _before_and_after(report: Report) -> Table:
    views = list(report.online.values())
    agreed = all(view == views[0] for view in views)
    table = _table("", *report.offline)
    for header in ["all three, now"] if agreed else [f"{name}, now" for name in report.online]:
        table.add_column(Text(header, style="bold green" if agreed else "bold red"))
    for label, task, field in _ROWS:
        befores = [_cell(_find(view, task, field)) for view in report.offline.values()]
        nows = [_cell(_find(view, task, field)) for view in (views[:1] if agreed else views)]
        for now in nows:
            now.stylize("bold")
        table.add_row(Text(label, style="italic"), *befores, *nows)
    return table


def _settled(report: Report) -> Table:
    table = _table("", "at (s)", "who", "wrote", "now, and why")
    for number, settled in enumerate(report.settled, start=1):
        times = Text("\n").join(Text(_since(report, at), "dim") for _, at, _ in settled.writings)
        devices = Text("\n").join(_device(device) for device, _, _ in settled.writings)
        values = Text("\n").join(Text(value) for _, _, value in settled.writings)
        outcome = Text.assemble((str(_cell(settled.outcome)), "bold"), "\n", (settled.rule, "dim"))
        if settled.strategy:
            outcome.append(f" ({settled.strategy})", style="dim")
        last = number == len(report.settled)
        below = Padding(outcome, (0, 0, 0 if last else 1, 0))
        table.add_row(Text(settled.what, style="italic"), times, devices, values, below)
    return table


def _decision(report: Report) -> Text:
    writing = report.decision
    return Text.assemble(
        (_since(report, writing.time), "dim"),
        "  ",
        _device(writing.device),
        "  ",
        in_words(writing),
        ("  (no conflict any more)", "dim"),
    )


def _since(report: Report, time: int) -> str:
    """Return how many seconds after the first of what was settled something was written."""
    began = min(at for settled in report.settled for _, at, _ in settled.writings)
    return f"{(to_datetime(time) - to_datetime(began)).total_seconds():.3f}"


def _proof(report: Report) -> Table:
    table = _table("", "entries", "state vector", "view hash", "")
    first = report.devices[0]
    for device in report.devices:
        same = (device.state_vector, device.view_hash) == (first.state_vector, first.view_hash)
        vector = ", ".join(
            f"{name.split()[-1]} {device.state_vector.get(name, 0)}" for name in _STYLES
        )
        table.add_row(
            _device(device.name),
            str(device.entries),
            vector,
            f"{device.view_hash[:_HASH_LENGTH]}…",
            Text("✓", style="bold green") if same else Text("✗", style="bold red"),
        )
    return table


def _verdict(report: Report, to: Console) -> None:
    to.print()
    if not report.problems:
        entries = report.devices[0].entries
        to.print(
            Text.assemble(
                ("✓ ", "bold green"),
                f"{entries} actions, one killed server, nothing lost: all devices agree "
                f"({report.seconds:.1f} s)",
            )
        )
        return
    for problem in report.problems:
        to.print(Text.assemble(("✗ ", "bold red"), problem))


def _find(view: dict[str, Any], task: str | None, field: str) -> Any:
    if task is None:
        return view[field]
    return view["tasks"].get(task, {}).get(field, _ABSENT)


def _cell(value: Any) -> Text:
    return Text(" ".join(value) if isinstance(value, list) else str(value))
