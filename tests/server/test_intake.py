"""What is refused at the door, and by what word."""

from __future__ import annotations

import pytest

from crdtsync.errors import (
    CorruptLogError,
    ForeignStructsError,
    LimitError,
    MalformedEntryError,
    StorageError,
)
from crdtsync.limits import Limits
from crdtsync.server import MemoryBackend, ServerLimits
from crdtsync.server.batch import BatchCache
from crdtsync.server.channel import Channel
from crdtsync.server.intake import check_logs, failure_code, read_push
from tests.server.authors import Author


def code_of(document: str, datas: list[bytes]) -> str | None:
    with pytest.raises((MalformedEntryError, ForeignStructsError)) as caught:
        read_push(document, datas, Limits())
    return failure_code(caught.value)


def test_good_entries_pass():
    entries = Author(1).write_many(3)
    assert read_push("board", [entry.data for entry in entries], Limits()) == entries


def test_bytes_that_are_no_entry():
    good = Author(1).write().data
    for bad in (b"", b"\xff", b"\x80", good[:-1], good + b"\x00", b"x" * 500_000):
        assert code_of("board", [good, bad]) == "malformed"


def test_an_entry_of_another_document():
    assert code_of("other", [Author(1).write().data]) == "malformed"


def test_an_entry_in_the_name_of_another_replica():
    # One section, one struct, client 2, clock 0.
    assert code_of("board", [Author(1).write(update=b"\x01\x01\x02\x00").data]) == "foreign"
    assert code_of("board", [Author(1).write(update=b"\x01\x01").data]) == "malformed"


def test_a_document_has_only_so_many_logs():
    limits = ServerLimits(logs_max=2)
    channel = Channel("board", MemoryBackend(), BatchCache(1), limits)
    one, two, three = (Author(replica) for replica in (1, 2, 3))
    channel.heads = {1: one.head}
    check_logs([one.write(), two.write()], channel, limits)
    with pytest.raises(LimitError) as caught:
        check_logs([two.write(), three.write()], channel, limits)
    assert failure_code(caught.value) == "limit"
    channel.heads = {1: one.head, 2: two.head, 3: three.head}
    check_logs([one.write()], channel, limits)


def test_a_damaged_log_ends_its_document_but_a_full_disk_does_not():
    damaged = CorruptLogError("damaged", path="p", document="board", replica=1, seq=1, position=1)
    assert failure_code(damaged) == "damaged"
    assert failure_code(StorageError("full", path="p")) is None
