"""Presence: the last state of each client, changed by its own connection only."""

import json

from hypothesis import given
from hypothesis import strategies as st

from crdtsync.server.limits import PresenceLimits
from crdtsync.server.presence import Presence
from crdtsync.sync import Shown, WireLimits, encode_frame
from crdtsync.sync.awareness import CLOCK_MAX, SEEN_LENGTH_MAX, Awareness, decode_awareness
from crdtsync.sync.fields import DOCUMENT_LENGTH_MAX, TEXT_LENGTH_MAX

NO_GRACE = PresenceLimits(grace_s=0)
ANN = Awareness(7, 1, '{"name":"ann"}')


def test_a_connection_changes_its_own_state_only() -> None:
    presence = Presence(NO_GRACE)
    assert presence.apply([ANN], "one", "ann", first=True)
    assert not presence.apply([ANN._replace(clock=5, state='"bob"')], "two", "bob", first=True)
    assert not presence.apply([ANN._replace(clock=5, state=None)], "two", "ann")
    assert presence.states() == [ANN]
    later = ANN._replace(clock=2, state='"later"')
    assert presence.apply([later], "one", "ann")
    assert not presence.apply([ANN], "one", "ann")  # an older one
    assert presence.states() == [later]


def test_whatever_is_shown_fits_into_a_message() -> None:
    """One that does not would end the session of whoever is told."""
    presence, user = Presence(), "\N{GRINNING FACE}" * TEXT_LENGTH_MAX
    presence.apply([Awareness(client, 1, "{}") for client in range(60)], "one", user)
    large = json.dumps("\N{GRINNING FACE}" * (SEEN_LENGTH_MAX - 2), ensure_ascii=False)
    presence.apply([Awareness(99, 1, large)], "one", user)
    for each in range(50):
        clients = range(2**50 + each * 64, 2**50 + each * 64 + 64)
        presence.apply([Awareness(client, 1, "{}") for client in clients], each, "ann")
    told, count = 0, 0
    while told < presence.version:
        news = presence.since(told)
        size = len(encode_frame(Shown("d" * DOCUMENT_LENGTH_MAX, news.sightings)))
        assert size <= WireLimits().message_bytes_max
        told, count = news.upto, count + len(news.sightings)
    assert count == 61 + 50 * 64


def test_nobody_counts_so_far_that_a_replica_would_not_be_seen() -> None:
    presence = Presence(NO_GRACE)
    for clock in (CLOCK_MAX // 2, CLOCK_MAX):  # the id of a replica, before it shows anything
        presence.apply([Awareness(5, clock, "{}")], "bob's", "bob")
        presence.apply([Awareness(5, clock, None)], "bob's", "bob")
    taken = [state.clock for state in decode_awareness(presence.since(0).update)]
    told = presence.version
    assert presence.show(5, '"here"', "a replica", "ann", now_ms=1)
    [state] = decode_awareness(presence.since(told).update)
    assert CLOCK_MAX > state.clock > max([*taken, CLOCK_MAX // 2])


def test_a_state_goes_when_its_connection_has_been_gone_for_a_while() -> None:
    presence = Presence(NO_GRACE)
    presence.apply([ANN], "one", "ann", first=True)
    told = presence.version
    presence.release("one", now=3)
    assert not presence.expire(2.9)
    assert presence.states() == [ANN]
    assert presence.expire(3)
    assert presence.states() == []
    assert decode_awareness(presence.since(told).update) == [ANN._replace(state=None)]
    assert decode_awareness(presence.since(0).update) == []


def test_who_comes_back_in_time_has_not_been_away() -> None:
    presence = Presence(NO_GRACE)
    presence.apply([ANN], "one", "ann", first=True)
    presence.release("one", now=3)
    assert not presence.apply([ANN], "two", "ann", first=True)
    assert not presence.expire(10)
    assert presence.states() == [ANN]
    presence.release("two", now=20)
    assert presence.expire(20)


def test_who_only_repeats_what_it_heard_does_not_take_it_over() -> None:
    presence = Presence(NO_GRACE)
    presence.apply([ANN], "one", "ann", first=True)
    presence.release("one", now=3)
    presence.apply([ANN], "two", "ann")
    assert presence.expire(3)


def test_who_comes_back_too_late_is_shown_to_those_who_come_later() -> None:
    presence = Presence(NO_GRACE)
    presence.apply([ANN], "one", "ann", first=True)
    presence.release("one", now=3)
    presence.expire(3)
    assert not presence.apply([ANN], "three", "bob")  # an echo
    assert presence.apply([ANN], "two", "ann", first=True)
    assert presence.states() == [ANN]


def test_each_state_of_a_replica_is_newer_than_all_before_to_a_yjs_client() -> None:
    presence, clocks = Presence(NO_GRACE), []

    def show(state: str | None, now_ms: int) -> None:
        presence.show(7, state, "one", "ann", now_ms)
        [told] = decode_awareness(presence.since(presence.version - 1).update)
        assert told.state == state
        clocks.append(told.clock)

    show("{}", 1000)
    show("{}", 1000)
    show(None, 900)  # the server's clock was set back
    show("{}", 900)
    presence.release("one", 0)
    presence.expire(0)
    presence.apply([Awareness(7, 5000, "0")], "eve", "eve")  # nobody is there whose it would be
    show("{}", 1001)
    assert clocks == sorted(set(clocks))
    assert clocks[-1] == 5001
    assert not presence.apply([Awareness(7, 9000, "0")], "eve", "eve")
    fresh = Presence(NO_GRACE)  # after a restart
    fresh.show(7, "{}", "one", "ann", 6000)
    assert fresh.states()[0].clock > clocks[-1]


def test_much_is_told_in_parts_that_make_a_whole() -> None:
    presence = Presence(NO_GRACE)
    states = [Awareness(client, 1, json.dumps("x" * 20_000)) for client in range(1, 21)]
    for state in states:
        presence.apply([state], state.client, None)
    presence.apply([Awareness(3, 2, None)], 3, None)
    told, version, parts = [], 0, 0
    while version < presence.version:
        news = presence.since(version)
        told += decode_awareness(news.update)
        version, parts = news.upto, parts + 1
    assert parts > 3
    assert [state for state in told if state.state] == [s for s in states if s.client != 3]


def test_states_are_bounded() -> None:
    presence = Presence(PresenceLimits(states_max=5, per_connection_max=3, grace_s=0))
    for client in range(1, 10):
        presence.apply([Awareness(client, 1, "1")], "one", None)
    assert [state.client for state in presence.states()] == [1, 2, 3]
    for client in range(10, 20):
        presence.apply([Awareness(client, 1, "1")], client, None)
        presence.release(client, 0)
        presence.expire(0)
    assert [state.client for state in presence.states()] == [1, 2, 3]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.integers(1, 4),
            st.integers(1, 4),
            st.none() | st.sampled_from(["1", "2"]),
        )
    ),
    st.integers(1, 5),
)
def test_whoever_is_told_now_and_then_knows_who_is_there(
    told: list[tuple[int, int, int, str | None]], often: int
) -> None:
    presence, known, version = Presence(NO_GRACE), dict[int, Awareness](), 0
    for index, (owner, client, clock, state) in enumerate(told):
        presence.apply([Awareness(client, clock, state)], owner, None)
        if index % often == 0:
            for news in decode_awareness(presence.since(version).update):
                known[news.client] = news
            version = presence.version
    for news in decode_awareness(presence.since(version).update):
        known[news.client] = news
    there = {client: state for client, state in known.items() if state.state is not None}
    assert there == {state.client: state for state in presence.states()}
