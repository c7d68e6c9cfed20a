"""What the tests of bundles share."""

from __future__ import annotations

import io
from typing import Any

from crdtsync import Replica
from crdtsync.replica.bundle.records import Record, RecordWriter, read_records
from crdtsync.testing import Fleet
from tests.document.boards import Board

__all__ = ["bundle_of", "golden_fleet", "records_of", "written"]


def bundle_of(replica: Replica, document: str | None = None, **options: Any) -> bytes:
    target = io.BytesIO()
    replica.export(document, target, **options)
    return target.getvalue()


def records_of(bundle: bytes) -> list[Record]:
    return list(read_records(io.BytesIO(bundle), "bundle"))


def written(*records: Record) -> bytes:
    """Return a bundle of these records, whatever they say."""
    target = io.BytesIO()
    writer = RecordWriter(target)
    for record in records:
        writer.write(record)
    return target.getvalue()


def golden_fleet() -> Fleet[Board]:
    """Return two replicas with a short history, of which every byte is decided."""
    fleet = Fleet(Board, replicas=2)
    fleet[0].name = "party"
    fleet.merge(0, 1)
    fleet[1].tasks.add(key="t1", title="Buy lanterns", tags=["shop"])
    fleet[0].body.insert(0, "añ😀")
    fleet.merge(0, 1)
    fleet[0].tasks["t1"].votes.increment(2)
    return fleet
