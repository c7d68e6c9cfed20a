"""Rich text merges, reads the same everywhere, and is one text with what editors in Yjs write."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from unittest.mock import patch
from xml.etree import ElementTree

import pycrdt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crdtsync import Document, Record, Replica, RichText, Table
from crdtsync.document.markup import DEPTH_MAX, at
from crdtsync.document.parts import Container, Element, Passage
from crdtsync.document.xml_types import read
from crdtsync.errors import ActionError
from crdtsync.log import EMPTY_HEAD, Head, make_entry

ALPHABET = "ab é😀👩‍👩‍👧\u0301𝄞"
TEXT = st.text(ALPHABET, max_size=5)
IDS = (2**52 + 1, 2**52 + 2)
FORMATS: list[dict[str, Any]] = [
    {"bold": True},
    {"bold": None},
    {"em": {}},
    {"em": None, "link": {"href": "é"}},
    {"size": 2},
]

BY_Y_PROSEMIRROR = bytes.fromhex(
    "01190700070104626f6479030768656164696e670700070006040007010ac39c6ec3af20f09f9880280007000"
    "56c6576656c017d02870700030970617261677261706807000709060400070a0648656c6c6f20860710067374"
    "726f6e67027b7d84071104626f6c64860715067374726f6e67046e756c6c8407160520616e642086071b046c6"
    "96e6b257b2268726566223a2268747470733a2f2f652e6f7267222c227469746c65223a6e756c6c7d86071c02"
    "656d027b7d84071d046c696e6b860721046c696e6b046e756c6c86072202656d046e756c6c87070a0305696d6"
    "167652800072403737263017705612e706e678707240604000726012e870709030a626c6f636b71756f746507"
    "000728030970617261677261706807000729060400072a0171870729030970617261677261706800"
)
"""A document by client 7, made with yjs 13.6 and y-prosemirror 1.3 from ProseMirror's JSON."""


class Note(Record):
    title: str = ""
    body: RichText


class Page(Document):
    body: RichText
    notes: Table[Note]


def pair(ids: Iterable[int] = IDS) -> tuple[Replica, Replica, Page, Page]:
    """Return two replicas of given ids: they decide in which order concurrent inserts stand."""
    with patch("crdtsync.replica.store.new_replica_id", side_effect=ids):
        one, other = Replica(), Replica()
    return one, other, one.document(Page, "p"), other.document(Page, "p")


def receive(page: Page, replica: Replica, update: bytes, client: int) -> None:
    """Let a replica receive a Yjs update as an entry of its own author."""
    replica.ledger("p").receive([make_entry("p", client, EMPTY_HEAD, 1, "x", update).data])


def foreign_update(write: Callable[[pycrdt.Doc[Any]], object], client: int = 9) -> bytes:
    doc: pycrdt.Doc[Any] = pycrdt.Doc(client_id=client)
    with doc.transaction():
        write(doc)
    return doc.get_update()


def consistent(page: Page) -> None:
    """Check that the view kept up to date is the view read anew."""
    node = page.body._node
    assert node.tree == read(node.root)


def element(container: Container, *indices: int) -> Element:
    for index in indices:
        found = container[index]
        assert isinstance(found, Element)
        container = found
    assert isinstance(container, Element)
    return container


def passage(container: Container, *indices: int) -> Passage:
    found = (element(container, *indices[:-1]) if len(indices) > 1 else container)[indices[-1]]
    assert isinstance(found, Passage)
    return found


# --- making and reading ----------------------------------------------------------------------


def test_blocks_are_made_and_read_here_and_elsewhere() -> None:
    one, other, page, copy = pair()
    page.body.append("heading", "Title", level=2)
    page.body.append("paragraph", "a ", ("b", {"bold": True}), {"tag": "image"}, "c")
    page.body.insert(0, "paragraph")
    one.merge(other)
    for side in page, copy:
        assert [block.tag for block in side.body if isinstance(block, Element)] == [
            "paragraph",
            "heading",
            "paragraph",
        ]
        assert element(side.body, 1).attributes == {"level": 2}
        assert passage(side.body, 2, 0).runs() == [("a ", {}), ("b", {"bold": True})]
        assert str(side.body) == "\nTitle\na b\ufffcc"
        assert side.body.to_xml() == (
            '<paragraph/><heading level="2">Title</heading>'
            "<paragraph>a <bold>b</bold><image/>c</paragraph>"
        )
        assert side.to_dict()["body"][2]["children"] == [
            {"runs": [["a ", {}], ["b", {"bold": True}]]},
            {"tag": "image", "attributes": {}, "children": []},
            {"runs": [["c", {}]]},
        ]
    assert page.view_hash() == copy.view_hash()


def test_what_an_editor_wrote_is_read_edited_and_kept() -> None:
    replica = Replica()
    page = replica.document(Page, "p")
    receive(page, replica, BY_Y_PROSEMIRROR, 7)
    assert page.body.to_xml() == (
        '<heading level="2">Ünï 😀</heading><paragraph>Hello <strong>bold</strong> and '
        '<em><link href="https://e.org" title="null">link</link></em><image src="a.png"/>.'
        "</paragraph><blockquote><paragraph>q</paragraph><paragraph/></blockquote>"
    )
    level = element(page.body, 0).attributes["level"]
    assert type(level) is int
    passage(page.body, 0, 0).insert(5, "!")
    element(page.body, 2, 1).append_text("r")
    passage(page.body, 1, 0).format(0, 5, strong={})
    assert str(page.body) == "Ünï 😀!\nHello bold and link\ufffc.\nq\nr"
    consistent(page)


def test_children_behave_as_a_sequence() -> None:
    page = Replica().document(Page, "p")
    for tag in "abcde":
        page.body.append(tag)
    del page.body[1:3]
    del page.body[-1]
    assert page.body.to_xml() == "<a/><d/>"
    assert len(page.body) == 2
    assert page.body[-1] == page.body[1]
    assert page.body[-1] != page.body[0]
    assert [repr(part) for part in page.body[:1]] == ["<a/>"]
    assert page.body.index(page.body[1]) == 1
    assert page.body == page.body
    page.body.clear()
    assert list(page.body) == []
    with pytest.raises(IndexError, match="index 0 among 0 children"):
        page.body[0]
    with pytest.raises(IndexError):
        del page.body[0]
    with pytest.raises(ValueError, match="slices without a step"):
        del page.body[::2]


def test_attributes_behave_as_a_mapping() -> None:
    one, other, page, copy = pair()
    attributes = page.body.append("image", src="a.png", size=[1, 2.5]).attributes
    attributes["alt"] = None
    attributes["src"] = "b.png"
    attributes["size"].append(3)
    del attributes["size"]
    one.merge(other)
    assert element(copy.body, 0).attributes == {"alt": None, "src": "b.png"}
    assert repr(attributes) == "{'alt': None, 'src': 'b.png'}"
    assert len(attributes) == 2
    with pytest.raises(KeyError):
        del attributes["size"]


def test_text_continues_the_formatting_before_it_unless_told_otherwise() -> None:
    one, other, page, copy = pair()
    text = page.body.append("p", ("ab", {"bold": True}), "cd").append_text("e")
    text.insert(2, "X")
    text.insert(0, "Y")
    text.insert(4, "Z", bold=None, em={})
    text.insert(2, "W", size=2.0)
    expected = [
        ("Y", {}),
        ("a", {"bold": True}),
        ("W", {"bold": True, "size": 2}),
        ("bX", {"bold": True}),
        ("Zcde", {}),
    ]
    expected[4:] = [("Z", {"em": {}}), ("cde", {})]
    assert text.runs() == expected
    one.merge(other)
    assert passage(copy.body, 0, 0).runs() == expected
    consistent(page)


def test_text_is_added_to_the_passage_at_the_end_only() -> None:
    page = Replica().document(Page, "p")
    block = page.body.append("p", "a")
    assert block.append_text("b") == "ab"
    block.append("image")
    block.append_text("c", bold=True)
    block.insert_text(0, "d")
    assert block.to_xml() == "<p>dab<image/><bold>c</bold></p>"
    assert [type(part) for part in block] == [Passage, Passage, Element, Passage]


# --- actions ---------------------------------------------------------------------------------


def test_a_failed_action_leaves_nothing_and_a_failed_part_only_what_was_before_it() -> None:
    page = Replica().document(Page, "p")
    block = page.body.append("p", "text", kind="a")
    before = page.body.to_xml()
    with pytest.raises(ZeroDivisionError), page.action("doomed"):
        block.attributes["kind"] = "b"
        page.body.insert(0, "q").append_text("inner")
        page.body[1].remove()
        assert page.body.to_xml() == "<q>inner</q>"
        1 / 0  # noqa: B018
    assert page.body.to_xml() == before
    assert len(page.log) == 1
    with page.action("half"):
        block.append_text("!")
        with pytest.raises(ZeroDivisionError), page.action("doomed"):
            block.remove()
            1 / 0  # noqa: B018
        assert block.to_xml() == '<p kind="a">text!</p>'
    assert page.body.to_xml() == '<p kind="a">text!</p>'
    consistent(page)


def test_an_action_sees_what_it_did_and_nobody_else_does() -> None:
    page = Replica().document(Page, "p")
    with page.action("write"):
        block = page.body.append("p", "abc")
        text = block.append_text("def")
        text.format(1, 3, bold=True)
        text.delete(0, 2)
        assert block.to_xml() == "<p><bold>c</bold>def</p>"
        assert page.to_dict()["body"] == []
    assert block.to_xml() == "<p><bold>c</bold>def</p>"
    assert len(page.log) == 1


def test_handles_stay_with_their_parts() -> None:
    one, other, page, copy = pair()
    page.body.append("p", "first")
    block = page.body.append("p", "second")
    text = passage(block, 0)
    one.merge(other)
    copy.body.insert(0, "h", "new")
    copy.body[1].remove()
    passage(copy.body, 1, 0).insert(0, "the ")
    one.merge(other)
    page.body.insert(1, "q")
    assert block.tag == "p"
    assert str(text) == "the second"
    text.append("!")
    assert page.body.to_xml() == "<h>new</h><q/><p>the second!</p>"
    assert page.body.index(block) == 2
    assert {block: 1}[element(page.body, 2)] == 1


def test_a_handle_of_a_deleted_part_says_so() -> None:
    page = Replica().document(Page, "p")
    block = page.body.append("p", "text")
    text = passage(block, 0)
    block.remove()
    attempts: list[Callable[[], object]] = [
        lambda: block.append("q"),
        lambda: str(text),
        lambda: text.append("x"),
        lambda: block.attributes.get("x"),
        block.remove,
    ]
    for attempt in attempts:
        with pytest.raises(ActionError, match="is not in it any more: it was deleted"):
            attempt()
    assert len(page.log) == 2


# --- assignment ------------------------------------------------------------------------------


def runs() -> st.SearchStrategy[list[Any]]:
    attributes = st.sampled_from([{}, {"bold": True}, {"em": {}}, {"bold": True, "n": 1}])
    return st.lists(st.tuples(TEXT, attributes).map(list), max_size=3)


def parts() -> st.SearchStrategy[list[dict[str, Any]]]:
    def inside(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.fixed_dictionaries(
            {
                "tag": st.sampled_from("pq"),
                "attributes": st.dictionaries(
                    st.sampled_from("xy"), st.sampled_from([1, True, None, "é"])
                ),
                "children": st.lists(children, max_size=3),
            }
        )

    leaves = st.fixed_dictionaries({"runs": runs()})
    return st.lists(st.recursive(leaves, inside, max_leaves=6), max_size=4)


@given(parts(), parts())
@example([{"runs": [["ab", {"bold": True}]]}], [{"runs": [["a", {}], ["b", {"bold": True}]]}])
def test_assignment_makes_it_equal_here_and_elsewhere(old: Any, new: Any) -> None:
    one, other, page, copy = pair()
    page.body = old
    one.merge(other)
    copy.body.to_xml()
    page.body = new
    described = page.to_dict()["body"]
    assert len(described) == len(new)
    consistent(page)
    one.merge(other)
    consistent(copy)
    assert copy.to_dict()["body"] == described
    count = len(page.log)
    page.body = described
    assert len(page.log) == count
    page.body.clear()
    page.body = new
    assert page.to_dict()["body"] == described


def test_assignment_keeps_what_others_did_elsewhere_in_it() -> None:
    one, other, page, copy = pair()
    page.body.append("h", "Title", level=1)
    page.body.append("p", "the quick fox ", ("jumps", {"bold": True}))
    one.merge(other)
    changed = page.to_dict()["body"]
    changed[0]["attributes"]["level"] = 2
    changed[1]["children"][0]["runs"][0][0] = "the slow fox "
    page.body.assign(changed)
    passage(copy.body, 0, 0).append("!")
    passage(copy.body, 1, 0).append(" high")
    copy.body.append("p", "end")
    one.merge(other)
    for side in page, copy:
        assert side.body.to_xml() == (
            '<h level="2">Title!</h><p>the slow fox <bold>jumps high</bold></p><p>end</p>'
        )


def test_another_rich_text_can_be_assigned() -> None:
    page = Replica().document(Page, "p")
    page.body.append("p", ("a", {"em": {}}), level=1)
    note = page.notes.add(body=page.body)
    page.body.clear()
    assert note.body.to_xml() == '<p level="1"><em>a</em></p>'
    assert note.to_dict()["body"] == note.body._node.plain()


# --- what cannot be --------------------------------------------------------------------------


def test_what_cannot_be_stored_is_refused_before_anything_happens() -> None:
    page = Replica().document(Page, "p")
    block = page.body.append("p", "text")
    attempts: list[tuple[type[Exception], str, Callable[[], object]]] = [
        (ValueError, "lone surrogate", lambda: page.body.append("p", "\ud800")),
        (ValueError, "lone surrogate", lambda: page.body.append("\ud800")),
        (ValueError, "lone surrogate", lambda: block.append_text("\ud800")),
        (ValueError, "lone surrogate", lambda: page.body.append("p", **{"\ud800": 1})),
        (ValueError, "needs a tag", lambda: page.body.append("")),
        (ValueError, "JSON does not carry", lambda: page.body.append("p", n=2**60)),
        (TypeError, "JSON serializable", lambda: page.body.append("p", n=b"")),
        (TypeError, "a set, which cannot", lambda: passage(block, 0).format(0, 1, n=set())),
        (ValueError, "JSON does not carry", lambda: block.attributes.update(n=float("nan"))),
        (TypeError, "a list of parts, not one str", lambda: page.body.assign("text")),
        (TypeError, "content is made of", lambda: page.body.append("p", 5)),
        (TypeError, "a 'tag' or 'runs'", lambda: page.body.append("p", {"text": "x"})),
        (TypeError, "takes no default|not int", lambda: page.body.append(5)),  # type: ignore[arg-type]
        (IndexError, "in a text of 4", lambda: passage(block, 0).insert(5, "x")),
    ]
    for kind, message, attempt in attempts:
        with pytest.raises(kind, match=message):
            attempt()
        with pytest.raises(kind, match=message), page.action("inside"):
            attempt()
    assert page.body.to_xml() == "<p>text</p>"
    assert len(page.log) == 1


def test_as_deep_as_allowed_and_no_deeper() -> None:
    one, other, page, copy = pair()
    container: Container = page.body
    with page.action("dig"):
        for _ in range(DEPTH_MAX):
            container = container.append("p")
    with pytest.raises(ValueError, match=f"nested too deeply: at most {DEPTH_MAX} parts"):
        container.append("p")
    with pytest.raises(ValueError, match="nested too deeply"):
        container.append_text("x")
    nested: Any = "x"
    for _ in range(10 * DEPTH_MAX):
        nested = {"tag": "p", "children": [nested]}
    with pytest.raises(ValueError, match="nested too deeply"):
        page.body.append("q", nested)
    one.merge(other)
    assert copy.body.to_xml() == page.body.to_xml()
    assert copy.view_hash() == page.view_hash()
    assert page.body.to_xml().count("<p") == DEPTH_MAX


def test_what_others_nest_too_deeply_is_not_shown_and_can_be_replaced() -> None:
    def dig(doc: pycrdt.Doc[Any]) -> None:
        place: Any = doc.get("body", type=pycrdt.XmlFragment)
        for _ in range(150):
            place = place.children.append(pycrdt.XmlElement("p"))

    replica = Replica()
    page = replica.document(Page, "p")
    page.body.to_xml()
    receive(page, replica, foreign_update(dig), 9)
    assert page.body.to_xml().count("<p") == DEPTH_MAX
    consistent(page)
    assert len(page.view_hash()) == 64
    page.body.append("q")
    deepest = element(page.body, *[0] * DEPTH_MAX)
    with pytest.raises(ValueError, match="nested too deeply"):
        deepest.append("q")
    page.body[0].remove()
    assert page.body.to_xml() == "<q/>"
    consistent(page)


FOREIGN: dict[str, Callable[[pycrdt.Doc[Any]], object]] = {
    "text": lambda doc: doc.get("body", type=pycrdt.Text).insert(0, "h😀llo"),
    "array": lambda doc: doc.get("body", type=pycrdt.Array).extend([1, "x", {"a": 1}]),
    "types": lambda doc: doc.get("body", type=pycrdt.Array).append(pycrdt.Map({"a": 1})),
}


@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.parametrize("read_before", [False, True])
@pytest.mark.parametrize("client", [9, 2**53 - 2])
def test_content_of_another_kind_is_not_shown_nor_what_comes_after_it(
    kind: str, read_before: bool, client: int
) -> None:
    """The CRDT library waits for ever when it is told to delete across some of these."""
    replica, other = Replica(), Replica()
    page = replica.document(Page, "p")
    page.body.append("p", "text")
    if read_before:
        page.body.to_xml()
    receive(page, replica, foreign_update(FOREIGN[kind], client), client)
    before = "" if client == 9 else "<p>text</p>"
    assert page.body.to_xml() == before
    consistent(page)
    page.body.append("q", "new")
    page.body[-1].append_text("er")  # type: ignore[union-attr]
    replica.merge(other)
    copy = other.document(Page, "p")
    assert copy.body.to_xml() == before + "<q>newer</q>"
    copy.body.insert(0, "r")
    replica.merge(other)
    assert page.body.to_xml() == "<r/>" + before + "<q>newer</q>"
    consistent(page)
    page.body.assign([{"tag": "s"}])
    assert page.body.to_xml() == "<s/>"
    consistent(page)


@pytest.mark.parametrize("client", [9, 2**53 - 2])
def test_what_stood_behind_other_content_is_shown_when_that_is_gone(client: int) -> None:
    replica = Replica()
    page = replica.document(Page, "p")
    page.body.append("p", "text")
    doc: pycrdt.Doc[Any] = pycrdt.Doc(client_id=client)
    items = doc.get("body", type=pycrdt.Array)
    head = EMPTY_HEAD
    for change in (lambda: items.extend([1, 2]), items.clear):
        state = doc.get_state()
        change()
        entry = make_entry("p", client, head, 1, "x", doc.get_update(state))
        head = Head(entry.seq, entry.hash)
        replica.ledger("p").receive([entry.data])
        consistent(page)
    assert page.body.to_xml() == "<p>text</p>"
    assert not page.body._node.tree.foreign


def test_a_passage_with_other_things_than_text_in_it_can_only_be_replaced() -> None:
    def write(doc: pycrdt.Doc[Any]) -> None:
        fragment = doc.get("body", type=pycrdt.XmlFragment)
        text = fragment.children.append("é")
        text.insert_embed(2, "an object which looks like text")

    replica = Replica()
    page = replica.document(Page, "p")
    receive(page, replica, foreign_update(write), 9)
    text = passage(page.body, 0)
    with pytest.raises(ActionError, match="remove it and make another"):
        text.append("x")
    page.body.assign(["x"])
    assert page.body.to_xml() == "x"
    consistent(page)


def test_objects_and_shared_types_inside_are_shown_as_far_as_they_can_be() -> None:
    def write(doc: pycrdt.Doc[Any]) -> None:
        fragment = doc.get("body", type=pycrdt.XmlFragment)
        text = fragment.children.append(pycrdt.XmlElement("p")).children.append("é")
        text.insert_embed(2, {"image": "a.png"})
        text.insert_embed(0, pycrdt.XmlElement("x"))
        fragment.children[0].attributes["odd"] = b"bytes"

    replica = Replica()
    page = replica.document(Page, "p")
    receive(page, replica, foreign_update(write), 9)
    text = passage(page.body, 0, 0)
    assert text.runs() == [(None, {}), ("é", {}), ({"image": "a.png"}, {})]
    assert str(text) == "\ufffcé\ufffc"
    text.insert(2, "X")
    text.delete(0, 1)
    assert text.runs() == [("éX", {}), ({"image": "a.png"}, {})]
    text.assign("é\ufffc!")
    assert text.runs() == [("é", {}), ({"image": "a.png"}, {}), ("!", {})]
    assert element(page.body, 0).attributes["odd"] == b"bytes"
    assert page.body.to_xml() == '<p odd="&quot;b\'bytes\'&quot;">é<object image="a.png"/>!</p>'
    consistent(page)


# --- records ---------------------------------------------------------------------------------


def test_work_on_a_rich_text_keeps_a_record_from_being_deleted_unseen() -> None:
    one, other, page, copy = pair()
    note = page.notes.add(key="n", title="t")
    note.body.append("p", "text")
    one.merge(other)
    del copy.notes["n"]
    passage(note.body, 0, 0).append("!")
    one.merge(other)
    assert copy.notes["n"].body.to_xml() == page.notes["n"].body.to_xml() == "<p>text!</p>"


def test_a_record_added_again_begins_with_an_empty_rich_text() -> None:
    page = Replica().document(Page, "p")
    page.notes.add(key="n").body.append("p", "old")
    del page.notes["n"]
    note = page.notes.add(key="n", body=[{"tag": "q"}])
    assert note.body.to_xml() == "<q/>"


def test_observers_hear_of_changes_to_unread_rich_texts() -> None:
    one, other, page, copy = pair()
    page.notes.add(key="n")
    one.merge(other)
    heard: list[Any] = []
    copy.observe(lambda change: heard.append(change.paths))
    page.notes["n"].body.append("p", "text")
    page.body.append("p")
    one.merge(other)
    assert {path for paths in heard for path in paths} == {("notes", "n", "body"), ("body",)}


# --- laws ------------------------------------------------------------------------------------


def places(container: Container) -> list[Element | Passage]:
    found: list[Element | Passage] = []
    for part in container:
        found.append(part)
        if isinstance(part, Element):
            found += places(part)
    return found


def edit(data: st.DataObject, body: RichText) -> None:
    """Make one edit somewhere in a rich text."""
    part = data.draw(st.sampled_from([body, *places(body)]), label="part")
    if isinstance(part, Passage):
        start = data.draw(st.integers(0, len(part)))
        stop = data.draw(st.integers(start, len(part)))
        match data.draw(st.sampled_from(["insert", "replace", "format", "remove"])):
            case "insert":
                part.insert(start, data.draw(TEXT), **data.draw(st.sampled_from([{}, *FORMATS])))
            case "replace":
                part.replace(start, stop, data.draw(TEXT))
            case "format":
                part.format(start, stop, **data.draw(st.sampled_from(FORMATS)))
            case _:
                part.remove()
        return
    index = data.draw(st.integers(0, len(part)))
    match data.draw(st.sampled_from(["element", "text", "append", "attribute", "delete"])):
        case "element":
            part.insert(index, data.draw(st.sampled_from("pq")), *data.draw(runs()))
        case "text":
            part.insert_text(index, data.draw(TEXT))
        case "append":
            part.append_text(data.draw(TEXT), **data.draw(st.sampled_from([{}, *FORMATS])))
        case "attribute" if isinstance(part, Element):
            part.attributes[data.draw(st.sampled_from("xy"))] = data.draw(st.integers(0, 2))
        case "delete":
            del part[index : data.draw(st.integers(index, len(part)))]
        case _:
            pass


@given(st.data())
def test_concurrent_edits_converge_while_both_are_being_read(data: st.DataObject) -> None:
    one, other, page, copy = pair(data.draw(st.permutations(IDS)))
    page.body.append("p", "some text", ("bold", {"bold": True}))
    page.body.append("q").append("p", "more")
    one.merge(other)
    for _ in range(data.draw(st.integers(1, 4))):
        for side in page, copy:
            for _ in range(data.draw(st.integers(0, 4))):
                edit(data, side.body)
                consistent(side)
        one.merge(other)
        consistent(page)
        consistent(copy)
        assert page.body._node.tree == copy.body._node.tree
        assert page.view_hash() == copy.view_hash()
    described = page.to_dict()
    page._live.load()
    assert page.to_dict() == described


@given(st.data())
def test_an_action_sees_what_it_will_leave_and_may_come_to_nothing(data: st.DataObject) -> None:
    page = Replica().document(Page, "p")
    page.body.append("p", "some text", ("bold", {"bold": True}))
    before = page.to_dict()
    with pytest.raises(ZeroDivisionError), page.action("doomed"):
        for _ in range(data.draw(st.integers(1, 4))):
            edit(data, page.body)
        1 / 0  # noqa: B018
    assert page.to_dict() == before
    with page.action("edits"):
        for _ in range(data.draw(st.integers(1, 4))):
            edit(data, page.body)
        seen = page.body._spot().find()[1]
    assert page.body._node.tree == seen
    consistent(page)


@given(st.data())
def test_handles_keep_their_parts_through_changes_from_elsewhere(data: st.DataObject) -> None:
    """A part that both sides still hold is found by the handle that was taken before."""
    one, other, page, copy = pair()
    for name in "abcd":
        page.body.append("p", name, name=name)
    one.merge(other)
    handles = [part for part in page.body if isinstance(part, Element)]
    for _ in range(data.draw(st.integers(1, 4))):
        index = data.draw(st.integers(0, len(copy.body)))
        if data.draw(st.booleans()):
            copy.body.insert(index, "p", name="new")
        elif index < len(copy.body):
            del copy.body[index]
    one.merge(other)
    names = {block.attributes["name"] for block in page.body if isinstance(block, Element)}
    for name, handle in zip("abcd", handles, strict=True):
        if name in names:
            assert handle.attributes["name"] == name
            assert handle in list(page.body)
        else:
            with pytest.raises(ActionError):
                handle.tag  # noqa: B018


@given(
    st.lists(st.tuples(st.text(max_size=3), st.text(max_size=3), st.text(max_size=3)), max_size=3)
)
@example([("1 é<", "&\x00\r\n", "a:b")])
def test_xml_is_well_formed_whatever_is_in_it(blocks: list[tuple[str, str, str]]) -> None:
    page = Replica().document(Page, "p")
    for tag, characters, name in blocks:
        given = {name: characters, "n": {"deep": [None]}}
        page.body.append(tag or "p", (characters, given), **given)
    root = ElementTree.fromstring(f"<page>{page.body.to_xml()}</page>")
    assert len(root) == len(blocks)


def test_the_tree_is_shared_where_nothing_changes() -> None:
    """A keystroke in one block costs nothing in the others."""
    page = Replica().document(Page, "p")
    for _ in range(3):
        page.body.append("p", "text")
    before = page.body._node.tree
    passage(page.body, 1, 0).append("!")
    tree = page.body._node.tree
    assert [tree.children[i] is before.children[i] for i in range(3)] == [True, False, True]
    assert at(tree, (1, 0)) != at(before, (1, 0))
