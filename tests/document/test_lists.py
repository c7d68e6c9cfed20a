from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdtsync import Replica
from tests.document.boards import Board
from tests.generators import exactly, values


def board() -> Board:
    return Replica().document(Board, "b")


@given(st.lists(values(), max_size=5))
def test_a_list_holds_its_values_exactly_here_and_elsewhere(items: list[Any]) -> None:
    one, other = Replica(), Replica()
    one.document(Board, "b").items.extend(items)
    one.merge(other)
    for replica in one, other:
        assert exactly(list(replica.document(Board, "b").items), items)


@given(st.data())
def test_a_list_behaves_as_pythons_own(data: st.DataObject) -> None:
    items, expected = board().items, list[Any]()
    for number in range(data.draw(st.integers(1, 10))):
        length = len(expected)
        match data.draw(st.sampled_from(["insert", "append", "delete", "set", "slice", "move"])):
            case "insert":
                at = data.draw(st.integers(-length - 1, length + 1))
                items.insert(at, number)
                expected.insert(at, number)
            case "append":
                items.append(number)
                expected.append(number)
            case "slice":
                start, stop = data.draw(st.integers(0, length)), data.draw(st.integers(0, length))
                items[start:stop] = [number, -number]
                expected[start:stop] = [number, -number]
            case kind if expected:
                at = data.draw(st.integers(-length, length - 1))
                if kind == "delete":
                    assert items.pop(at) == expected.pop(at)
                elif kind == "set":
                    items[at] = expected[at] = number
                else:
                    target = data.draw(st.integers(0, length - 1))
                    items.move(at, target)
                    expected.insert(target, expected.pop(at))
        assert list(items) == expected
        assert len(items) == len(expected)


def test_many_inserts_in_one_action_cost_in_proportion_and_are_one_entry() -> None:
    """Within one CRDT transaction they would cost their square: 8,000 took seconds."""
    one, other = Replica(), Replica()
    here, there = one.document(Board, "b"), other.document(Board, "b")
    here.items.extend(range(8000))
    here.items[4000:4010] = [1.5] * 500
    assert len(here.log) == 2
    one.merge(other)
    assert list(there.items) == list(here.items)
    assert one.verify() == []


def test_concurrent_inserts_both_stay() -> None:
    one, other = Replica(), Replica()
    here, there = one.document(Board, "b"), other.document(Board, "b")
    here.items.extend([1, 2, 3])
    one.merge(other)
    list(there.items)
    here.items.insert(1, "here")
    there.items.append("there")
    one.merge(other)
    assert list(here.items) == list(there.items) == [1, "here", 2, 3, "there"]


def test_what_is_read_can_be_changed_without_changing_the_document() -> None:
    items = board().items
    items.append({"a": [1]})
    items[0]["a"].append(2)  # type: ignore[index]
    assert items[0] == {"a": [1]}


def test_errors_are_those_of_lists() -> None:
    items = board().items
    items.extend([1, 2])
    with pytest.raises(IndexError, match="index 2 in a list of 2"):
        items[2] = 0
    with pytest.raises(IndexError):
        del items[-3]
    with pytest.raises(ValueError, match="slices without a step"):
        items[::2] = [0]
    with pytest.raises(TypeError, match="a tuple, which cannot be stored"):
        items.append((1, 2))
    assert list(items) == [1, 2]


def test_assign_replaces_only_what_differs() -> None:
    one, other = Replica(), Replica()
    here, there = one.document(Board, "b"), other.document(Board, "b")
    here.items.assign(["a", "b", "c"])
    one.merge(other)
    there.items.append("d")
    here.items.assign(["a", "B", "c"])
    one.merge(other)
    assert list(here.items) == list(there.items) == ["a", "B", "c", "d"]
