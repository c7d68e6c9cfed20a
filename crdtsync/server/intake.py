"""Pushed entries on their way in: decoded once, checked, stored; and the answers to them.

Only here are bytes from a client turned into entries. What is stored afterwards, and sent to
others, is the very bytes that came.
"""

from __future__ import annotations

from collections.abc import Sequence

from crdtsync.document.erasure import check_inert
from crdtsync.envelope import is_neutral
from crdtsync.errors import (
    BrokenChainError,
    CorruptLogError,
    CrdtSyncError,
    EntryError,
    ForeignStructsError,
    ForkError,
    LimitError,
    MalformedEntryError,
    SealError,
)
from crdtsync.limits import Limits
from crdtsync.log import Entry, decode_entry
from crdtsync.seal import binding
from crdtsync.server.channel import Channel
from crdtsync.server.devices import Device
from crdtsync.server.limits import ServerLimits
from crdtsync.structs import check_structs

__all__ = [
    "check_author",
    "check_logs",
    "check_marks",
    "check_relayed",
    "failure_code",
    "read_push",
]

_CODES: tuple[tuple[type[CrdtSyncError], str], ...] = (
    (ForkError, "fork"),
    (BrokenChainError, "chain"),
    (ForeignStructsError, "foreign"),
    (SealError, "seal"),
    (EntryError, "malformed"),
    (LimitError, "limit"),
    (CorruptLogError, "damaged"),
)


def read_push(document: str, datas: Sequence[bytes], limits: Limits) -> list[Entry]:
    """Decode the entries of a push, and check each as far as that goes without the others.

    Raises:
        MalformedEntryError: one is not an entry, or is of another document.
        ForeignStructsError: one writes in the name of another replica.
    """
    entries = []
    for data in datas:
        entry = decode_entry(data, limits)
        if entry.document != document:
            raise MalformedEntryError(
                f"pushed to document {document!r}",
                document=entry.document,
                replica=entry.replica,
                seq=entry.seq,
            )
        check_structs(entry)
        entries.append(entry)
    return entries


def check_author(
    entries: Sequence[Entry], replica: int | None, user: str | None, key: bytes | None
) -> None:
    """Check that a replica's own entries name nobody but its user, and no key but its own.

    Raises:
        ForeignStructsError: one of them does.
    """
    for entry in entries:
        if entry.replica != replica:
            continue
        if entry.user is not None and entry.user != user:
            raise _foreign(entry, f"it was written in the name of user {entry.user!r}")
        if entry.seq == 1:
            bound = binding(entry)
            if (None if bound is None else bound.public) != key:
                raise _foreign(entry, "its log does not begin with the key of this device")


def check_relayed(entries: Sequence[Entry], key: bytes | None, device: Device) -> None:
    """Check that entries of a device which somebody else pushes can be that device's.

    Args:
        entries: of one log.
        key: that the log names.
        device: what the log's replica is bound to.

    Raises:
        ForeignStructsError: they cannot.
    """
    for entry in entries:
        if key != device.key:
            raise _foreign(entry, "its log does not begin with the key of the device it names")
        if entry.user is not None and entry.user != device.user:
            raise _foreign(entry, f"it was written in the name of user {entry.user!r}")


def _foreign(entry: Entry, reason: str) -> ForeignStructsError:
    return ForeignStructsError(
        reason, document=entry.document, replica=entry.replica, seq=entry.seq
    )


def check_marks(entries: Sequence[Entry], channel: Channel) -> None:
    """Check that refused and erased entries, which nobody judges, write nothing.

    Raises:
        MalformedEntryError: one of them does.
    """
    neutral = [entry for entry in entries if is_neutral(entry.data)]
    if neutral:
        known = {replica: head.seq for replica, head in channel.heads.items()}
        for entry in entries:
            known[entry.replica] = max(entry.seq, known.get(entry.replica, 0))
        for entry in neutral:
            check_inert(entry, known)


def check_logs(entries: Sequence[Entry], channel: Channel, limits: ServerLimits) -> None:
    """Check that a document does not get more logs than its heads may name.

    Raises:
        LimitError: it would.
    """
    new = {entry.replica for entry in entries}.difference(channel.heads)
    if new and len(channel.heads) + len(new) > limits.logs_max:
        what = f"the number of logs in document {channel.document!r}"
        raise LimitError("logs_max", limits.logs_max, len(channel.heads) + len(new), what)


def failure_code(error: CrdtSyncError) -> str | None:
    """Return the word for an error that ends one document; None if it is not such an error."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), None)
