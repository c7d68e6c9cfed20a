"""Client and server back to back: who may say what, when, and what crosses on the way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdtsync.codec import encode
from crdtsync.errors import LocalProtocolError, RemoteProtocolError
from crdtsync.log import Cursor, Head
from crdtsync.sync import ClientProtocol, ServerProtocol, State, WireLimits, encode_frame
from crdtsync.sync.awareness import Sighting
from crdtsync.sync.frames import (
    Challenge,
    Check,
    Chunk,
    Complete,
    Credit,
    Entries,
    Failed,
    Frame,
    Goodbye,
    Heads,
    Hello,
    Ping,
    Pong,
    Proof,
    Push,
    Receipt,
    Show,
    Shown,
    Subscribe,
    Subscribed,
    Unknown,
    Unsubscribe,
    Welcome,
)
from tests.sync.helpers import CLIENT, EPOCH, any_frame, greeted, subscribed, wire

HEADS = {7: Head(2, bytes(32))}


def test_a_conversation() -> None:
    client, server = ClientProtocol(), ServerProtocol()
    client.hello(client=CLIENT, replica=7, software="test", user="ann")
    assert client.state is State.GREETED
    _, [hello] = wire(client, server)
    assert isinstance(hello, Hello)
    assert (hello.user, hello.client, hello.credit) == ("ann", CLIENT, 1024 * 1024)
    assert server.hello == hello

    server.challenge(b"nonce", EPOCH)
    [challenge], _ = wire(client, server)
    assert challenge == Challenge(b"nonce", EPOCH)
    client.prove("here", b"signature")
    assert wire(client, server) == ([], [Proof("here", b"signature")])

    server.welcome(epoch=EPOCH, time=5)
    [welcome], _ = wire(client, server)
    limits = WireLimits().to_wire()
    assert welcome == Welcome(1, "active", limits, 5, EPOCH, 1024 * 1024, None, "", 5)
    assert client.state is server.state is State.OPEN

    client.subscribe("d", HEADS, Cursor(EPOCH, 4), priority=2)
    assert wire(client, server)[1] == [Subscribe("d", 2, HEADS, Cursor(EPOCH, 4))]
    assert list(server.subscriptions) == ["d"]
    assert not client.is_live("d")
    server.subscribed("d", HEADS, "cursor")
    server.send_payload(encode_frame(Entries("d", 4, 6, (b"one", b"two"))))
    server.complete("d", 6, HEADS, priority=2)
    events, _ = wire(client, server)
    assert events == [
        Subscribed("d", HEADS, "cursor"),
        Entries("d", 4, 6, (b"one", b"two")),
        Complete("d", 2, 6, HEADS),
    ]
    assert client.is_live("d")

    client.push("d", [b"mine"])
    nonce = client.check("d")
    _, [push, check] = wire(client, server)
    assert (push, check) == (Push("d", (b"mine",)), Check(nonce, "d"))
    server.receipt("d", 7, 3, 7, [(3, "may not")])
    server.heads("d", HEADS, nonce)
    server.heads("d", HEADS)
    events, _ = wire(client, server)
    assert events == [
        Receipt("d", 7, 3, 7, ((3, "may not"),)),
        Heads(nonce, "d", HEADS),
        Heads(0, "d", HEADS),
    ]

    ping = client.ping()
    assert wire(client, server)[1] == [Ping(ping)]
    server.pong(ping, 9)
    assert wire(client, server)[0] == [Pong(ping, 9)]

    client.unsubscribe("d")
    assert wire(client, server)[1] == [Unsubscribe("d")]
    assert not server.subscriptions

    server.goodbye("restart", "back soon", 100)
    assert wire(client, server)[0] == [Goodbye("restart", "back soon", 100)]
    assert client.closed
    assert server.closed


# Order.


@given(any_frame.filter(lambda frame: not isinstance(frame, Hello | Goodbye)))
def test_nothing_but_hello_opens_a_connection(frame: Frame) -> None:
    server = ServerProtocol()
    with pytest.raises(RemoteProtocolError, match="before Welcome"):
        server.receive(encode_frame(frame))
    assert server.closed
    assert len(server.data_to_send()) == 1


@given(any_frame.filter(lambda frame: not isinstance(frame, Goodbye)))
def test_nothing_but_hello_is_taken_before_welcome(frame: Frame) -> None:
    client, server = ClientProtocol(), ServerProtocol()
    client.hello(client=CLIENT, replica=7, software="test")
    wire(client, server)
    with pytest.raises(RemoteProtocolError, match="before Welcome"):
        server.receive(encode_frame(frame))


@given(any_frame.filter(lambda frame: not isinstance(frame, Challenge | Welcome | Goodbye)))
def test_a_client_takes_nothing_before_welcome(frame: Frame) -> None:
    client = ClientProtocol()
    client.hello(client=CLIENT, replica=7, software="test")
    with pytest.raises(RemoteProtocolError, match="before Welcome"):
        client.receive(encode_frame(frame))


def test_hello_is_said_once() -> None:
    client, server = greeted()
    with pytest.raises(LocalProtocolError, match="once"):
        client.hello(client=CLIENT, replica=7, software="test")
    hello = Hello((1,), CLIENT, 7, None, None, None, "", 1)
    with pytest.raises(RemoteProtocolError, match="Hello"):
        server.receive(encode_frame(hello))
    assert wire(client, server)[0][0].code == "protocol"  # type: ignore[union-attr]


def test_a_proof_needs_a_challenge() -> None:
    client, server = ClientProtocol(), ServerProtocol()
    client.hello(client=CLIENT, replica=7, software="test")
    wire(client, server)
    with pytest.raises(LocalProtocolError, match="Challenge"):
        client.prove("", b"")
    with pytest.raises(RemoteProtocolError, match="Proof"):
        server.receive(encode_frame(Proof("", b"")))


def test_no_common_version_ends_the_connection_at_once() -> None:
    server = ServerProtocol()
    hello = Hello((2, 3), CLIENT, 7, None, None, None, "", 1)
    assert server.receive(encode_frame(hello)) == []
    assert server.closed
    client = ClientProtocol()
    client.hello(client=CLIENT, replica=7, software="test")
    [payload] = server.data_to_send()
    [goodbye] = client.receive(payload)
    assert isinstance(goodbye, Goodbye)
    assert goodbye.code == "version"
    assert "2, 3" in goodbye.reason


def test_a_version_that_was_not_offered_is_refused() -> None:
    client = ClientProtocol()
    client.hello(client=CLIENT, replica=7, software="test")
    with pytest.raises(RemoteProtocolError, match="version 2"):
        client.receive(encode_frame(Welcome(2, "active", {}, 0, EPOCH, 1)))


@pytest.mark.parametrize(
    "frame", [Push("d", (b"x",)), Check(1, "d"), Unsubscribe("d"), Show("d", None, False)]
)
def test_a_client_takes_only_what_servers_say(frame: Frame) -> None:
    client, server = subscribed()
    with pytest.raises(RemoteProtocolError, match="not a server's"):
        client.receive(encode_frame(frame))
    [goodbye] = [event for payload in client.data_to_send() for event in server.receive(payload)]
    assert isinstance(goodbye, Goodbye)
    assert goodbye.code == "protocol"


def test_a_server_takes_only_what_clients_say() -> None:
    _, server = subscribed()
    with pytest.raises(RemoteProtocolError, match="not a client's"):
        server.receive(encode_frame(Receipt("d", 1, 1, 1, ())))


def test_after_the_end_nothing_goes_in_or_out() -> None:
    client, server = subscribed()
    client.goodbye("closing", "done")
    wire(client, server)
    assert server.receive(b"\xff") == []
    client.goodbye("again", "done")
    assert client.data_to_send() == []
    with pytest.raises(LocalProtocolError, match="closed"):
        client.ping()


def test_unknown_frames_are_events() -> None:
    client, server = greeted()
    assert client.receive(encode([77, 1])) == [Unknown(77)]
    assert server.receive(encode([77, 1])) == [Unknown(77)]


# Documents.


def test_what_crosses_an_unsubscribe_is_passed_over_and_its_credit_given_back() -> None:
    client, server = subscribed(limits=WireLimits(credit_bytes=100))
    server.send_payload(encode_frame(Entries("d", 0, 1, (bytes(50),))))
    server.complete("d", 1, {})
    server.receipt("d", 7, 1, 1)
    server.heads("d", {})
    server.failed("d", "bad", "it crossed")
    client.unsubscribe("d")
    events, _ = wire(client, server)
    assert events == []
    assert server.credit == 100


def test_what_crosses_a_failure_is_passed_over_and_its_credit_given_back() -> None:
    client, server = subscribed(limits=WireLimits(credit_bytes=100))
    client.push("d", [bytes(50)])
    client.check("d")
    client.unsubscribe("d")
    server.failed("d", "bad", "it crossed")
    assert wire(client, server) == ([], [])
    assert client.credit == 100


def test_a_failure_ends_one_document() -> None:
    client, server = subscribed()
    server.failed("d", "malformed", "no entry")
    assert wire(client, server)[0] == [Failed("d", "malformed", "no entry")]
    assert not client.is_live("d")
    with pytest.raises(LocalProtocolError, match="not subscribed"):
        client.push("d", [b"x"])
    client.subscribe("d", {})
    wire(client, server)
    assert list(server.subscriptions) == ["d"]


def test_subscribing_again_begins_again() -> None:
    client, server = subscribed()
    server.send_payload(encode_frame(Entries("d", 3, 5, ())))
    nonce = client.check("d")
    client.subscribe("d", {}, Cursor(EPOCH, 2))
    server.heads("d", {}, nonce)
    events, [*_, again] = wire(client, server)
    assert events == []  # all of the first time
    assert again == Subscribe("d", 0, {}, Cursor(EPOCH, 2))
    server.subscribed("d", {}, "cursor")
    server.send_payload(encode_frame(Entries("d", 2, 5, ())))
    assert wire(client, server)[0] == [Subscribed("d", {}, "cursor"), Entries("d", 2, 5, ())]


@pytest.mark.parametrize(("after", "upto"), [(3, 4), (6, 7), (5, 4)])
def test_entries_go_on_where_those_before_ended(after: int, upto: int) -> None:
    client, server = subscribed()
    server.send_payload(encode_frame(Entries("d", 3, 5, ())))
    assert len(wire(client, server)[0]) == 1
    with pytest.raises(RemoteProtocolError, match="5 was to be gone on from"):
        client.receive(encode_frame(Entries("d", after, upto, ())))


def test_a_cursor_that_was_not_given_cannot_be_honoured() -> None:
    client, server = greeted()
    client.subscribe("d", {})
    wire(client, server)
    server.subscribed("d", {}, "cursor")
    with pytest.raises(RemoteProtocolError, match="not given"):
        wire(client, server)


def test_answers_to_nobodys_question_are_passed_over() -> None:
    client, server = subscribed()
    server.heads("d", {}, 5)
    assert wire(client, server)[0] == []


def test_who_is_there_is_told_while_a_document_is_followed() -> None:
    client, server = subscribed()
    client.show("d", '{"a":1}')
    assert wire(client, server)[1] == [Show("d", '{"a":1}', True)]
    sighting = Sighting(7, "{}", "ann")
    server.shown("d", [sighting])
    server.shown("e", [sighting])
    assert wire(client, server)[0] == [Shown("d", (sighting,))]
    with pytest.raises(LocalProtocolError, match="not subscribed"):
        client.show("e", None)
    # What crosses the end of a document is passed over, on either side.
    client.show("d", None)
    server.failed("d", "forbidden", "no more")
    server.shown("d", [sighting])
    events, came = wire(client, server)
    assert [type(event) for event in events] == [Failed]
    assert came == []


def test_a_server_does_not_show_itself() -> None:
    _, server = subscribed()
    with pytest.raises(RemoteProtocolError, match="not a client's"):
        server.receive(encode_frame(Shown("d", ())))


def test_too_many_documents() -> None:
    client, server = greeted(WireLimits(subscriptions_max=1))
    client.subscribe("a", {})
    client.subscribe("b", {})
    client.subscribe("a", {})  # the one it has, again
    events, came = wire(client, server)
    assert [frame.document for frame in came if isinstance(frame, Subscribe)] == ["a", "a"]
    [failed] = events
    assert isinstance(failed, Failed)
    assert (failed.document, failed.code) == ("b", "limit")


def test_names_that_no_server_takes_are_not_asked_for() -> None:
    client, _ = greeted()
    for name in ("", "x" * 513):
        with pytest.raises(LocalProtocolError, match="characters"):
            client.subscribe(name, {})


# Size and credit.


def test_large_frames_go_in_chunks_both_ways() -> None:
    limits = WireLimits(frame_bytes_max=512, message_bytes_max=4096)
    client, server = subscribed(limits=limits)
    big = bytes(3000)
    client.push("d", [big])
    server.send_payload(encode_frame(Entries("d", 0, 1, (big,))))
    client.ping()
    payloads = client.data_to_send()
    assert len(payloads) > 6
    assert max(map(len, payloads)) <= 512
    came = [event for payload in payloads for event in server.receive(payload)]
    assert came[0] == Push("d", (big,))
    assert isinstance(came[1], Ping)
    assert wire(client, server)[0] == [Entries("d", 0, 1, (big,))]


def test_frames_beyond_a_message_are_not_sent() -> None:
    client, _ = subscribed(limits=WireLimits(frame_bytes_max=512, message_bytes_max=1024))
    with pytest.raises(LocalProtocolError, match="1,024"):
        client.push("d", [bytes(1024)])
    assert client.data_to_send() == []
    assert client.can_push


def test_a_client_keeps_to_the_servers_limits() -> None:
    client = ClientProtocol()
    server = ServerProtocol(
        WireLimits(frame_bytes_max=600, message_bytes_max=2000, push_entries_max=2)
    )
    client.hello(client=CLIENT, replica=7, software="test")
    wire(client, server)
    server.welcome(epoch=EPOCH, time=0)
    wire(client, server)
    client.subscribe("d", {})
    wire(client, server)
    server.subscribed("d", {}, "vector")
    wire(client, server)
    assert (client.message_bytes_max, client.push_entries_max) == (2000, 2)
    client.push("d", [bytes(900), bytes(900)])
    assert wire(client, server)[1] == [Push("d", (bytes(900), bytes(900)))]
    for entries in ([b""] * 3, []):
        with pytest.raises(LocalProtocolError, match="1 to 2 entries"):
            client.push("d", entries)


def test_a_server_refuses_larger_pushes_and_frames() -> None:
    limits = WireLimits(frame_bytes_max=600, push_entries_max=2)
    for payload in (
        encode_frame(Push("d", (b"",) * 3)),
        encode_frame(Push("d", ())),
        encode_frame(Push("d", (bytes(600),))),
    ):
        _, server = subscribed(limits=limits)
        with pytest.raises(RemoteProtocolError):
            server.receive(payload)


def test_a_chunk_in_a_chunk_is_refused() -> None:
    client, _ = greeted()
    inner = encode_frame(Chunk(1, 0, True, b"x"))
    with pytest.raises(RemoteProtocolError, match="itself a chunk"):
        client.receive(encode_frame(Chunk(1, 0, True, inner)))


def test_data_is_sent_while_credit_is_above_zero() -> None:
    client, server = subscribed(limits=WireLimits(credit_bytes=100))
    client.push("d", [bytes(60)])
    assert client.can_push
    client.push("d", [bytes(60)])
    assert client.credit < 0
    assert not client.can_push
    with pytest.raises(LocalProtocolError, match="credit"):
        client.push("d", [b"x"])
    _, pushes = wire(client, server)
    for push in pushes:
        assert isinstance(push, Push)
        server.returned(push.size)
    wire(client, server)
    assert client.credit == 100
    with pytest.raises(LocalProtocolError, match="more credit"):
        server.returned(1)


def test_data_without_credit_is_refused() -> None:
    client, _ = subscribed(limits=WireLimits(credit_bytes=10))
    client.receive(encode_frame(Entries("d", 0, 1, (bytes(10),))))
    with pytest.raises(RemoteProtocolError, match="Entries without credit"):
        client.receive(encode_frame(Entries("d", 1, 2, ())))


def test_credit_has_bounds() -> None:
    client, _ = greeted()
    with pytest.raises(RemoteProtocolError, match="bounds"):
        client.receive(encode_frame(Credit(2**63 - 1)))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 150)), max_size=60))
def test_credit_never_leaks_and_never_stalls(steps: list[tuple[bool, int]]) -> None:
    client, server = subscribed(limits=WireLimits(credit_bytes=200))
    offset = 0
    waiting: list[Entries] = []
    for send, size in steps:
        if send and server.can_send:
            server.send_payload(encode_frame(Entries("d", offset, offset + 1, (bytes(size),))))
            offset += 1
        elif waiting:
            client.returned(waiting.pop().size)
        waiting += [frame for frame in wire(client, server)[0] if isinstance(frame, Entries)]
        under_way = sum(frame.size for frame in waiting)
        assert 200 - under_way - 50 < server.credit <= 200 - under_way
    for frame in waiting:
        client.returned(frame.size)
    wire(client, server)
    assert server.can_send


@given(st.lists(any_frame | st.binary(max_size=40), max_size=12), st.booleans())
def test_whatever_comes_only_a_protocol_error_goes_out(
    inputs: list[Frame | bytes], at_server: bool
) -> None:
    client, server = subscribed()
    side = server if at_server else client
    for one in inputs:
        try:
            for event in side.receive(one if isinstance(one, bytes) else encode_frame(one)):
                if isinstance(event, Push | Entries):
                    side.returned(event.size)
        except RemoteProtocolError:
            assert side.closed
