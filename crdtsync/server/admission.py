"""Which entries may be stored next: one pure function, the same for every backend.

The rules keep a document's sequence causal and its logs free of forks:

1. an entry that is held is skipped; another one of its number is a fork;
2. the next entry of a log is admitted if it was chained to the entry held before it, and if all
   that it depends on is held; chained to, or depending on, *another* entry is a fork as well,
   because two entries of one number have been seen;
3. any other entry stands behind a gap, and so does all that builds on it;
4. where a gap cuts off the seal that was to prove entries before it, these are not admitted either:
   nobody would believe them, and all would wait.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from crdtsync.errors import BrokenChainError, ForkError
from crdtsync.log import EMPTY_HEAD, Entry, Head

__all__ = ["Admission", "admit"]


@dataclass(frozen=True, slots=True)
class Admission:
    """What of a push is to be stored.

    Attributes:
        new: the entries to store, in the order given.
        heads: the heads of the logs that `new` extends, as they will be.
        held: for each log of the push, the highest of its given numbers that is held or new.
        gap: some entries stand behind a gap.
    """

    new: list[Entry]
    heads: dict[int, Head]
    held: dict[int, int]
    gap: bool


def admit(
    entries: Sequence[Entry],
    heads: Mapping[int, Head],
    hash_at: Callable[[int, int], bytes],
) -> Admission:
    """Decide which of the entries are stored.

    Args:
        entries: decoded entries of one document, in causal order.
        heads: where the document's logs end now.
        hash_at: returns the hash of a stored entry, by its replica and a number that `heads`
            covers.

    Raises:
        ForkError: one of the entries and what is held cannot both be true.
        BrokenChainError: a log's first entry claims to follow another.
    """
    logs = _Logs(heads, hash_at)
    new: list[Entry] = []
    held: dict[int, int] = {}
    gap = False
    for entry in entries:
        replica, seq = entry.replica, entry.seq
        if seq <= logs.head(replica).seq:
            logs.check_same(entry, replica, seq, entry.hash)
        elif logs.is_next(entry):
            new.append(entry)
            logs.extend(entry)
        else:
            gap = True
            continue
        held[replica] = max(seq, held.get(replica, 0))
    unproved = _cut_off(entries, new) if gap else ()
    if unproved:
        rest = [entry for entry in entries if (entry.replica, entry.seq) not in unproved]
        return replace(admit(rest, heads, hash_at), gap=True)
    return Admission(new, logs.grown, held, gap)


def _cut_off(entries: Sequence[Entry], new: Sequence[Entry]) -> Collection[tuple[int, int]]:
    """Return which new entries come before a seal that is not admitted, by replica and number."""
    sealed = {entry.replica for entry in entries if entry.seal is not None}
    proved = {entry.replica: entry.seq for entry in new if entry.seal is not None}
    return {
        (entry.replica, entry.seq)
        for entry in new
        if entry.replica in sealed and entry.seq > proved.get(entry.replica, 0)
    }


class _Logs:
    """The logs as they are held, and as the entries admitted so far extend them."""

    def __init__(self, heads: Mapping[int, Head], hash_at: Callable[[int, int], bytes]) -> None:
        self.grown: dict[int, Head] = {}
        self._heads = heads
        self._hash_at = hash_at
        self._new: dict[tuple[int, int], bytes] = {}

    def head(self, replica: int) -> Head:
        return self.grown.get(replica) or self._heads.get(replica, EMPTY_HEAD)

    def extend(self, entry: Entry) -> None:
        self.grown[entry.replica] = Head(entry.seq, entry.hash)
        self._new[entry.replica, entry.seq] = entry.hash

    def is_next(self, entry: Entry) -> bool:
        """Tell whether an entry above its log's head may be stored now; False behind a gap."""
        end = self.head(entry.replica)
        if entry.seq != end.seq + 1:
            return False
        if entry.previous_hash != end.hash:
            raise _fork(entry, entry.replica, end.seq) if end.seq else _no_beginning(entry)
        for dependency in entry.dependencies:
            if dependency.seq > self.head(dependency.replica).seq:
                return False
            self.check_same(entry, dependency.replica, dependency.seq, dependency.hash)
        return True

    def check_same(self, entry: Entry, replica: int, seq: int, hash_: bytes) -> None:
        """Check that the entry held under a number is the one with this hash."""
        end = self.head(replica)
        if seq == end.seq:
            held = end.hash
        else:
            held = self._new.get((replica, seq)) or self._hash_at(replica, seq)
        if held != hash_:
            raise _fork(entry, replica, seq)


def _fork(entry: Entry, replica: int, seq: int) -> ForkError:
    if (entry.replica, entry.seq) == (replica, seq):
        reason = "another entry of this number is held already"
    else:
        reason = f"entry {entry.seq} of replica {entry.replica:x} was built upon another one"
    return ForkError(
        f"{reason} (a copied or restored store?)",
        document=entry.document,
        replica=replica,
        seq=seq,
    )


def _no_beginning(entry: Entry) -> BrokenChainError:
    return BrokenChainError(
        "a log's first entry follows nothing, but this one claims to",
        document=entry.document,
        replica=entry.replica,
        seq=entry.seq,
    )
