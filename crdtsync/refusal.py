"""Refusal: an entry that is to have no effect, with its place in the log kept.

A server may refuse an action. Its entry cannot be left out, because what follows it in its log is
chained to it. So it is *neutralized*: what it inserted becomes deleted content, what it deleted is
not, and its arguments are gone. Its header and its hash stay; later entries stand as they are.

Anybody can see that an entry was refused, and why. That it was refused rightly they must believe
whoever passed it on: the hash of what is gone cannot be checked any more.

Read next: `crdtsync.update` (what becomes of the CRDT update), `crdtsync.log` (entries).
"""

from __future__ import annotations

from crdtsync.codec import encode
from crdtsync.envelope import NEUTRAL_VERSION, unwrap, wrap
from crdtsync.log import EMPTY_UPDATE, ERASED, REFUSED, Entry
from crdtsync.update import neutralize

__all__ = ["REASON_LENGTH_MAX", "neutral_form", "refuse"]

REASON_LENGTH_MAX = 1024
_KEPT = ("user", "key")  # of a log's first entry: whose log it is


def refuse(entry: Entry, reason: str) -> Entry:
    """Return an entry without its effect. The same entry and reason give the same bytes.

    Args:
        entry: the entry. One that is refused already is returned as it is; one that was erased
            stays that, and does not delete anything any more.
        reason: a sentence for its author.

    >>> from crdtsync.log import EMPTY_HEAD, make_entry
    >>> entry = make_entry("board/1", 2**52, EMPTY_HEAD, 0, "add", EMPTY_UPDATE)
    >>> refused = refuse(entry, "this board is archived")
    >>> refused.refusal, refused.hash == entry.hash, refused.name
    ('this board is archived', True, 'add')
    """
    if entry.refusal is not None:
        return entry
    try:
        update = neutralize(entry.update)
    except ValueError:  # nobody could apply it; nor will they what builds on it
        update = EMPTY_UPDATE
    if entry.erasure is not None:
        return neutral_form(entry, update, ERASED, entry.erasure)
    return neutral_form(entry, update, REFUSED, reason)


def neutral_form(entry: Entry, update: bytes, mark: str, reason: str) -> Entry:
    """Return an entry's header with another update, and with a reason in place of its content.

    Args:
        entry: the entry, as it was or in such a form already.
        update: what is left of its CRDT update.
        mark: what was done to it: `REFUSED` or `ERASED`.
        reason: a sentence for people.
    """
    extra = {name: entry.extra[name] for name in _KEPT if name in entry.extra}
    extra[mark] = reason[:REASON_LENGTH_MAX]
    bare = encode(
        (
            NEUTRAL_VERSION,
            entry.document,
            entry.replica,
            entry.seq,
            entry.previous_hash,
            entry.dependencies,
            entry.time,
            entry.schema_version,
            entry.name,
            entry.hash,
            update,
            extra,
        )
    )
    data = wrap(unwrap(entry.data)._replace(entry=bare))
    return entry._replace(arguments={}, update=update, extra=extra, data=data)
