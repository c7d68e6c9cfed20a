"""A map behaves as a dict, merges key by key, and is one map with what front ends write in Yjs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pycrdt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdtsync import Replica
from crdtsync.document.authors import Origins
from crdtsync.document.ids import ids_of_keys
from crdtsync.document.native import from_native
from crdtsync.log import EMPTY_HEAD, Head, make_entry
from crdtsync.testing.generators import texts
from tests.document.boards import Board
from tests.generators import exactly, values

KEYS = ["a", "b", "ü/1", "", "😀"]


def pair() -> tuple[Replica, Replica, Board, Board]:
    one, other = sorted((Replica(), Replica()), key=lambda replica: replica.id)
    return one, other, one.document(Board, "b"), other.document(Board, "b")


def read_anew(board: Board) -> dict[str, Any]:
    root = board.options._node.root
    return {key: from_native(root[key]) for key in sorted(root.keys())}


@given(st.dictionaries(texts(4), values(), max_size=5))
def test_a_map_holds_its_values_exactly_here_and_elsewhere(entries: dict[str, Any]) -> None:
    one, other, here, there = pair()
    here.options.update(entries)
    one.merge(other)
    for board in here, there:
        assert exactly(dict(board.options), dict(sorted(entries.items())))
        assert list(board.options) == list(board.to_dict()["options"]) == sorted(entries)


class DoomError(Exception):
    """What ends an action."""


def do(target: Any, verb: str, key: str, number: int) -> Any:
    match verb:
        case "set":
            target[key] = number
        case "delete":
            del target[key]
        case "pop":
            return target.pop(key, "none")
        case "default":
            return target.setdefault(key, number)
        case "update":
            target.update({key: number, "a": -number}, b=number)
        case "or":
            target |= {key: number}
        case "clear":
            target.clear()
        case "get":
            return target.get(key), key in target
    return None


VERBS = ["set", "delete", "pop", "default", "update", "or", "clear", "get"]
EDITS = st.lists(st.tuples(st.sampled_from(VERBS), st.sampled_from(KEYS)), max_size=5)


@given(st.lists(st.tuples(st.sampled_from(["bare", "action", "doomed"]), EDITS), max_size=6))
def test_a_map_behaves_as_pythons_dict(script: list[tuple[str, list[tuple[str, str]]]]) -> None:
    board = Replica().document(Board, "b")
    options, expected = board.options, dict[str, Any]()

    def run(edits: list[tuple[str, str]]) -> None:
        for number, (verb, key) in enumerate(edits):
            if verb == "delete" and key not in expected:
                with pytest.raises(KeyError):
                    del options[key]
                continue
            assert do(options, verb, key, number) == do(expected, verb, key, number)
            assert list(options.items()) == sorted(expected.items())
            assert (len(options), options == expected) == (len(expected), True)

    for how, edits in script:
        before = dict(expected)
        if how == "bare":
            run(edits)
            continue
        length = len(board.log)
        try:
            with board.action("several"):
                run(edits)
                assert board.to_dict()["options"] == before
                if how == "doomed":
                    raise DoomError
        except DoomError:
            expected = before
        assert len(board.log) <= length + (how == "action")
        assert board.to_dict()["options"] == expected
    assert read_anew(board) == expected


def test_one_call_is_one_entry_and_none_where_nothing_changes() -> None:
    board = Replica().document(Board, "b")
    board.options.update({"a": 1, "b": 2}, c=3)
    board.options.clear()
    board.options = {"a": [1]}  # type: ignore[assignment]
    assert [entry.name for entry in board.log] == ["update", "delete", "assign"]
    board.options.assign({"a": [1]})
    board.options.update()
    board.options.pop("b", None)
    with board.action("nothing"):
        board.options["b"] = 1
        del board.options["b"]
    assert len(board.log) == 3


def test_assign_changes_only_what_differs() -> None:
    one, other, here, there = pair()
    here.options.update(a=1, b=True, c=3)
    one.merge(other)
    here.options.assign({"a": 1, "b": 1})
    there.options["a"] = "there"
    one.merge(other)
    assert exactly(dict(there.options), {"a": "there", "b": 1})
    assert dict(here.options) == dict(there.options)


def test_of_two_who_write_a_key_at_once_the_higher_id_is_kept() -> None:
    one, other, here, there = pair()
    there.options.update(both="higher", theirs=1)
    here.options.update(both="lower", ours=1)  # and later
    one.merge(other)
    for board in here, there:
        assert dict(board.options) == {"both": "higher", "ours": 1, "theirs": 1}
    here.options["both"] = "seen"
    one.merge(other)
    assert there.options["both"] == "seen"


def test_what_is_read_can_be_changed_without_changing_the_document() -> None:
    board = Replica().document(Board, "b")
    given_in = {"a": [1]}
    board.options["x"] = given_in
    given_in["a"].append(2)
    board.options["x"]["a"].append(3)  # type: ignore[index]
    board.to_dict()["options"]["x"]["a"].append(4)
    assert board.options["x"] == {"a": [1]}


@pytest.mark.parametrize(
    ("error", "message", "edit"),
    [
        (KeyError, "nowhere", lambda options: options["nowhere"]),
        (KeyError, "not there", lambda options: options.pop("not there")),
        (TypeError, "keys are str, not int", lambda options: options.update({1: 2})),
        (ValueError, "surrogate", lambda options: options.update({"\ud800": 2})),
        (TypeError, "a tuple, which cannot be stored", lambda options: options.update(b=(1,))),
    ],
)
def test_what_cannot_be_is_refused_before_anything_happens(
    error: type[Exception], message: str, edit: Callable[[Any], object]
) -> None:
    board = Replica().document(Board, "b")
    board.options["a"] = 1
    with pytest.raises(error, match=message):
        edit(board.options)
    assert (dict(board.options), len(board.log)) == ({"a": 1}, 1)


def test_many_keys_in_one_action() -> None:
    one, other, here, there = pair()
    here.options.update({str(number): number for number in range(5000)})
    one.merge(other)
    assert dict(there.options) == dict(here.options)
    with there.action("each"):
        for key in there.options:
            there.options[key] += 1  # type: ignore[operator]
    one.merge(other)
    assert dict(here.options) == {str(number): number + 1 for number in range(5000)}


# --- records ---------------------------------------------------------------------------------


def test_work_on_a_map_keeps_a_record_from_being_deleted_unseen() -> None:
    one, other, here, there = pair()
    task = here.tasks.add(key="t", marks={"a": 1})
    one.merge(other)
    assert dict(there.tasks["t"].marks) == {"a": 1}
    del there.tasks["t"]
    task.marks["b"] = 2
    one.merge(other)
    assert dict(there.tasks["t"].marks) == {"a": 1, "b": 2}
    del here.tasks["t"]
    assert dict(here.tasks.add(key="t").marks) == {}


# --- what becomes of an action -----------------------------------------------------------------


def test_a_refused_deletion_comes_back_and_a_refused_write_leaves_no_value() -> None:
    """The CRDT hides what a write replaced, and goes on to: see docs/formats.md."""
    one, other, here, there = pair()
    here.options.update(a=1, b=1)
    one.merge(other)
    with there.action("refused"):
        del there.options["a"]
        there.options.update(b=2, c=2)
    one.merge(other)
    there.options["c"] = 3  # on top of what is refused
    one.merge(other)
    for replica, board in (one, here), (other, there):
        replica.ledger("b").refuse(other.id, 1, "no")
        assert dict(board.options) == {"a": 1, "c": 3} == read_anew(board)
    here.options["b"] = 1
    one.merge(other)
    assert dict(there.options) == {"a": 1, "b": 1, "c": 3}


def test_undo_leaves_what_others_wrote_over_it() -> None:
    one, other, here, there = pair()
    here.options.update(a="old", b="old", c="old", d="old")
    with here.action("ours"):
        here.options.update(a="new", b="new", e="new")
        del here.options["c"], here.options["d"]
    one.merge(other)
    there.options.update(b="theirs", c="theirs", e="new")  # the same again, but theirs
    one.merge(other)
    here.undo()
    assert dict(here.options) == {"a": "old", "b": "theirs", "c": "theirs", "d": "old", "e": "new"}
    here.redo()
    assert dict(here.options) == {"a": "new", "b": "theirs", "c": "theirs", "e": "new"}
    one.merge(other)
    assert dict(there.options) == dict(here.options)


def test_it_has_a_history_and_a_past() -> None:
    board = Replica(user="ann").document(Board, "b")
    board.options["a"] = 1
    moment = board.state_vector
    board.options["a"] = 2
    del board.options["a"]
    assert [version.value for version in board.history("options")] == [{"a": 1}, {"a": 2}, {}]
    past = board.at(moment)
    assert dict(past.options) == {"a": 1}
    (found,) = board.diff(moment)
    assert (found.path, found.before, found.after) == (("options",), {"a": 1}, {})


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2), st.sampled_from(["set", "set", "del", "merge"]), st.text("ab")
        ),
        max_size=25,
    )
)
def test_the_ids_at_keys_tell_who_wrote_what_stands_there(
    script: list[tuple[int, str, str]],
) -> None:
    """Every write holds the name of its entry, so what stands at a key tells what is expected."""
    group = [Replica() for _ in range(3)]
    boards = [replica.document(Board, "b") for replica in group]
    for who, verb, key in script:
        board = boards[who]
        if verb == "merge":
            group[who].merge(group[(who + 1) % 3])
        elif verb == "set":
            board.options[key] = [group[who].id, group[who].ledger("b").next_seq]
        else:
            board.options.pop(key, None)
    for board in boards:
        origins, found = Origins(board._live.journal), dict[str, Any]()
        for key, id_ in ids_of_keys(board._live.view.doc, "options").items():
            entry, _ = origins.find(*id_)
            assert entry is not None
            found[key] = [entry.replica, entry.seq]
        assert found == dict(board.options)


# --- front ends ------------------------------------------------------------------------------


class FrontEnd:
    """Somebody who writes into the same map by means of Yjs, seeing all that the board does."""

    def __init__(self, replica: Replica, board: Board, client: int = 2**52 + 9) -> None:
        self.doc: pycrdt.Doc[Any] = pycrdt.Doc(client_id=client)
        self._replica, self._board, self._client, self._head = replica, board, client, EMPTY_HEAD

    def write(
        self, edit: Callable[[Any], object], kind: Any = pycrdt.Map, name: str = "options"
    ) -> None:
        """Edit a root, and let the replica receive what that comes to."""
        self.doc.apply_update(self._board._live._doc.get_update(self.doc.get_state()))
        updates: list[bytes] = []
        subscription = self.doc.observe(lambda event: updates.append(event.update))
        with self.doc.transaction():
            edit(self.doc.get(name, type=kind))
        self.doc.unobserve(subscription)
        for update in updates:
            entry = make_entry("b", self._client, self._head, 1, "yjs", update)
            self._head = Head(entry.seq, entry.hash)
            self._replica.ledger("b").receive([entry.data])


SHARED: list[tuple[Callable[[], Any], Any]] = [
    (
        lambda: pycrdt.Map({"x": 1, "deep": pycrdt.Array([1, pycrdt.Text("y")])}),
        {"x": 1, "deep": [1, "y"]},
    ),
    (lambda: pycrdt.Text("a😀"), "a😀"),
    (lambda: pycrdt.Array([1, 2.5]), [1, 2.5]),
    (pycrdt.XmlFragment, None),
    (pycrdt.Doc, None),
    (lambda: [1, {"y": 2.0}], [1, {"y": 2}]),
]


@pytest.mark.parametrize("read_before", [False, True])
@pytest.mark.parametrize("made", SHARED)
def test_what_front_ends_put_in_is_shown_by_what_it_holds(
    made: tuple[Callable[[], Any], Any], read_before: bool
) -> None:
    make, shown = made
    replica, other = Replica(), Replica()
    board = replica.document(Board, "b")
    board.options["ours"] = 1
    if read_before:
        assert dict(board.options) == {"ours": 1}
    front = FrontEnd(replica, board)
    front.write(lambda root: root.update({"theirs": make()}))
    assert exactly(dict(board.options), {"ours": 1, "theirs": shown})
    assert board.to_dict() == board.to_dict()
    board.options["theirs"] = "ours now"
    replica.merge(other)
    assert other.document(Board, "b").options["theirs"] == "ours now"
    board.undo()
    assert exactly(board.options["theirs"], shown)


def test_a_root_used_as_something_else_shows_its_keys_only() -> None:
    replica = Replica()
    board = replica.document(Board, "b")
    assert dict(board.options) == {}
    front = FrontEnd(replica, board)
    front.write(lambda root: root.extend([1, "x", pycrdt.Map({"a": 1})]), pycrdt.Array)
    assert dict(board.options) == {}
    board.options["a"] = 1
    assert dict(board.options) == read_anew(board) == {"a": 1}


def test_observers_hear_of_changes_to_unread_maps_and_inside_them() -> None:
    replica = Replica()
    board = replica.document(Board, "b")
    heard: list[Any] = []
    board.observe(lambda change: heard.append(change.paths))
    front = FrontEnd(replica, board)
    front.write(lambda root: root.update({"n": pycrdt.Map({"x": 1})}))
    front.write(lambda root: root["n"].update({"x": 2}))
    board.options["a"] = 1
    front.write(lambda items: items.append(1), pycrdt.Array, "items")
    assert heard == [*[(("options",),)] * 3, (("items",),)]


NESTED = st.sampled_from(
    ["set", "type", "type", "inside", "inside", "delete", "ours", "ours delete", "look", "look"]
)


def write_inside(root: Any, key: str, number: int) -> None:
    held = root.get(key)
    if isinstance(held, pycrdt.Map):
        held["x"] = number
    elif isinstance(held, pycrdt.Text):
        held += "x"
    elif isinstance(held, pycrdt.Array):
        held.append(number)


@given(st.lists(st.tuples(NESTED, st.sampled_from(["a", ""]), st.integers(0, 3)), max_size=20))
def test_a_view_kept_up_to_date_is_what_is_read_anew(script: list[tuple[str, str, int]]) -> None:
    replica = Replica()
    board = replica.document(Board, "b")
    front = FrontEnd(replica, board)

    for verb, key, number in script:
        match verb:
            case "set":
                front.write(lambda root: root.update({key: number}))  # noqa: B023 - called at once
            case "type":
                front.write(lambda root: root.update({key: SHARED[number][0]()}))  # noqa: B023
            case "inside":
                front.write(lambda root: write_inside(root, key, number))  # noqa: B023
            case "delete":
                front.write(lambda root: key in root and root.__delitem__(key))  # noqa: B023
            case "ours":
                board.options[key] = number
            case "ours delete":
                board.options.pop(key, None)
            case "look":
                assert exactly(dict(board.options), read_anew(board))
    assert exactly(dict(board.options), read_anew(board))
    assert replica.verify() == []
