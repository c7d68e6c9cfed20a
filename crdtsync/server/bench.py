"""The bench: what one connection may read, and which of its entries stand.

An entry that is refused is stored all the same, without effect: see `crdtsync.refusal`. So its
author's later entries have a place to stand, and everybody hears of the refusal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from crdtsync import events
from crdtsync.log import Entry
from crdtsync.refusal import refuse
from crdtsync.server.access import AccessPolicy, AllowAll, Decision, JudgedAction, decide
from crdtsync.server.authentication import Identity
from crdtsync.server.backend import Backend
from crdtsync.server.channel import Channel
from crdtsync.server.intake import check_author, check_relayed
from crdtsync.telemetry import SERVER_REFUSALS

__all__ = ["Bench"]


class Bench:
    """Asks the policy for one connection.

    Args:
        policy: says what users may do.
        backend: knows whose replicas are whose.
        identity: tells who the connection's user is.
        replica: tells which replica connects.
        key: tells which key it has proved to have.
        believes: clients are believed who they say they are.
    """

    def __init__(
        self,
        policy: AccessPolicy,
        backend: Backend,
        identity: Callable[[], Identity],
        replica: Callable[[], int | None],
        key: Callable[[], bytes | None],
        *,
        believes: bool,
    ) -> None:
        self._policy = policy
        self._backend = backend
        self._identity = identity
        self._replica = replica
        self._key = key
        self._believes = believes

    @property
    def user(self) -> str | None:
        """Who the connection's user is."""
        return self._identity().user

    def may_read(self, document: str) -> Decision:
        """Tell whether the user may follow a document."""
        return decide(lambda: self._policy.may_read(self._identity(), document))

    def may_write(self, document: str) -> Decision:
        """Tell whether the user may write a document."""
        return decide(lambda: self._policy.may_write(self._identity(), document))

    async def judge(
        self,
        entries: Sequence[Entry],
        channel: Channel,
        users: Mapping[int, str | None] | None = None,
    ) -> list[Entry]:
        """Return entries of one document as they are to be stored.

        Whoever pushes must be allowed to write; each action is judged as its author's.

        Args:
            entries: the entries.
            channel: the document.
            users: whose replicas are whose, as far as the caller knows.

        Raises:
            ForeignStructsError: an entry is in the name of another user or device than its own.
            StorageError: it could not be read whose they are, or what the document holds.
        """
        policy, document = self._policy, channel.document
        if not self._believes:
            check_author(entries, self._replica(), self._identity().user, self._key())
        elif type(policy) is AllowAll:
            return list(entries)
        known: dict[int | None, str | None] = {self._replica(): self._identity().user}
        known.update((users or {}).items())
        known |= await self._owners(entries, known, channel)
        if type(policy) is AllowAll:
            return list(entries)
        may_write = self.may_write(document)
        view: Callable[[], Mapping[str, Any]] = _no_view
        if may_write and getattr(policy, "uses_view", False):
            await channel.view.follow(self._backend)
            view = channel.view.plain
        judged = []
        for entry in entries:
            decision = may_write
            if may_write and entry.refusal is None:
                decision = self._judge(entry, known.get(entry.replica), view)
            judged.append(entry if decision else refuse(entry, decision.reason or ""))
        self._note_refusals(
            [new for old, new in zip(entries, judged, strict=True) if new is not old]
        )
        return judged

    def _note_refusals(self, refused: Sequence[Entry]) -> None:
        SERVER_REFUSALS.add(len(refused), "entry")
        for entry in refused:
            events.ENTRY_REFUSED.log(
                document=entry.document,
                replica=f"{entry.replica:x}",
                seq=entry.seq,
                user=self._identity().user,
                reason=entry.refusal,
            )

    async def _owners(
        self, entries: Sequence[Entry], known: Mapping[int | None, Any], channel: Channel
    ) -> dict[int | None, str | None]:
        """Return whose the devices are whose entries are handed on, as far as the backend knows.

        Raises:
            ForeignStructsError: what is handed on cannot be of the device that it names.
        """
        owners: dict[int | None, str | None] = {}
        logs: dict[int, list[Entry]] = {}
        for entry in entries:
            if entry.replica not in known:
                logs.setdefault(entry.replica, []).append(entry)
        for replica, log in logs.items():
            device = await self._backend.device(replica)
            if device is not None:
                owners[replica] = device.user
                if not self._believes:
                    check_relayed(log, channel.prover.key_of(replica, log), device)
        return owners

    def _judge(
        self, entry: Entry, user: str | None, view: Callable[[], Mapping[str, Any]]
    ) -> Decision:
        arguments: Mapping[str, Any] = entry.arguments
        action = JudgedAction(
            entry.document,
            user,
            entry.replica,
            entry.name,
            arguments,
            entry.when,
            entry.schema_version,
        )
        return decide(lambda: self._policy.judge(action, view))


def _no_view() -> Mapping[str, Any]:
    raise TypeError("a policy that looks at views says so: uses_view = True")
