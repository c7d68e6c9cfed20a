"""Every notebook runs from top to bottom, and what is committed of it is what it gives."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from notebooks.refresh import execute, notebooks

KEY_OUTPUTS = {
    "01": ["in conflict 1 field", "no conflicts", "('set', 'Buy milk')", "['bread', 'milk']"],
    "02": ["keep-all", "the highest version", "all replicas agree"],
    "03": ["the law: everywhere", "the law: total", "fleet[0].sell()", "first_come"],
    "04": ["11 of 11 entries", "8 of 11 entries", "('cleo', 'promise', 'cleo')", "writer 2"],
    "05": [
        "[('ann', 50), ('ben', 50)]",
        "(True, 150)",
        "more than lag_entries_max",
        "cloned activated",
        "active | 450 counted | Written by Ben on a mountain.",
    ],
    "06": ["Garden party"],
}
RECORDED = {
    "02": ["222 of 321 (69%)", "33 of 35 (94%)"],
    "04": ["34 of 1,500 entries"],
}
INVENTED = {"02": ["invented"], "04": ["34 of 300 entries"]}
WITH_NODE = {"06": ["Bring a rug. And an instrument.", "['Lantern party', 'Summer party']"]}


def said(book: NotebookNode) -> str:
    """Return what a notebook shows, without markup."""
    shown = []
    for cell in book.cells:
        for output in cell.get("outputs", ()):
            assert output.output_type != "error"
            data = output.get("data", {})
            html = re.sub(r"<style>.*?</style>", "", data.get("text/html", ""))
            text = data.get("text/plain", "") if not html else ""
            shown.append(output.get("text", "") + text + re.sub(r"<[^>]+>", " ", html))
    return re.sub(r"\s+", " ", "\n".join(shown))


def number(path: Path) -> str:
    return path.name[:2]


def test_there_is_a_notebook_for_each_set_of_key_outputs():
    assert [number(path) for path in notebooks()] == list(KEY_OUTPUTS)


@pytest.mark.parametrize("path", notebooks(), ids=number)
def test_it_runs_and_gives_its_key_outputs(path, monkeypatch, tmp_path):
    monkeypatch.setenv("CRDTSYNC_DATA", str(tmp_path / "no such folder"))
    shown = said(execute(path))
    for key in [*KEY_OUTPUTS[number(path)], *INVENTED.get(number(path), ())]:
        assert key in shown
    if "Node is not installed" not in shown:
        for key in WITH_NODE.get(number(path), ()):
            assert key in shown


@pytest.mark.slow
@pytest.mark.parametrize("path", [p for p in notebooks() if number(p) in RECORDED], ids=number)
def test_it_runs_with_recorded_sessions(path, monkeypatch, data):
    monkeypatch.setenv("CRDTSYNC_DATA", str(data.resolve()))
    shown = said(execute(path))
    for key in RECORDED[number(path)]:
        assert key in shown


def test_the_front_end_may_stay_away(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    shown = said(execute(notebooks()[-1]))
    assert "Node is not installed" in shown
    assert "Summer party" not in shown.replace("Summer party with lanterns", "")


@pytest.mark.parametrize("path", notebooks(), ids=number)
def test_what_is_committed_is_complete_and_tells_nothing_of_the_machine(path):
    book = nbformat.read(path, as_version=4)
    nbformat.validate(book)
    shown = said(book)
    for keys in (KEY_OUTPUTS, RECORDED, WITH_NODE):
        for key in keys.get(number(path), ()):
            assert key in shown
    text = path.read_text()
    for hint in ("/tmp/", "/home/", "/root", "/work", "widget-view", "0x7", "localhost:"):
        assert hint not in "".join(map(str, outputs(book))), hint
    assert "ipykernel_" not in text
    assert [cell.id for cell in book.cells] == [f"cell-{n}" for n in range(1, len(book.cells) + 1)]


def outputs(book: NotebookNode) -> list[NotebookNode]:
    return [output for cell in book.cells for output in cell.get("outputs", ())]
