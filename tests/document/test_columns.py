"""Fields in which the records of a table are decided together, and records in order."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdtsync import Document, Record, Replica, Table, field
from crdtsync.clock import HybridLogicalClock
from crdtsync.strategies import Candidate
from crdtsync.strategy import Claim, Settled


class _Greedy:
    """Of equal values the first key keeps it, the others get a number."""

    name = "greedy"
    version = 1

    def resolve(self, candidates: Sequence[Candidate[Any]], /) -> Any:
        return candidates[-1].value

    def index(self) -> _Index:
        return _Index()


class _Index:
    def __init__(self) -> None:
        self.claims: dict[str, Claim[Any]] = {}
        self.puts = 0

    def put(self, key: str, claim: Claim[Any] | None, /) -> None:
        self.puts += 1
        if claim is None:
            self.claims.pop(key, None)
        else:
            self.claims[key] = claim

    def settled(self) -> Mapping[str, Settled[Any]]:
        groups: dict[Any, list[str]] = {}
        for key in sorted(self.claims):
            if self.claims[key].value:
                groups.setdefault(self.claims[key].value, []).append(key)
        return {
            key: Settled(
                value if number == 0 else f"{value}-{number}",
                "it was first" if number == 0 else "another was first",
                tuple(other for other in keys if other != key),
            )
            for value, keys in groups.items()
            if len(keys) > 1
            for number, key in enumerate(keys)
        }


class _Halfway:
    name = "halfway"
    version = 1

    def resolve(self, candidates: Sequence[Candidate[Any]], /) -> Any:
        return candidates[-1].value

    def between(self, low: str | None, high: str | None, replica: int, /) -> str:
        at = (float(low or 0) + (float(high) if high else float(low or 0) + 2)) / 2
        return f"{at:024.12f}"


class Page(Record):
    slug: str = field(default="", strategy=_Greedy())
    title: str = ""
    place: str = field(strategy=_Halfway())


class Site(Document):
    pages: Table[Page]


def pair() -> tuple[Replica, Replica, Any, Any]:
    ticks = itertools.count(1000)
    one, other = (Replica(clock=HybridLogicalClock(lambda: next(ticks))) for _ in range(2))
    return one, other, one.document(Site, "s"), other.document(Site, "s")


def slugs(document: Any) -> dict[str, str]:
    return {key: page.slug for key, page in document.pages.items()}


def test_records_at_odds_get_what_the_strategy_says_and_both_see_why() -> None:
    one, other, here, there = pair()
    heard: list[Any] = []
    here.observe(heard.append)
    here.pages.add(key="a", slug="home")
    there.pages.add(key="b", slug="home")
    there.pages.add(key="c", slug="about")
    assert here.conflicts() == there.conflicts() == []
    one.merge(other)
    assert slugs(here) == slugs(there) == {"a": "home", "b": "home-1", "c": "about"}
    assert here.to_dict()["pages"]["b"]["slug"] == "home-1"
    first, second = here.conflicts()
    assert (first.path, first.chosen, first.rivals) == (
        ("pages", "a", "slug"), "home", (("pages", "b", "slug"),)
    )  # fmt: skip
    assert (second.reason, second.strategy) == ("another was first", "greedy")
    assert [c.value for c in second.candidates] == ["home"]
    assert [c.path for c in heard[-1].arisen] == [first.path, second.path]
    there.pages["b"].slug = "start"
    one.merge(other)
    assert slugs(here) == {"a": "home", "b": "start", "c": "about"}
    assert heard[-1].settled == (first.path, second.path)
    assert here.conflicts() == []


def test_deleted_records_claim_nothing() -> None:
    one, other, here, there = pair()
    here.pages.add(key="a", slug="home")
    there.pages.add(key="b", slug="home")
    one.merge(other)
    assert there.pages["b"].slug == "home-1"
    del there.pages["a"]
    assert there.pages["b"].slug == "home"
    one.merge(other)
    assert slugs(here) == {"b": "home"}


def test_only_what_changed_is_put_again() -> None:
    _, _, here, _ = pair()
    with here.action("fill"):
        for number in range(50):
            here.pages.add(slug=f"s{number}")
    slugs(here)
    index: _Index = here._live.view.at(("pages",)).columns["slug"]._index
    puts = index.puts
    key = next(iter(here.pages))
    here.pages[key].slug = "new"
    assert slugs(here)[key] == "new"
    assert index.puts == puts + 1


edits = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.sampled_from("abcd"),
        st.sampled_from(["", "x", "y", "x-1"]) | st.sampled_from(["delete", "merge"]),
    ),
    max_size=16,
)


@given(edits)
def test_the_column_follows_every_change(script: list[tuple[int, str, str]]) -> None:
    one, other, here, there = pair()
    for who, key, what in script:
        document = (here, there)[who]
        if what == "merge":
            one.merge(other)
        elif what == "delete":
            if key in document.pages:
                del document.pages[key]
        elif key in document.pages:
            document.pages[key].slug = what
        else:
            document.pages.add(key=key, slug=what)
        shown = document.to_dict(), document.conflicts()
        document._live.load()
        assert (document.to_dict(), document.conflicts()) == shown
    one.merge(other)
    assert here.to_dict() == there.to_dict()


def test_a_failing_column_strategy_leaves_every_record_its_own(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one, other, here, there = pair()
    here.pages.add(key="a", slug="home")
    there.pages.add(key="b", slug="home")
    monkeypatch.setattr(_Index, "settled", lambda self: 1 // 0)
    one.merge(other)
    assert slugs(here) == slugs(there) == {"a": "home", "b": "home"}
    assert "ZeroDivisionError" in caplog.text


def order(document: Any) -> str:
    return "".join(page.key for page in document.pages.in_order())


def test_records_stand_where_they_are_put() -> None:
    one, other, here, there = pair()
    for key in "abcd":
        here.pages.add(key=key)
    assert order(here) == "abcd"
    here.pages.move("d", before="b")
    assert order(here) == "adbc"
    here.pages.move(here.pages["a"], after=here.pages["c"])
    assert order(here) == "dbca"
    here.pages.move("b")
    assert order(here) == "dcab"
    here.pages.move("c", before="c")
    here.pages.move("c", after="c")
    assert order(here) == "dcab"
    one.merge(other)
    here.pages.move("a", before="d")
    there.pages.move("a")
    one.merge(other)
    assert order(here) == order(there) == "dcba"
    del here.pages["c"]
    assert order(here) == "dba"


def test_an_open_action_sees_its_own_order() -> None:
    _, _, here, _ = pair()
    here.pages.add(key="a")
    with here.action("work"):
        here.pages.add(key="b")
        here.pages.add(key="c")
        here.pages.move("c", before="a")
        assert order(here) == "cab"
        del here.pages["a"]
        assert order(here) == "cb"
    assert order(here) == "cb"


def test_bad_moves_are_refused() -> None:
    _, _, here, _ = pair()
    here.pages.add(key="a")
    for arguments in (("x",), ("a", {"before": "x"}), ("a", {"after": "x"})):
        with pytest.raises(KeyError, match="x"):
            here.pages.move(arguments[0], **(arguments[1] if len(arguments) > 1 else {}))
    with pytest.raises(TypeError, match="not both"):
        here.pages.move("a", before="a", after="a")

    class Plain(Record):
        title: str = ""

    class Plains(Document):
        rows: Table[Plain]

    rows = Replica().document(Plains, "p").rows
    rows.add(key="a")
    with pytest.raises(TypeError, match="no field of Plain holds a position"):
        rows.move("a")


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("abcdef"), st.booleans())))
def test_moves_do_what_they_do_to_a_list(moves: list[tuple[str, str, bool]]) -> None:
    _, _, here, _ = pair()
    for key in "abcdef":
        here.pages.add(key=key)
    model = list("abcdef")
    for key, neighbour, before in moves:
        if key == neighbour:
            continue
        here.pages.move(key, **{"before" if before else "after": neighbour})
        model.remove(key)
        model.insert(model.index(neighbour) + (not before), key)
        assert order(here) == "".join(model)
