"""Every example in a docstring runs and gives what it says."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import crdtsync
import crdtsync_strategies


def modules() -> list[str]:
    found = [crdtsync.__name__, crdtsync_strategies.__name__]
    for package in crdtsync, crdtsync_strategies:
        walk = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        found += [module.name for module in walk if not module.name.endswith("__main__")]
    return found


@pytest.mark.parametrize("name", modules())
def test_examples(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    examples = [
        example
        for name in modules()
        for test in finder.find(importlib.import_module(name))
        for example in test.examples
    ]
    assert len(examples) > 50
