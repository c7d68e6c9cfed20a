"""Frames in messages: where a message ends has no meaning."""

from __future__ import annotations

import anyio
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crdtsync.errors import RemoteProtocolError, TransportError
from crdtsync.sync import join_frames
from crdtsync.transport import FrameStream, MessageFrameStream, MessageStream
from crdtsync.transport.messages import MESSAGE_BYTES_MAX


class Messages:
    """Gives messages, and keeps what is sent."""

    def __init__(self, incoming: list[bytes] | None = None) -> None:
        self.incoming = incoming or []
        self.sent: list[bytes] = []
        self.closed = 0

    async def receive(self) -> bytes | None:
        return self.incoming.pop(0) if self.incoming else None

    def receive_nowait(self) -> bytes | None:
        at_hand = self.incoming and self.incoming[0] != b""  # now and then, the rest comes later
        return self.incoming.pop(0) if at_hand else None

    async def send(self, data: bytes, /) -> None:
        self.sent.append(data)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        self.closed += 1


@given(
    st.lists(st.integers(1, 40) | st.integers(60_000, 150_000), max_size=8).map(
        lambda sizes: [bytes([number]) * size for number, size in enumerate(sizes)]
    )
)
@example([bytes(MESSAGE_BYTES_MAX - 4)])
@example([bytes(MESSAGE_BYTES_MAX - 3)])
def test_what_is_sent_in_one_go_is_as_few_messages_as_possible(frames: list[bytes]) -> None:
    messages = Messages()
    anyio.run(MessageFrameStream(messages, 200_000).send, frames)
    assert b"".join(messages.sent) == join_frames(frames)
    size = len(join_frames(frames))
    assert len(messages.sent) == -(-size // MESSAGE_BYTES_MAX)
    assert all(0 < len(message) <= MESSAGE_BYTES_MAX for message in messages.sent)


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=8), st.data())
def test_frames_are_whole_whatever_messages_they_come_in(
    frames: list[bytes], data: st.DataObject
) -> None:
    whole, pieces, at = join_frames(frames), [], 0
    while at < len(whole):
        step = data.draw(st.integers(0, 60))  # empty messages are allowed too
        pieces.append(whole[at : at + step])
        at += step

    async def receive_all() -> list[bytes]:
        stream, got = MessageFrameStream(Messages(pieces), 40), []
        with pytest.raises(TransportError, match="closed"):
            while True:
                got += await stream.receive()
        return got

    assert anyio.run(receive_all) == frames


async def test_too_large_a_frame_is_the_peers_error() -> None:
    with pytest.raises(RemoteProtocolError, match="11 bytes"):
        await MessageFrameStream(Messages([b"\x00\x00\x00\x0b"]), 10).receive()


async def test_closing_closes_what_carries_it() -> None:
    messages = Messages()
    assert isinstance(messages, MessageStream)
    stream = MessageFrameStream(messages, 10)
    assert isinstance(stream, FrameStream)
    await stream.aclose()
    assert messages.closed == 1
