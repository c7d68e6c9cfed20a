"""Events reach all who listen, each at its own pace."""

from __future__ import annotations

import gc

import anyio

from crdtsync.transport.status import ConnectionEvent, EventFeed


async def test_listeners_get_what_happens_from_then_on() -> None:
    feed = EventFeed()
    feed.publish(ConnectionEvent("before"))
    one, other = feed.listen(), feed.listen()
    feed.publish(ConnectionEvent("first"))
    assert (await anext(one)).kind == "first"

    async def wait() -> None:
        assert [event.kind async for event in one] == ["second"]

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            feed.notify()
            feed.publish(ConnectionEvent("second"))
            feed.close()
        assert [event.kind async for event in other] == ["first", "second"]


async def test_a_listener_that_falls_behind_loses_the_oldest() -> None:
    feed = EventFeed()
    slow = feed.listen()
    for number in range(5000):
        feed.publish(ConnectionEvent(str(number)))
    feed.close()
    kinds = [event.kind async for event in slow]
    assert kinds == [str(number) for number in range(4000, 5000)]


async def test_a_listener_that_is_gone_costs_nothing() -> None:
    feed = EventFeed()
    feed.listen()
    gc.collect()
    assert not feed._listeners
