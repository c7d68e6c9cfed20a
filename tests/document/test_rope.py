from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crdtsync.document import rope as rope_module
from crdtsync.document.rope import EMBED, Rope

TEXT = st.text(alphabet=f"ab\né😀\u0301𝄞漢\ufffc{EMBED}", max_size=40)


def size(text: str) -> int:
    """Return how long the CRDT takes a text to be, where an embedded object counts as one."""
    return len(text.replace(EMBED, "x").encode())


def width(text: str) -> int:
    """Return how many units of UTF-16 a text has."""
    return len(text) + sum(character > "\uffff" for character in text)


@st.composite
def edits(draw: st.DrawFn) -> list[tuple[float, float, str]]:
    place = st.floats(0, 1)
    return draw(st.lists(st.tuples(place, place, TEXT), max_size=30))


@given(start=TEXT, steps=edits())
def test_a_rope_is_a_string(start: str, steps: list[tuple[float, float, str]]) -> None:
    """Every edit and all conversions agree with plain Python, whatever the pieces' length."""
    lengths = rope_module.PIECE_LENGTH_MAX, rope_module._PIECE_LENGTH
    rope_module.PIECE_LENGTH_MAX, rope_module._PIECE_LENGTH = 6, 3
    try:
        rope, text = Rope(start), start
        for one, other, new in steps:
            first, last = sorted((round(one * len(text)), round(other * len(text))))
            begin, end = size(text[:first]), size(text[:last])
            assert rope.delete(first, last) == (begin, end)
            text = text[:first] + text[last:]
            at = round(other * len(text))
            assert rope.insert(at, new) == size(text[:at])
            text = text[:at] + new + text[at:]
            assert len(rope) == len(text)
            for index in range(len(text) + 1):
                offset = size(text[:index])
                assert rope.offset(index) == offset
                assert rope.index(offset) == index
                unit = width(text[:index])
                assert rope.unit(index) == unit
                assert rope.index_of_unit(unit) == index
                if width(text[index : index + 1]) == 2:
                    assert rope.index_of_unit(unit + 1) == index
            assert str(rope) == text.replace(EMBED, "\ufffc")
            assert (rope.size, rope.units) == (size(text), width(text))
    finally:
        rope_module.PIECE_LENGTH_MAX, rope_module._PIECE_LENGTH = lengths


def test_pieces_stay_short() -> None:
    rope = Rope("x" * 100_000)
    rope.insert(50_000, "y" * 100_000)
    assert max(map(len, rope._pieces)) <= rope_module.PIECE_LENGTH_MAX
    rope.delete(0, 200_000)
    assert rope._pieces == [""]
