"""Showing: never faster than allowed, and in the end everybody as they are last."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crdtsync.server.limits import PresenceLimits
from crdtsync.server.presence import Presence
from crdtsync.server.throttle import Throttle
from crdtsync.server.yjs.shower import Shower
from crdtsync.sync.awareness import Awareness

shows = st.lists(
    st.tuples(
        st.integers(0, 1),  # which connection
        st.dictionaries(st.integers(1, 4), st.sampled_from(['"x"', '"long"', None]), max_size=3),
        st.floats(0, 2),  # seconds until then
        st.booleans(),  # whether it repeats what it has heard
    ),
    max_size=20,
)


@given(shows)
def test_each_client_is_shown_as_it_is_last(history):
    """The oracle is a presence without a limit. Each connection is another user's."""
    presence, free = Presence(), Presence()
    showers = [Shower(presence, Throttle(100, 1), owner) for owner in ("one", "two")]
    now = 0.0
    for clock, (which, states, pause, repeats) in enumerate(history, 1):
        now += pause
        said = [Awareness(10 * which + client, clock, state) for client, state in states.items()]
        heard = presence.states() if repeats else []
        showers[which].hear([*heard, *said], ("ann", "bob")[which], now)
        free.apply(said, ("one", "two")[which], "ann")
    for _ in range(2):
        now += 1000
        for shower in showers:
            shower.release(now)
    assert sorted(presence.states()) == sorted(free.states())


@given(st.lists(st.tuples(st.integers(1, 5), st.floats(0, 0.5)), min_size=1, max_size=60))
def test_no_more_is_shown_than_is_allowed(history):
    presence = Presence()
    shower = Shower(presence, Throttle(1000, 2), "one")
    now = 0.0
    for clock, (client, pause) in enumerate(history, 1):
        now += pause
        shower.hear([Awareness(client, clock, '"x"')], "ann", now)
        assert presence.version <= 2 * (now + 1) + 5  # five are the last turn, all at once


def test_there_is_a_bound_on_what_waits():
    presence = Presence(PresenceLimits(per_connection_max=3))
    shower = Shower(presence, Throttle(1000, 1), "one")
    for client in range(1, 100):
        shower.hear([Awareness(client, 1, '"x"')], "ann", 0)
    assert len(shower._late) == 3


def test_repeating_others_costs_nothing():
    presence = Presence()
    presence.apply([Awareness(1, 1, '"ann"')], "ann", "ann")
    shower = Shower(presence, Throttle(1000, 1), "bob")
    for _ in range(1000):
        shower.hear(presence.states(), "bob", 0)
    shower.hear([Awareness(2, 1, '"bob"')], "bob", 0)
    assert [state.client for state in presence.states()] == [1, 2]
