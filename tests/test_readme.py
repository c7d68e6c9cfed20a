"""The README and its kin: every Python block runs, and prints what they say it prints."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from sybil import Example, Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

ROOT = Path(__file__).parents[1]
DOCS = sorted(page.relative_to(ROOT).as_posix() for page in (ROOT / "docs").rglob("*.md"))
PAGES = ["README.md", "strategies/README.md", *DOCS]
PLAYED = "docs/tutorial.md"  # in tests/end_to_end: its blocks are files of one app


def examples() -> list[Example]:
    sybil = Sybil(parsers=[PythonCodeBlockParser()])
    return [
        example
        for page in PAGES
        if page != PLAYED
        for example in sybil.parse(ROOT / page).examples()
    ]


@pytest.mark.parametrize("example", examples(), ids=lambda found: f"{found.path}:{found.line}")
def test_block(example):
    example.evaluate()


def test_the_example_pasted_into_a_file_prints_what_the_readme_says(tmp_path):
    readme = (ROOT / "README.md").read_text("utf-8")
    code, printed = re.findall(r"```(?:python|text)\n(.*?)```", readme, re.DOTALL)[:2]
    file = tmp_path / "example.py"
    file.write_text(code, "utf-8")
    done = subprocess.run(
        [sys.executable, "-X", "utf8", str(file)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=tmp_path,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout == printed


def test_the_links_lead_somewhere():
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#:]+)\)", (ROOT / page).read_text("utf-8")):
            assert (ROOT / page).parent.joinpath(link).exists(), f"{page}: {link}"


def test_each_command_is_named():
    from crdtsync.cli import main

    readme = (ROOT / "README.md").read_text("utf-8")
    for command in main.commands:
        assert f"`crdtsync {command}" in readme
