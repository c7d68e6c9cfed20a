"""Proof: which of the entries that came in are shown to be their authors' own.

A log whose first entry names a key is sealed: an entry of it is believed only if it is chained up
to one that bears a seal by that key. Seals come with the last entry of what was pushed at once.
Where entries are handed on in pieces the end of a piece may be unproved for a moment: it waits for
the next one.

Read next: `crdtsync.seal`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

from crdtsync.errors import SealError
from crdtsync.log import EMPTY_HEAD, Entry, Head
from crdtsync.seal import binding, check_seal

__all__ = ["Prover"]


class Prover:
    """Knows the keys of one document's logs.

    Args:
        first: returns a log's first entry as it is held, by its replica; None where none is held.
        elsewhere: returns the key of a replica as it is known from elsewhere; None if it is not. A
            log that comes anew must be sealed by it.
    """

    def __init__(
        self,
        first: Callable[[int], Entry | None],
        elsewhere: Callable[[int], bytes | None] = lambda _: None,
    ) -> None:
        self._first = first
        self._elsewhere = elsewhere
        self._keys: dict[int, bytes | None] = {}

    def know(self, replica: int, key: bytes | None) -> None:
        """Take a log's key from elsewhere than its first entry, which is not here."""
        self._keys[replica] = key

    def key_of(self, replica: int, entries: Sequence[Entry] = ()) -> bytes | None:
        """Return the key of a log; None if it is not sealed.

        Args:
            replica: whose log.
            entries: entries of it that came in, of which the first may be one.
        """
        if replica in self._keys:
            return self._keys[replica]
        held = self._first(replica)
        if held is None:
            known = self._elsewhere(replica)
            if known is not None:
                return known
            held = next((entry for entry in entries if entry.seq == 1), None)
            found = None if held is None else binding(held)
            return None if found is None else found.public  # it is not held yet
        found = binding(held)
        self._keys[replica] = None if found is None else found.public
        return self._keys[replica]

    def proved(self, entries: Sequence[Entry], heads: Mapping[int, Head]) -> int:
        """Return how many entries, from the first one on, are proved.

        Those behind them wait for a seal that has not come yet.

        Args:
            entries: of one document, in causal order. Some may have come before, unproved.
            heads: the ends of the logs that are held; what is below them needs no proof.

        Raises:
            SealError: a seal is false, or does not cover what stands before it.
        """
        logs: dict[int, list[tuple[int, Entry]]] = {}
        for index, entry in enumerate(entries):
            if entry.seq > heads.get(entry.replica, EMPTY_HEAD).seq:
                logs.setdefault(entry.replica, []).append((index, entry))
        count = len(entries)
        sealed = {
            replica: new
            for replica, new in logs.items()
            if self.key_of(replica, [entry for _, entry in new]) is not None
        }
        while True:
            # Where the part is cut, another log's last entries may lose the seal that covers them.
            cut = min((_first_unsealed(new, count) for new in sealed.values()), default=count)
            if cut == count:
                break
            count = cut
        for replica, new in sealed.items():
            proved = [entry for index, entry in new if index < count]
            self._check(sorted(proved, key=_number), replica)
        return count

    def _check(self, entries: Sequence[Entry], replica: int) -> None:
        key = self.key_of(replica, entries)
        if not entries or key is None:
            return
        for entry, after in itertools.pairwise(entries):
            follows = (entry.seq + 1, entry.hash) == (after.seq, after.previous_hash)
            if not follows and entry.hash != after.hash:
                raise _unproved(entry, "what follows was not chained to it")
        last = next(entry for entry in reversed(entries) if entry.seal is not None)
        assert last.seal is not None
        if not check_seal(key, last.document, replica, last, last.seal):
            raise _unproved(last, "its seal is false")


def _first_unsealed(new: Sequence[tuple[int, Entry]], count: int) -> int:
    """Return the index of the first entry of a log that no seal before `count` covers."""
    sealed = max((e.seq for index, e in new if index < count and e.seal is not None), default=0)
    return next((index for index, e in new if index < count and e.seq > sealed), count)


def _number(entry: Entry) -> int:
    return entry.seq


def _unproved(entry: Entry, reason: str) -> SealError:
    return SealError(reason, document=entry.document, replica=entry.replica, seq=entry.seq)
