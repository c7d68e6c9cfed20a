"""The reference names all that is public; its tables and drawings are what the code says."""

from __future__ import annotations

import dataclasses
import importlib
import re
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import pytest

from docs._house import drawings

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
BY_HAND = ["crdtsync", "crdtsync.strategies"]
WHOLE = [
    "crdtsync.errors",
    "crdtsync.notebook",
    "crdtsync.server",
    "crdtsync.server.access",
    "crdtsync.server.authentication",
    "crdtsync.server.yjs",
    "crdtsync.sync",
    "crdtsync.testing",
    "crdtsync.transport",
]


def api() -> str:
    return "".join(page.read_text("utf-8") for page in sorted(DOCS.rglob("*.md")))


@pytest.mark.parametrize("module", BY_HAND)
def test_what_is_grouped_by_hand_is_all_there_once(module: str) -> None:
    (page,) = [
        text
        for text in (page.read_text("utf-8") for page in (DOCS / "api").glob("*.md"))
        if f"imported from `{module}`" in text
    ]
    named = re.findall(r"^\.\. auto(?:class|function):: (\w+)$", page, re.MULTILINE)
    named += ["Replica"] if module == "crdtsync" else []  # has a page of its own
    assert len(named) == len(set(named))
    assert set(importlib.import_module(module).__all__) <= set(named)


@pytest.mark.parametrize("module", WHOLE)
def test_the_other_public_modules_are_described_whole(module: str) -> None:
    assert f".. automodule:: {module}\n" in api()


def test_every_page_is_in_one_of_the_four_kinds() -> None:
    index = (DOCS / "index.md").read_text("utf-8")
    kinds = re.findall(r":caption: (.*)\n\n((?:.+\n)+)```", index)
    assert [kind for kind, _ in kinds] == ["Tutorial", "How to", "Explanation", "Reference"]
    lines = "".join(pages for _, pages in kinds).splitlines()
    listed = [line.rpartition("<")[2].rstrip(">") for line in lines]
    assert len(listed) == len(set(listed))
    there = {page.stem for page in DOCS.glob("*.md")} - {"index"} | {"api/index"}
    assert set(listed) == there


@pytest.mark.parametrize("name", drawings.DRAWINGS)
def test_the_drawings_are_those_that_are_drawn(name: str) -> None:
    # If not: `python -m _house.drawings` in docs/.
    assert (DOCS / name).read_text("utf-8") == drawings.DRAWINGS[name]()


@pytest.mark.parametrize("name", drawings.DRAWINGS)
def test_the_drawings_are_readable_and_have_words_in_their_place(name: str) -> None:
    text = (DOCS / name).read_text("utf-8")
    root = ElementTree.fromstring(text)
    assert root.findtext("{http://www.w3.org/2000/svg}title")
    assert "prefers-color-scheme: dark" in text
    pages = [page.read_text("utf-8") for page in DOCS.glob("*.md")]
    if name != "life-cycle.svg":  # takes the place of a Mermaid block
        assert any(re.search(rf"!\[[^\]]{{40,}}\]\({name}\)", page) for page in pages)


def test_the_house_has_the_floors_that_are_kept() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    kept = [set(re.findall(r"crdtsync\.(\w+)", layer)) for layer in layers]
    texts = re.findall(r'class="head[^"]*"><tspan[^>]*>([^<]*)', drawings.house())
    drawn = [set(re.findall(r"[a-z]+", text)) for text in texts if not text.isdigit()]
    assert drawn[:-1] == kept[:-1]
    assert drawn[-1] < kept[-1]


def test_all_named_limits_are_shown() -> None:
    pytest.importorskip("sphinx", reason="needs the extra docs")
    limits = importlib.import_module("docs._house.limits")
    page = (DOCS / "limits.md").read_text("utf-8")
    shown = re.findall(r"```\{limits\} ([\w.]+)\.(\w+)", page)
    assert {name for _, name in shown} == {
        "ConnectionLimits",
        "Limits",
        "PresenceLimits",
        "ServerLimits",
        "WireLimits",
        "YjsLimits",
    }
    for module, name in shown:
        cls = getattr(importlib.import_module(module), name)
        told = limits.rows(cls)
        assert all(what for _, _, what in told)
        parts = {field.name for field in dataclasses.fields(cls)} - {name for name, _, _ in told}
        assert parts <= {"wire", "entry", "connection", "presence"}
