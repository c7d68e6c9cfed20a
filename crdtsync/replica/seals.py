"""Seals: what proves our entries, and those that we hand on, to whoever gets them.

Our own logs, under whatever id of ours, can be sealed at any entry, as we have the keys. Of others'
logs we can only show what their authors have sealed. Read next: `crdtsync.seal`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from crdtsync.clone import LogBase
from crdtsync.envelope import is_sealed
from crdtsync.log import Entry, Head, with_seal
from crdtsync.proof import Prover
from crdtsync.replica.stored import Missing, StoredLogs
from crdtsync.seal import make_seal

if TYPE_CHECKING:
    from crdtsync.replica.store import Store

__all__ = ["Seals"]


class Seals:
    """The seals of one document's logs.

    Args:
        store: the file, and our keys.
        stored: the document's logs in it.

    Attributes:
        prover: tells whether entries are proved to be their authors'.
    """

    def __init__(self, store: Store, stored: StoredLogs) -> None:
        self._store = store
        self._stored = stored
        self._sealed: dict[int, int] = {}  # up to where our logs are known to be sealed
        self.forget_keys()

    def begin(self, entry: Entry) -> None:
        """Take the end of a log of ours as it is stored."""
        self._sealed[entry.replica] = 0 if entry.seal is None else entry.seq

    def begin_above(self, log: LogBase) -> None:
        """Take where a log of ours begins: nobody asks for a seal of what is below."""
        self._sealed[log.replica] = log.seq

    def forget_keys(self) -> None:
        """Find out anew whose key is whose: logs begin otherwise now."""
        self.prover = Prover(lambda replica: self._stored.at(replica, 1), self._store.key_of)

    def seal(self, replica: int, seq: int) -> bytes | None:
        """Return an entry of ours with our seal, which covers all before it; None if it has none.

        Raises:
            StorageError: it could not be stored.
        """
        entry, key = self._stored.at(replica, seq), self._store.keys[replica]
        if entry is None or key is None or self.prover.key_of(replica) != key.public:
            return None
        if entry.seal is None:
            entry = with_seal(entry, make_seal(key, entry.document, replica, entry))
            if not self._store.read_only:
                with self._store.file.transaction():
                    self._store.logs.replace(self._stored.logs[replica], entry)
        self._sealed[replica] = max(self._sealed.get(replica, 0), seq)
        return entry.data

    def seal_ends(self, heads: Mapping[int, Head], theirs: Mapping[int, int]) -> None:
        """Seal the ends of those logs of ours that a state vector lacks something of.

        Raises:
            StorageError: a seal could not be stored.
        """
        for replica in self._store.keys:
            head = heads.get(replica)
            if head is None or self._sealed.get(replica, 0) >= head.seq:
                continue
            if theirs.get(replica, 0) < head.seq:
                self.seal(replica, head.seq)

    def parts(self, missing: Sequence[Missing], most: int) -> Iterator[list[Missing]]:
        """Yield what others lack in parts that prove themselves: every log in one ends in a seal.

        What cannot be proved to them yet, because its author's seal has not come here, is left out,
        and so is what stands behind it.

        Args:
            missing: from `Ledger.missing`.
            most: how many entries a part may have.
        """
        start = 0
        while start < len(missing):
            part = list(missing[start : start + most])
            part = part[: self._provable(part)]
            if not part:
                return
            yield self.with_ends(part)
            start += len(part)

    def with_ends(self, part: Sequence[Missing]) -> list[Missing]:
        """Return a part with a seal on the last entry of each log of ours in it.

        Raises:
            StorageError: a seal could not be stored.
        """
        sealed = list(part)
        ends = {one.replica: i for i, one in enumerate(part) if one.replica in self._store.keys}
        for replica, end in ends.items():
            data = self.seal(replica, part[end].seq)
            if data is not None:
                sealed[end] = part[end]._replace(data=data)
        return sealed

    def _provable(self, part: Sequence[Missing]) -> int:
        """Return how many entries, from the first on, end in seals; our own can be sealed here."""
        count = len(part)
        while True:
            unproved: dict[int, int] = {}
            proved: set[int] = set()
            for index in range(count - 1, -1, -1):
                replica = part[index].replica
                if replica in proved or self._is_proof(part[index]):
                    proved.add(replica)
                else:
                    unproved[replica] = index
            cut = min(unproved.values(), default=count)
            if cut == count:
                return count
            count = cut

    def _is_proof(self, one: Missing) -> bool:
        return (
            one.replica in self._store.keys
            or is_sealed(one.data)
            or self.prover.key_of(one.replica) is None
        )
