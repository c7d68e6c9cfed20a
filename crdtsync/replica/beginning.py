"""Beginning a document's logs above a state: what a clone must be, and what a snapshot lacks.

A clone takes the place of everything up to where its logs end. What stands above that in ours stays
in the log and is applied on top: most of all what we have done and nobody else has seen yet.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from crdtsync.clone import Clone, LogBase
from crdtsync.document import Snapshot
from crdtsync.document.materialize import load_state
from crdtsync.errors import CloneError, ForkError
from crdtsync.log import EMPTY_HEAD, Entry, Head
from crdtsync.proof import Prover

__all__ = ["base_logs", "check_clone"]


def check_clone(
    clone: Clone,
    *,
    document: str,
    heads: Mapping[int, Head],
    base: Mapping[int, int],
    hash_of: Callable[[int, int], bytes | None],
    prover: Prover,
    own: int,
    sent: int,
    acknowledged: int,
) -> Snapshot:
    """Check that our logs can be gone on with above a clone; return its state.

    Args:
        clone: as it was decoded.
        document: name of ours.
        heads: the ends of the logs held.
        base: the state vector above which the logs begin now.
        hash_of: returns the hash of an entry that is held.
        prover: knows the keys of the logs held.
        own: our replica.
        sent: number up to which others may have seen our entries.
        acknowledged: number up to which the server has them for certain.

    Raises:
        CloneError: they cannot.
        ForkError: a log that is held was continued in two places.
    """
    if clone.document != document:
        raise CloneError(f"it is one of document {clone.document!r}", document=document)
    for replica, seq in base.items():
        if replica not in clone.logs or clone.logs[replica].seq < seq:
            raise CloneError(
                f"it lacks entry {seq} of replica {replica:x}, which is held", document=document
            )
    for replica, log in clone.logs.items():
        head = heads.get(replica, EMPTY_HEAD)
        held = hash_of(replica, log.seq) if log.seq <= head.seq else None
        # What nobody has seen of ours cannot be below what others hold of us.
        if (held is not None and held != log.hash) or (
            replica == own and sent < head.seq < log.seq
        ):
            raise ForkError(
                "it holds another entry of this number: the log was continued in two places",
                document=document,
                replica=replica,
                seq=log.seq,
                # What is not certain, only the entries could tell, and a clone has none.
                common=sent if replica == own and sent == acknowledged else None,
            )
        key = prover.key_of(replica)
        if (head.seq or key is not None) and key != log.key:
            raise CloneError(f"it names another key of replica {replica:x}", document=document)
    slots = load_state(clone.state, clone.clocks)
    if slots is None:
        raise CloneError("its state cannot be loaded", document=document)
    return Snapshot(clone.vector, clone.state, dict(clone.clocks), slots)


def base_logs(
    vector: Mapping[int, int],
    *,
    users: Mapping[int, str],
    tips: Collection[int],
    before: Mapping[int, LogBase],
    at: Callable[[int, int], Entry | None],
    prover: Prover,
) -> dict[int, LogBase] | None:
    """Return where logs end at a state vector; None if one of the entries there is not held.

    Args:
        vector: where.
        users: who uses each replica.
        tips: replicas whose ends no entry of ours depends on yet.
        before: where the logs begin now.
        at: returns an entry that is held.
        prover: knows the keys of the logs.
    """
    logs: dict[int, LogBase] = {}
    for replica, seq in vector.items():
        log = before.get(replica)
        if log is None or log.seq != seq:
            entry = at(replica, seq)
            if entry is None:
                return None
            key = prover.key_of(replica)
            log = LogBase(
                replica, seq, entry.hash, entry.when, True, users.get(replica), key, entry.seal
            )
        logs[replica] = log._replace(tip=replica in tips)
    return logs
