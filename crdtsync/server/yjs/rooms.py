"""The rooms that are open: one for each document that a Yjs client has open.

A room is loaded by the first who joins, while the others wait for it, and goes with the last.
"""

from __future__ import annotations

import anyio
from anyio.abc import TaskGroup

from crdtsync import events
from crdtsync.clock import HybridLogicalClock
from crdtsync.document.crdt import panics_as_errors
from crdtsync.keys import DeviceKey
from crdtsync.server.backend import Added
from crdtsync.server.channel import Channels
from crdtsync.server.limits import ServerLimits
from crdtsync.server.yjs.limits import YjsLimits
from crdtsync.server.yjs.room import Room
from crdtsync.server.yjs.scribe import Scribe

__all__ = ["Full", "Rooms"]


class Full(Exception):  # noqa: N818 - it is no error, but an answer
    """Raised when as many documents are open as may be."""


class _Opening:
    """A room from when somebody first asked for it, who may still have to wait for it.

    Its users are members, and changes that are not stored yet.
    """

    def __init__(self) -> None:
        self.lock = anyio.Lock()
        self.users = 0
        self.room: Room | None = None
        self.is_ready = False


class Rooms:
    """The open rooms of a server.

    Args:
        channels: the server's documents.
        key: of the server's doors.
        limits: what they may cost.
        server_limits: how many logs a document may have.
        tasks: where the rooms do their work.

    Attributes:
        backend: where the documents are.
    """

    def __init__(
        self,
        channels: Channels,
        key: DeviceKey,
        limits: YjsLimits,
        server_limits: ServerLimits,
        tasks: TaskGroup,
    ) -> None:
        self.backend = channels.backend
        self._channels = channels
        self._key = key
        self._limits = limits
        self._logs_max = server_limits.logs_max
        self._tasks = tasks
        self._clock = HybridLogicalClock()
        self._openings: dict[str, _Opening] = {}

    def __len__(self) -> int:
        return len(self._openings)

    def open(self) -> list[Room]:
        """Return the rooms that are open."""
        return [each.room for each in self._openings.values() if each.room and each.is_ready]

    async def join(self, document: str) -> Room:
        """Return a document's room; each join is followed by one `leave`.

        Raises:
            Full: no more documents can be opened.
            StorageError: the document cannot be read. It was not joined.
        """
        opening = self._openings.get(document)
        if opening is None:
            if len(self._openings) >= self._limits.rooms_max:
                raise Full
            opening = self._openings[document] = _Opening()
        opening.users += 1
        try:
            # All but the first wait here; if it fails, the next one tries.
            async with opening.lock:
                if not opening.is_ready:
                    await self._load(document, opening)
        except BaseException:
            self._release(document, opening)
            raise
        assert opening.room is not None
        return opening.room

    def enter(self, room: Room) -> None:
        """Join a room once more."""
        opening = self._openings.get(room.document)
        if opening is not None and opening.room is room:
            opening.users += 1

    def leave(self, room: Room) -> None:
        """Give a room back."""
        opening = self._openings.get(room.document)
        if opening is not None and opening.room is room:  # else it has failed
            self._release(room.document, opening)

    def extend(self, added: Added) -> None:
        """Take in an addition to a log. Called in the order of offsets."""
        opening = self._openings.get(added.document)
        if opening is not None and opening.room is not None:
            opening.room.extend(added)

    async def _load(self, document: str, opening: _Opening) -> None:
        channel = await self._channels.join(document)
        backend = self.backend
        scribe = Scribe(document, backend, self._key, self._clock, channel.heads, self._logs_max)
        room = opening.room = Room(channel, backend, scribe, self._limits)
        try:
            await room.load()
        except BaseException:
            opening.room = None
            room.dispose()
            self._channels.leave(channel)
            raise
        opening.is_ready = True
        self._tasks.start_soon(self._run, room)

    async def _run(self, room: Room) -> None:
        try:
            with panics_as_errors():
                await room.run()
        except Exception:
            events.ROOM_BROKEN.log(document=room.document)
            opening = self._openings.get(room.document)
            if opening is not None and opening.room is room:
                del self._openings[room.document]
            for member in list(room.members):
                member.fail()
        finally:
            room.dispose()
            self._channels.leave(room.channel)

    def _release(self, document: str, opening: _Opening) -> None:
        opening.users -= 1
        if opening.users == 0:
            del self._openings[document]
            if opening.room is not None:
                opening.room.close()
