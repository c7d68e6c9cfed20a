"""Messages: what is none is refused, whatever the bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdtsync.errors import RemoteProtocolError
from crdtsync.server.yjs import messages
from crdtsync.update.encoding import encoded


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (encoded(0, 0, b"\x01\x07\x05"), messages.StepOne({7: 5})),
        (encoded(0, 1, b"\0\0"), messages.Changes(b"\0\0", answer=True)),
        (encoded(0, 2, b"\0\0"), messages.Changes(b"\0\0", answer=False)),
        (encoded(1, b"\0"), messages.Shown(b"\0")),
        (encoded(3), messages.Query()),
        (encoded(2, 5), messages.Unknown(2)),
        (encoded(99) + b"whatever", messages.Unknown(99)),
    ],
)
def test_messages_of_y_websocket(data, body):
    assert messages.read_body(data) == body
    if not isinstance(body, messages.Unknown):
        assert messages.read_frame(encoded("board") + data) == ("board", body)
        with pytest.raises(RemoteProtocolError, match="behind it"):
            messages.read_body(data + b"\0")


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (encoded(2, 0, "token"), messages.Token("token")),
        (encoded(2, 0, "token", "4.7.0"), messages.Token("token")),
        (encoded(4, 2, b"\0\0"), messages.Changes(b"\0\0", answer=False)),
        (encoded(5, "hello"), messages.Stateless("hello")),
        (encoded(6, "to all"), messages.Unknown(6)),
        (encoded(7), messages.Leave()),
    ],
)
def test_messages_of_hocuspocus(data, body):
    assert messages.read_frame(encoded("board\0session") + data) == ("board\0session", body)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        encoded(0, 3, b""),
        encoded(0, 0, b"\x02\x07\x05"),
        encoded(0, 0, b"\x00\x00"),
        encoded(0, 0, b"\xff\xff\xff\xff\x0f"),  # would be 64 GiB for the CRDT library
        encoded(1),
        encoded(1, b"\0")[:-1],
        b"\xff" * 9,
    ],
)
def test_what_is_none_is_refused(data):
    with pytest.raises(RemoteProtocolError):
        messages.read_body(data)


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(data):
    for read in messages.read_body, messages.read_frame:
        try:
            read(data)
        except RemoteProtocolError:
            continue
