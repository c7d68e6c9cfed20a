"""The tree that is drawn is the tree that is raised."""

from __future__ import annotations

import inspect
import re

import pytest

from crdtsync import errors
from crdtsync.errors import (
    CorruptLogError,
    CrdtSyncError,
    EntryError,
    LimitError,
    RefusedError,
    StorageError,
)

_LINE = re.compile(r"^(?P<indent>[ │├└─]*)(?P<name>[A-Z]\w+)(?:\s{2,}(?P<what>\S.*))?$")


def drawn() -> dict[str, str]:
    """Return each class's parent, as the module's docstring draws it."""
    parents: dict[str, str] = {}
    path: list[tuple[int, str]] = []
    assert errors.__doc__ is not None
    for line in errors.__doc__.splitlines():
        found = _LINE.match(line)
        if found is None or not found["name"].endswith("Error"):
            continue
        depth = len(found["indent"])
        while path and path[-1][0] >= depth:
            path.pop()
        parents[found["name"]] = path[-1][1] if path else "Exception"
        path.append((depth, found["name"]))
        assert found["what"] or not path[1:], f"{found['name']} is not explained"
    return parents


def defined() -> dict[str, type]:
    return {
        name: value
        for name, value in vars(errors).items()
        if inspect.isclass(value) and value.__module__ == errors.__name__
    }


def test_the_tree_drawn_is_the_tree() -> None:
    assert {name: cls.__bases__[0].__name__ for name, cls in defined().items()} == drawn()
    assert all(len(cls.__bases__) == 1 for cls in defined().values())


def test_all_lists_every_error_in_order() -> None:
    assert errors.__all__ == sorted(defined())


def test_every_docstring_says_when_it_is_raised() -> None:
    for name, cls in defined().items():
        doc = inspect.getdoc(cls)
        assert doc is not None
        assert doc.startswith("Raised when" if cls is not CrdtSyncError else "Base of"), name


def test_an_entry_error_says_which_entry() -> None:
    error = EntryError("it is late", document="b", replica=255, seq=3)
    assert str(error) == "entry 3 of replica ff in document 'b': it is late"
    assert (error.reason, error.document, error.replica, error.seq) == ("it is late", "b", 255, 3)
    assert str(EntryError("it is late")) == "entry: it is late"


def test_a_limit_error_says_which_limit() -> None:
    error = LimitError("name_length_max", 512, 2000, "an action's name")
    assert str(error) == "an action's name is 2,000, more than name_length_max=512 allows"
    assert (error.limit, error.allowed, error.actual) == ("name_length_max", 512, 2000)


def test_a_storage_error_says_which_file() -> None:
    error = CorruptLogError("it is torn", path="a.db", document="b", replica=255, seq=3, position=9)
    assert str(error) == "a.db: entry 3 of replica ff in document 'b' (row 9): it is torn"
    assert isinstance(error, StorageError)
    assert (error.path, error.reason, error.position) == ("a.db", "it is torn", 9)


def test_a_refusal_says_why() -> None:
    error = RefusedError("version", "too old")
    assert str(error) == "refused by the server (version): too old"
    assert (error.code, error.reason) == ("version", "too old")


@pytest.mark.parametrize("name", errors.__all__)
def test_one_except_clause_catches_all(name: str) -> None:
    assert issubclass(getattr(errors, name), CrdtSyncError)
