"""Recent turns: whoever is told now and then, or hardly ever, has it all in the end."""

from __future__ import annotations

from typing import Any

import pycrdt
from hypothesis import given
from hypothesis import strategies as st

from crdtsync.document.crdt import clocks
from crdtsync.server.yjs.recent import Recent

STEPS = st.lists(
    st.tuples(st.integers(0, 2), st.booleans(), st.sampled_from(["a", "bc", ""])), max_size=60
)


def new_doc(client_id: int) -> pycrdt.Doc[Any]:
    return pycrdt.Doc(client_id=client_id)


@given(STEPS, st.sampled_from([0, 60, 10_000]))
def test_everybody_has_it_all_in_the_end(steps, bytes_max):
    doc, recent = new_doc(1), Recent(bytes_max)
    text = doc.get("text", type=pycrdt.Text)
    readers = [recent.join(number) for number in range(3)]
    docs = [new_doc(10 + number) for number in range(3)]

    def tell(number: int) -> None:
        update = recent.take(readers[number], doc)
        if update is not None:
            docs[number].apply_update(update)

    for who, takes, typed in steps:
        if takes:
            tell(who)
        else:
            tell(who)
            before = doc.get_state()
            if typed:
                text.insert(len(text) // 2, typed)
            elif len(text):
                del text[0:1]
            update = doc.get_update(before)
            docs[who].apply_update(update)  # who wrote it has it
            recent.put(update, before, who or None)
            assert recent.kept_bytes <= bytes_max or len(recent._turns) == 1
    before = doc.get_state()
    text.insert(0, "!")
    recent.put(doc.get_update(before), before, None)
    for number in range(3):
        tell(number)
        tell(number)
        assert str(docs[number].get("text", type=pycrdt.Text)) == str(text)
        assert clocks(docs[number]) == clocks(doc)
