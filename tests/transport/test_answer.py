"""The order in which a query is answered."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crdtsync.selection import Selection
from crdtsync.transport.answer import Answer, QueryItem

PATTERNS = {"a/*": 0, "b/*": 5, "c/*": 9}
documents = st.dictionaries(
    st.builds("{}/{}".format, st.sampled_from("abc"), st.integers(0, 5)), st.booleans(), max_size=12
)


def drain(answer: Answer) -> list[QueryItem]:
    items = []
    while (item := answer.take()) is not None:
        items.append(item)
    return items


def settled(items: list[QueryItem]) -> list[QueryItem]:
    return [item for item in items if item.kind in ("arrived", "failed") and item.document]


@given(documents, st.sets(st.sampled_from(["a/0", "b/1", "c/2"])), st.data())
def test_whatever_comes_when_the_answer_is_whole_and_in_order(
    outcomes: dict[str, bool], literal: set[str], data: st.DataObject
) -> None:
    selection = Selection({**PATTERNS, **dict.fromkeys(literal, 7)})
    outcomes.update(dict.fromkeys(literal, True))
    held = data.draw(st.sets(st.sampled_from(sorted(outcomes)))) if outcomes else set()
    priorities = {name: selection.priority(name) or 0 for name in outcomes}
    answer = Answer(selection, held)
    answer.hold(held)
    # The server names them in parts, the most urgent first; they arrive in any order at any time.
    events: list[tuple[str, str]] = [("named", name) for name in outcomes if name not in held]
    events += [("settle", name) for name in outcomes]
    events += [("again", name) for name in outcomes]
    events = data.draw(st.permutations(events))
    told: set[str] = {*held, *literal}
    items = drain(answer)
    for kind, name in [*events, *[("settle", name) for name in outcomes]]:
        if kind == "named":
            answer.named({name: priorities[name]}, complete=False)
            told.add(name)
        elif name in told:  # nobody hears of others
            answer.settle(name, *(() if outcomes[name] else ("forbidden", "no")))
        items += drain(answer)
    assert all(item.kind != "complete" for item in items)
    for name, arrives in outcomes.items():
        answer.named({name: priorities[name]}, complete=False)
        answer.settle(name, *(() if arrives else ("forbidden", "no")))
    answer.named({}, complete=True)
    items += drain(answer)

    cached = [item for item in items if item.kind == "cached"]
    assert items[: len(cached)] == cached
    by_urgency = sorted(held, key=lambda name: (priorities[name], name))
    assert [item.document for item in cached] == by_urgency
    rest = settled(items)
    assert {item.document: item.kind == "arrived" for item in rest} == outcomes
    assert len(rest) == len(outcomes)
    order = [item.priority for item in rest]
    assert order == sorted(order)
    assert items[-1] == QueryItem("complete", None, 0, len(outcomes), len(outcomes))
    assert [item.done for item in rest] == list(range(1, len(rest) + 1))
    assert drain(answer) == []


def test_nothing_urgent_is_waited_for_longer_than_it_may_come() -> None:
    answer = Answer(Selection({"urgent": 0, "b/*": 5}))
    answer.settle("urgent")
    assert [item.document for item in drain(answer)] == ["urgent"]  # b/* cannot be before it
    answer.named({"b/1": 5, "b/2": 5}, complete=True)
    answer.settle("b/2")
    assert [(item.document, item.done, item.total) for item in drain(answer)] == [("b/2", 2, 3)]


def test_a_document_that_failed_may_arrive_and_is_counted_once() -> None:
    answer = Answer(Selection("board"))
    answer.settle("board", "forbidden", "no")
    answer.settle("board", "forbidden", "still no")
    assert [item.kind for item in drain(answer)] == ["failed", "complete"]
    answer.settle("board")
    answer.settle("board", "forbidden", "no more")
    answer.settle("board")
    assert [(item.kind, item.done, item.total) for item in drain(answer)] == [("arrived", 1, 1)]


def test_what_failed_and_arrives_before_anybody_looks_is_one_item() -> None:
    answer = Answer(Selection("board"))
    answer.settle("board", "forbidden", "no")
    answer.settle("board")
    assert [(item.kind, item.done) for item in drain(answer)] == [("arrived", 1), ("complete", 1)]


def test_what_comes_to_be_later_is_told_after_the_mark() -> None:
    answer = Answer(Selection("b/*"))
    answer.named({}, complete=True)
    assert [item.kind for item in drain(answer)] == ["complete"]
    answer.named({"b/1": 100}, complete=True)
    assert drain(answer) == []
    answer.settle("b/1")
    answer.settle("elsewhere")
    assert drain(answer) == [QueryItem("arrived", "b/1", 100, 1, 1)]


def test_a_query_that_fails_in_part_is_complete_without_it() -> None:
    answer = Answer(Selection("b/*"))
    answer.fail("limit", "too many")
    answer.fail("limit", "too many")
    answer.named({}, complete=True)
    assert drain(answer) == [
        QueryItem("failed", None, 0, 0, 0, "limit", "too many"),
        QueryItem("complete", None, 0, 0, 0),
    ]


def test_nothing_selected_is_answered_at_once() -> None:
    assert drain(Answer(Selection([]))) == [QueryItem("complete", None, 0, 0, 0)]
