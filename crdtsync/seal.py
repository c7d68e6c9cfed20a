"""Seals: a device's signature under its log, that others can check without trusting who passed it.

A *seal* is the device's Ed25519 signature over (document, replica, seq, hash) of an entry. As every
entry holds the hash of the one before it, a seal covers the whole log up to there: one seal per
pushed batch is enough, and of a log that somebody holds only the newest seal is needed.

**Whose key is it?** A log's first entry names its device's public key in `extra["key"]`, beside the
user. So the key stands under the chain as well: it cannot be exchanged without changing the hash of
every entry, and the first seal, made by that key over that chain, shows that its holder wrote it
so. The key binds the replica in every document: a replica whose logs name two keys is an impostor
in one of them. A log whose first entry names no key is unsealed for ever. Each seal names its
replica, so naming another device's key in one's own log leads nowhere: nobody can seal that log.

Who *uses* the replica is what its log says, and the server's word for it: the server lets a log
begin only with the user whom it has authenticated, and with the key that answered its challenge.

**A malicious server can** keep entries back, show an old state, tell some devices more than others,
put marks on entries (`crdtsync.marks`), and invent devices: logs under replica ids that nobody has
seen, with keys of its own, in the name of any user. A mark may refuse an entry, erase it along with
whatever it is then said to have deleted, or have it count as older than it is. A snapshot that it
gives is its own word, too: seals speak of entries only. Whoever holds a log's first entry, or has
its replica's key from another document, has that key for good, and is safe from what follows.

**It cannot**, in the log of a device whose key is held: write or alter an entry, leave one out
between two that it shows, change their order, move them to another document or replica, exchange
the key, or go on with the log. It cannot show an action without those that its author had seen,
because these are named, by their hashes, in what is sealed.

A device's own seals do not keep the device from writing two logs; that is a fork, and is found by
the hashes. What a stolen key has sealed cannot be told from what its owner has.

Source: Haber, Stornetta, "How to Time-Stamp a Digital Document", 1991 (signed hash chains); Tarr,
Lavoie, Meyer, Tschudin, "Secure Scuttlebutt", ACM ICN 2019 (one signed log per device).
Read next: `crdtsync.keys` (the keys), `crdtsync.log` (the chain).
"""

from __future__ import annotations

from typing import NamedTuple

from crdtsync.keys import DeviceKey, is_public_key, statement, verify
from crdtsync.log import Entry, Head

__all__ = ["KEY", "Binding", "binding", "check_seal", "make_seal"]

KEY = "key"
"""Under this name the `extra` of a log's first entry holds its device's public key."""

_SEAL = "crdtsync seal 1"


class Binding(NamedTuple):
    """Whose log it is, as its first entry says.

    Attributes:
        replica: id of the replica.
        public: the public key that its seals are made with.
        user: who used it when the log began, where the log says so.
    """

    replica: int
    public: bytes
    user: str | None


def binding(entry: Entry) -> Binding | None:
    """Read the binding that a log's first entry holds; None where it names no proper key.

    >>> from crdtsync.log import EMPTY_HEAD, EMPTY_UPDATE, make_entry
    >>> key = DeviceKey.generate()
    >>> extra = {"user": "ann", KEY: key.public}
    >>> entry = make_entry("board/1", 2**52, EMPTY_HEAD, 0, "add", EMPTY_UPDATE, extra=extra)
    >>> binding(entry) == Binding(2**52, key.public, "ann")
    True
    """
    public = entry.extra.get(KEY)
    if entry.seq != 1 or not is_public_key(public):
        return None
    return Binding(entry.replica, public, entry.user)


def make_seal(key: DeviceKey, document: str, replica: int, head: Head | Entry) -> bytes:
    """Seal a log up to its head, or up to an entry.

    Args:
        key: the device's; its public half is named by the log's first entry.
        document: name of the document.
        replica: whose log.
        head: where the log ends; an entry of it stands for the head that it is.

    >>> key, head = DeviceKey.generate(), Head(3, bytes(32))
    >>> seal = make_seal(key, "board/1", 2**52, head)
    >>> check_seal(key.public, "board/1", 2**52, head, seal)
    True
    >>> check_seal(key.public, "board/2", 2**52, head, seal)
    False
    """
    return key.sign(_statement(document, replica, head))


def check_seal(
    public: bytes, document: str, replica: int, head: Head | Entry, signature: bytes
) -> bool:
    """Tell whether a seal covers a log up to this head; False for whatever is no seal at all.

    The caller has checked that its entries are chained up to `head`, and takes `public` from the
    `Binding` that it holds for the replica.
    """
    return verify(public, signature, _statement(document, replica, head))


def _statement(document: str, replica: int, head: Head | Entry) -> bytes:
    return statement(_SEAL, document, replica, head.seq, head.hash)
