"""Recent turns: whoever is told now and then, or hardly ever, has it all in the end."""

from __future__ import annotations

import pycrdt
from hypothesis import given
from hypothesis import strategies as st

from crdtsync.server.yjs.recent import Recent

STEPS = st.lists(
    st.tuples(st.integers(0, 2), st.booleans(), st.sampled_from(["a", "bc", ""])), max_size=60
)


@given(STEPS, st.sampled_from([0, 60, 10_000]))
def test_everybody_has_it_all_in_the_end(steps, bytes_max):
    doc, recent = pycrdt.Doc(client_id=1), Recent(bytes_max)
    text = doc.get("text", type=pycrdt.Text)
    readers = [recent.join(number) for number in range(3)]
    docs = [pycrdt.Doc(client_id=10 + number) for number in range(3)]

    def tell(number):
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
    recent.put(*last(doc), None)
    for number in range(3):
        tell(number)
        tell(number)
        assert str(docs[number].get("text", type=pycrdt.Text)) == str(text)
        assert docs[number].get_state() == doc.get_state()


def last(doc):
    before = doc.get_state()
    doc.get("text", type=pycrdt.Text).insert(0, "!")
    return doc.get_update(before), before
