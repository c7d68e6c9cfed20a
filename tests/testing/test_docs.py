"""The page on testing: every Python block runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from sybil import Example, Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

from crdtsync.testing import LAWS

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"


def examples() -> list[Example]:
    return list(Sybil(parsers=[PythonCodeBlockParser()]).parse(PAGE).examples())


@pytest.mark.parametrize("example", examples(), ids=lambda found: f"line {found.line}")
def test_block(example: Example) -> None:
    example.evaluate()


def test_every_law_is_listed() -> None:
    text = PAGE.read_text("utf-8")
    for law, told in LAWS.items():
        assert f"| `{law}` |" in text
        assert told in text
