"""The clocks that are asked for singly are those that the whole state vector has."""

from __future__ import annotations

import pycrdt
from hypothesis import example, given
from hypothesis import strategies as st

from crdtsync.document.crdt import Reached, clocks

IDS = st.integers(1, 300) | st.integers(1, 2**53 - 1)
NAMED_ALIKE = 2**52 + 1, (2**52 + 1) >> 7  # the second's name is how the first's ends


@given(st.dictionaries(IDS, st.integers(1, 300), max_size=6), st.lists(IDS, max_size=4))
@example({5: 5, 7: 1, 1: 7}, [6])  # clocks that could be names
@example({NAMED_ALIKE[0]: 3}, [NAMED_ALIKE[1]])
@example({NAMED_ALIKE[0]: 3, NAMED_ALIKE[1]: 200}, [])
def test_each_clock_is_that_of_the_state_vector(lengths: dict[int, int], others: list[int]) -> None:
    doc: pycrdt.Doc[pycrdt.Text] = pycrdt.Doc()
    for client, length in lengths.items():
        writer: pycrdt.Doc[pycrdt.Text] = pycrdt.Doc(client_id=client)
        writer["text"] = pycrdt.Text("x" * length)
        doc.apply_update(writer.get_update())
    reached, all_ = Reached(doc), clocks(doc)
    assert all_ == lengths
    for client in [*lengths, *others, *lengths]:
        assert reached.get(client, 0) == lengths.get(client, 0)
