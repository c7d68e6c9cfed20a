"""Clients that mean harm: what each tries, who finds it out, and that the honest go on.

Elsewhere: tokens of all kinds, `tests/server/test_authentication.py`; bytes that are no frames, and
frames out of turn, `tests/server/test_session.py`; updates that cannot be applied,
`tests/document/test_hostile.py`; a policy that raises, `tests/end_to_end/test_access.py`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pycrdt
import pytest

from crdtsync import Replica
from crdtsync.errors import TransportError
from crdtsync.keys import DeviceKey
from crdtsync.log import Cursor, Dependency, Entry, Head, decode_entry, with_seal
from crdtsync.seal import KEY, make_seal
from crdtsync.sync import Complete, Failed, Frame, Goodbye, Heads, Push, Receipt, encode_frame
from tests.adversary.forger import Forger
from tests.adversary.house import House, Intruder, house, token
from tests.document.boards import Board

EVIL = 2**52 + 1


class Scene(NamedTuple):
    """Ann and bob share a board; eve is let in, and knows all that stands in it."""

    house: House
    ann: Replica
    bob: Replica
    evil: Forger
    intruder: Intruder

    @property
    def hers(self) -> Board:
        return self.ann.document(Board, "b")

    @property
    def log(self) -> list[Entry]:
        """Ann's log, as the server has it."""
        return [e for e in self.ann.ledger("b").entries() if e.replica == self.ann.id]


@asynccontextmanager
async def scene(folder: Path, policy: Any = None) -> AsyncIterator[Scene]:
    with Replica(folder / "ann.db", user="ann") as ann, Replica(user="bob") as bob:
        hers, his = ann.document(Board, "b"), bob.document(Board, "b")
        hers.name = "board"
        hers.body.append("hello ")
        hers.body.append("world")
        async with house(folder, policy) as home:
            await home.sync(ann, bob)
            evil = Forger(EVIL, user="eve")
            evil.see(*[entry.update for entry in ann.ledger("b").entries()])
            intruder = await home.enter(evil)
            yield Scene(home, ann, bob, evil, intruder)
            # Whatever was tried, the honest go on, and agree.
            his.total.increment()
            hers.add("a task")
            await home.sync(ann, bob)
            assert his.to_dict() == hers.to_dict()
            assert his.state_vector == hers.state_vector
            assert int(hers.total) == 1
            assert str(hers.body) == "hello world"
            assert hers.name == "board"
            assert hers.refusals() == his.refusals() == []
            assert ann.verify() == bob.verify() == []


def write(doc: pycrdt.Doc[Any]) -> None:
    doc.get("items", type=pycrdt.Array).append("EVIL")


# What is refused, with the word for it. Each is done to the board as eve finds it.


async def name_another_user(at: Scene) -> Frame:
    evil = Forger(EVIL, user="ann")
    evil.key = at.evil.key
    return await at.intruder.answer([evil.edit(write)])


async def begin_a_log_of_anothers_with_a_key_of_ones_own(at: Scene) -> Frame:
    thief = Forger(at.ann.id, "c", user="ann")
    return await at.intruder.answer([thief.edit(write)], "c")


async def begin_a_log_of_anothers_without_a_key(at: Scene) -> Frame:
    thief = Forger(at.ann.id, "c")
    entry = thief.write(extra={"user": "ann"}, seal=False)
    return await at.intruder.answer([entry], "c")


async def begin_ones_own_log_with_anothers_key(at: Scene) -> Frame:
    assert at.ann.key is not None
    return await at.intruder.answer([at.evil.write(extra={KEY: at.ann.key.public}, seal=False)])


async def go_on_with_anothers_log(at: Scene) -> Frame:
    last = at.log[-1]
    return await at.intruder.answer(
        [at.evil.write(replica=at.ann.id, head=Head(last.seq, last.hash))]
    )


async def write_in_anothers_name(at: Scene) -> Frame:
    other: pycrdt.Doc[Any] = pycrdt.Doc(client_id=at.ann.id)
    write(other)
    return await at.intruder.answer([at.evil.write(other.get_update())])


async def write_in_the_name_of_several(at: Scene) -> Frame:
    other: pycrdt.Doc[Any] = pycrdt.Doc(client_id=7)
    write(other)
    both = pycrdt.merge_updates(at.evil.edit(write).update, other.get_update())
    return await at.intruder.answer([Forger(EVIL).write(both)])


async def alter_a_seal(at: Scene) -> Frame:
    entry = at.evil.edit(write)
    return await at.intruder.answer(
        [entry._replace(data=entry.data[:-1] + bytes([entry.data[-1] ^ 1]))]
    )


async def seal_with_another_key(at: Scene) -> Frame:
    entry = at.evil.edit(write)
    return await at.intruder.answer(
        [with_seal(entry, make_seal(DeviceKey.generate(), "b", EVIL, entry))]
    )


async def leave_the_seal_out(at: Scene) -> Frame:
    first, last = at.evil.edit(write), at.evil.edit(write)
    return await at.intruder.answer([first, last._replace(data=last.data[1:-66])])


async def cut_an_entry_short(at: Scene) -> Frame:
    entry = at.evil.edit(write)
    return await at.intruder.answer([entry._replace(data=entry.data[:-70])])


async def alter_what_is_sealed(at: Scene) -> Frame:
    first, last = at.evil.edit(write), at.evil.edit(write)
    other = Forger(EVIL, user="eve")
    other.key = at.evil.key
    altered = other.write(name="other", seal=False)
    assert (altered.seq, altered.hash != first.hash) == (1, True)
    return await at.intruder.answer([altered, last])


async def write_two_entries_of_one_number(at: Scene) -> Frame:
    one = at.evil.write(name="one")
    assert isinstance(await at.intruder.answer([one]), Receipt)
    assert one.extra[KEY] == at.evil.key.public
    other = Forger(EVIL, user="eve")
    other.key = at.evil.key
    return await at.intruder.answer([other.write(name="other")])


async def build_upon_another_entry(at: Scene) -> Frame:
    lie = Dependency(at.ann.id, at.log[-1].seq, bytes(32))
    return await at.intruder.answer([at.evil.write(dependencies=(lie,))])


async def push_to_another_document(at: Scene) -> Frame:
    return await at.intruder.answer([at.evil.write(document="c")])


async def go_on_from_another_document(at: Scene) -> Frame:
    there = Forger(EVIL, "c", user="eve")
    there.key = at.evil.key
    assert isinstance(await at.intruder.answer([there.write()], "c"), Receipt)
    return await at.intruder.answer([at.evil.write(head=there.head)])


async def follow_nothing(at: Scene) -> Frame:
    """A first entry that claims to follow another."""
    return await at.intruder.answer(
        [at.evil.write(head=Head(0, b"x" * 32), extra={KEY: at.evil.key.public})]
    )


REFUSED: dict[str, list[Callable[[Scene], Awaitable[Frame]]]] = {
    "foreign": [
        name_another_user,
        begin_a_log_of_anothers_with_a_key_of_ones_own,
        begin_a_log_of_anothers_without_a_key,
        write_in_anothers_name,
        write_in_the_name_of_several,
    ],
    "seal": [
        begin_ones_own_log_with_anothers_key,
        go_on_with_anothers_log,
        alter_a_seal,
        seal_with_another_key,
        leave_the_seal_out,
        alter_what_is_sealed,
    ],
    "malformed": [cut_an_entry_short, push_to_another_document],
    "fork": [write_two_entries_of_one_number, build_upon_another_entry],
    "chain": [follow_nothing],
}


@pytest.mark.parametrize(
    ("attack", "code"),
    [
        pytest.param(attack, code, id=attack.__name__)
        for code, attacks in REFUSED.items()
        for attack in attacks
    ],
)
async def test_it_is_refused_and_nothing_is_stored(
    tmp_path: Path, attack: Callable[[Scene], Awaitable[Frame]], code: str
) -> None:
    async with scene(tmp_path) as at:
        answer = await attack(at)
        assert isinstance(answer, Failed)
        assert answer.code == code
        assert answer.reason
        forks = attack is write_two_entries_of_one_number
        assert (await at.house.backend.state("b")).offset == len(at.log) + forks
        assert (await at.house.backend.state("c")).offset == 0
        if forks:
            kept = await at.house.backend.entry("b", EVIL, 1)
            assert kept is not None
            assert decode_entry(kept).name == "one"


async def test_what_follows_another_document_s_log_waits_for_what_never_comes(
    tmp_path: Path,
) -> None:
    async with scene(tmp_path) as at:
        answer = await go_on_from_another_document(at)
        assert isinstance(answer, Failed | Heads)
        assert (await at.house.backend.state("b")).offset == len(at.log)


async def test_another_s_replica_id_is_not_let_in(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        thief = await at.house.enter(at.evil, replica=at.ann.id, token=token("ann"))
        goodbye = thief.events[-1]
        assert isinstance(goodbye, Goodbye)
        assert goodbye.code == "authentication"
        assert "belongs to another device" in goodbye.reason


async def test_one_s_own_replica_id_is_not_let_in_for_another_user(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        thief = await at.house.enter(at.evil, token=token("bob"))
        goodbye = thief.events[-1]
        assert isinstance(goodbye, Goodbye)
        assert "belongs to another user" in goodbye.reason


@pytest.mark.parametrize(
    "shown",
    [
        {"token": None},
        {"token": token("eve", audience="mail")},
        {"token": token("eve", -10)},
        {"user": "ann"},
        {"key": None},
        {"key": bytes(32)},
        {"key": DeviceKey.generate().public},
    ],
    ids=[
        "none",
        "other audience",
        "expired",
        "other user",
        "no key",
        "weak key",
        "not its own key",
    ],
)
async def test_who_does_not_prove_who_they_are_is_not_let_in(
    tmp_path: Path, shown: dict[str, Any]
) -> None:
    async with scene(tmp_path) as at:
        thief = await at.house.enter(Forger(EVIL + 1), **shown)
        goodbye = thief.events[-1]
        assert isinstance(goodbye, Goodbye)
        assert goodbye.code == "authentication"
        assert EVIL + 1 not in {device.replica for device in await at.house.backend.devices()}


async def test_a_token_that_expires_ends_the_connection(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        evil = Forger(EVIL + 1, user="eve")
        late = await at.house.enter(evil, token=token("eve", 1.5))
        await late.subscribe("b")
        goodbye = await late.until_goodbye()
        assert goodbye.code == "expired"
        with pytest.raises(TransportError):
            while True:  # it goes on as if nothing had been said
                await late.stream.send([encode_frame(Push("b", (evil.write().data,)))])
                await late.stream.receive()
        assert (await at.house.backend.state("b")).offset == len(at.log)


async def test_a_batch_that_comes_again_changes_nothing(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        mine = [at.evil.write(), at.evil.write()]
        for batch in (mine, mine, at.log, mine[:1], at.log[1:]):
            answer = await at.intruder.answer(batch)
            assert isinstance(answer, Receipt)
            assert answer.seq == batch[-1].seq
        assert (await at.house.backend.state("b")).offset == len(at.log) + 2


async def test_a_batch_with_a_hole_or_in_another_order_waits(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        first, second, third = (at.evil.write() for _ in range(3))
        length = len(at.log)
        assert isinstance(await at.intruder.answer([second, third]), Heads)
        assert (await at.house.backend.state("b")).offset == length
        assert isinstance(await at.intruder.answer([first, third]), Failed)
        await at.intruder.subscribe("b")
        assert (await at.house.backend.state("b")).offset == length
        answer = await at.intruder.answer([third, first, second])
        assert isinstance(answer, Receipt)
        assert answer.seq == 2
        assert (await at.house.backend.state("b")).offset == length + 2


async def test_what_comes_before_a_seal_that_finds_no_place_is_not_stored(tmp_path: Path) -> None:
    """Else everybody who follows the document would wait for that seal for ever."""
    async with scene(tmp_path) as at:
        first, last = at.evil.write(seal=False), at.evil.write()
        answer = await at.intruder.answer([last, first])
        assert isinstance(answer, Heads)
        other = Forger(EVIL, user="eve")
        other.key = at.evil.key
        unsealed = other.write(seal=False)
        nothing = Dependency(7, 1, bytes(32))
        answer = await at.intruder.answer([unsealed, other.write(dependencies=(nothing,))])
        assert isinstance(answer, Heads)
        assert (await at.house.backend.state("b")).offset == len(at.log)


HEADS: dict[str, Callable[[Scene], dict[int, Head]]] = {
    "too high": lambda at: {at.ann.id: Head(2**53, bytes(32))},
    "too low": lambda at: {at.ann.id: Head(1, at.log[0].hash)},
    "with another hash": lambda at: {at.ann.id: Head(2, b"x" * 32)},
    "of unknown replicas": lambda at: {7: Head(3, bytes(32)), 2**53 - 1: Head(1, bytes(32))},
    "huge": lambda at: {2**40 + n: Head(2**53, b"x" * 32) for n in range(4000)},
}


@pytest.mark.parametrize("lie", HEADS)
async def test_who_lies_about_what_they_hold_deceives_themselves_only(
    tmp_path: Path, lie: str
) -> None:
    async with scene(tmp_path) as at:
        await at.intruder.follow("b", HEADS[lie](at))
        got = [decode_entry(data) for data in at.intruder.entries.get("b", [])]
        expected = {"too high": 0, "too low": 2, "with another hash": 1}.get(lie, 3)
        assert [entry.hash for entry in got] == [e.hash for e in at.log[3 - expected :]]
        assert isinstance(await at.intruder.answer([at.evil.write()]), Receipt)


async def test_a_cursor_that_is_a_lie_is_not_honoured(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        epoch = at.house.backend.epoch
        for cursor in (Cursor(epoch, 2**40), Cursor(bytes(16), 2)):
            subscribed = await at.intruder.subscribe("b", cursor=cursor)
            assert subscribed.mode == "vector"
            complete = await at.intruder.until(Complete)
            assert complete.offset == len(at.log)


async def test_a_refused_action_of_a_hostile_client_is_seen_by_nobody(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        bad = at.evil.edit(write, name="forbidden", arguments={"secret": "EVIL"})
        answer = await at.intruder.answer([bad])
        assert isinstance(answer, Receipt)
        assert answer.refused == ((1, "not this"),)
        assert isinstance(await at.intruder.answer([bad]), Receipt)  # once more, as it was
        await at.house.sync(at.ann, at.bob)
        for replica in at.ann, at.bob:
            board = replica.document(Board, "b")
            assert "EVIL" not in str(board.to_dict())
            assert b"EVIL" not in b"".join(entry.data for entry in board.log)
            assert [entry.refusal for entry in board.log][-1] == "not this"


@pytest.mark.parametrize("where", ["may_read", "may_write", "judge"])
async def test_a_policy_that_raises_refuses(tmp_path: Path, where: str) -> None:
    class Broken:
        broken = False

        def __getattr__(self, name: str) -> Any:
            from crdtsync.server.access import ALLOWED

            def answer(*_: Any) -> Any:
                if name == where and self.broken:
                    raise RuntimeError("a bug")
                return ALLOWED

            if name.startswith(("may", "judge")):
                return answer
            raise AttributeError(name)

    policy = Broken()
    async with scene(tmp_path, policy) as at:
        if where == "may_read":
            policy.broken = True
            at.intruder.protocol.subscribe("c", {})
            await at.intruder.flush()
            assert (await at.intruder.until(Failed)).code == "forbidden"
        else:
            await at.intruder.subscribe("b")
            policy.broken = True
            answer = await at.intruder.answer([at.evil.edit(write)])
            assert isinstance(answer, Receipt)
            assert answer.refused == ((1, "the server's access policy failed"),)
        policy.broken = False
