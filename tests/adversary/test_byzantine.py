"""An honest majority, and one client that sends whatever it can sign.

Eve has a token and a device key, knows everything that anybody wrote, even what was not sent yet,
and keeps to no rule but those without which the server takes nothing of her. Whatever she sends,
the honest show the same, hold the same, never what was refused, and lose nothing of their own.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import anyio
import pycrdt
from anyio.abc import TaskStatus
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from crdtsync import Replica
from crdtsync.codec import encode
from crdtsync.document.crdt import is_crdt_failure
from crdtsync.log import Dependency, Entry, Head, hash_of
from crdtsync.server import Hub, MemoryBackend
from crdtsync.server.authentication import Identity
from crdtsync.transport import Backoff, FrameStream, connect, memory_pair
from tests.adversary.forger import Forger
from tests.adversary.house import Intruder, Policy
from tests.document.boards import Board
from tests.replica.histories import act

EVIL = 2**52 + 1
FORBIDDEN = "FORBIDDEN"
HONEST = ("ann", "bob", "cleo")

seeds = st.integers(0, 2**32)


class Names:
    """Believes in tokens: the user's name is one."""

    requires_loopback = False

    async def authenticate(self, token: str | None, *, user: str | None) -> Identity:
        return Identity(token)


# What eve does to her copy of the document.

Deed = Callable[[pycrdt.Doc[Any], random.Random, str], None]
PATHS = ["name", "total", "members/1", "tasks/t1", "tasks/t1/title", "tasks/t1/status", "data"]


def write_a_slot(doc: pycrdt.Doc[Any], dice: random.Random, mark: str) -> None:
    """Anybody's slot, with whatever in it."""
    slots = doc.get("slots", type=pycrdt.Map)
    keys = list(slots)
    who = dice.choice([EVIL, 1, *(int(key.rpartition("@")[2].split(".")[0], 16) for key in keys)])
    key = f"{dice.choice(PATHS)}@{who:x}.{dice.choice([0, 1, 7, 2**60]):x}"
    if keys and dice.random() < 0.3:
        key = dice.choice(keys)
    number = dice.choice([0, 1, -5, 3, 2**53, 2**70])
    seen = dice.choice([None, [], [[who, 2**60]], [[2**52, 1], [who, 3]], [[1]], "x"])
    value = dice.choice([mark, 5, -(2**70), None, [mark], {"a": [1]}, True, [[who, 2**60]], b"x"])
    base = dice.choice([None, [1, mark], [2**70, None], 5])
    items = [
        number,
        dice.choice([0, 1 << 58, -1, 2**70]),
        value,
        base,
        dice.choice([1, 9, -1]),
        seen,
    ]
    slots[key] = dice.choice(
        [encode(items), encode(items[: dice.randint(0, 6)]), mark.encode(), encode([1, 2, mark])]
    )


def delete_slots(doc: pycrdt.Doc[Any], dice: random.Random, _: str) -> None:
    slots = doc.get("slots", type=pycrdt.Map)
    for key in list(slots):
        if dice.random() < 0.7:
            del slots[key]


def write_text(doc: pycrdt.Doc[Any], dice: random.Random, mark: str) -> None:
    text = doc.get(dice.choice(["body", "tasks/t1/notes", "elsewhere"]), type=pycrdt.Text)
    text.insert(0 if dice.random() < 0.5 else len(text), mark)


def delete_text(doc: pycrdt.Doc[Any], dice: random.Random, _: str) -> None:
    text = doc.get("body", type=pycrdt.Text)
    if len(text):
        del text[0 : len(text)]


def write_items(doc: pycrdt.Doc[Any], dice: random.Random, mark: str) -> None:
    items = doc.get("items", type=pycrdt.Array)
    items.append(dice.choice([mark, 5.5, encode(mark), {"x": mark}, None]))
    if len(items) > 1 and dice.random() < 0.5:
        del items[0]


def nest(doc: pycrdt.Doc[Any], dice: random.Random, mark: str) -> None:
    place: Any = doc.get("items", type=pycrdt.Array)
    for _ in range(dice.choice([3, 150, 250])):
        place.append(pycrdt.Array([]))
        place = place[len(place) - 1]
    place.append(mark)


def use_another_type(doc: pycrdt.Doc[Any], dice: random.Random, mark: str) -> None:
    """A root type of another kind than the document's class declares."""
    doc.get(dice.choice(["tasks/t2/notes", "name"]), type=pycrdt.Array).append(mark)


DEEDS: list[Deed] = [
    write_a_slot,
    delete_slots,
    write_text,
    delete_text,
    write_items,
    nest,
    use_another_type,
]


# How she sends it. Each makes entries that follow her log, of which the server may take some.


def tell(evil: Forger, update: bytes, dice: random.Random, held: dict[int, Head]) -> list[Entry]:
    """As an honest device would, but for what she says of time and of dependencies."""
    heads = [Dependency(r, *head) for r, head in held.items() if r != EVIL]
    known = tuple(dice.sample(heads, dice.randint(0, len(heads)))) if dice.random() < 0.3 else ()
    return [evil.write(update, dependencies=known, time=dice.choice([0, 1 << 40, 2**63]))]


def tell_several(
    evil: Forger, update: bytes, dice: random.Random, held: dict[int, Head]
) -> list[Entry]:
    return [evil.write(seal=dice.random() < 0.5), *tell(evil, update, dice, held)]


def tell_in_pieces(
    evil: Forger, update: bytes, dice: random.Random, held: dict[int, Head]
) -> list[Entry]:
    """The second half first; or only that."""
    del held
    return [evil.write(update[: dice.randint(0, len(update))]), evil.write(update)]


def tell_twice(
    evil: Forger, update: bytes, dice: random.Random, held: dict[int, Head]
) -> list[Entry]:
    """The same structs in two entries."""
    return [*tell(evil, update, dice, held), evil.write(update)]


def spoil(evil: Forger, update: bytes, dice: random.Random, held: dict[int, Head]) -> list[Entry]:
    """With any byte changed behind those that say whose it is."""
    del held
    at = dice.randrange(len(update))
    return [evil.write(update[:at] + dice.randbytes(1) + update[at + 1 :])]


def babble(evil: Forger, update: bytes, dice: random.Random, held: dict[int, Head]) -> list[Entry]:
    del held
    return [evil.write(update[:12] + dice.randbytes(dice.randint(0, 20)))]


WAYS = [tell, tell, tell, tell_several, tell_in_pieces, tell_twice, spoil, babble]


class Byzantine(RuleBasedStateMachine):
    """Three honest replicas, a server, and eve."""

    @initialize()
    def begin(self) -> None:
        self.scope = start_blocking_portal("asyncio")
        self.portal = self.scope.__enter__()
        self.portal.call(self._begin)
        self.running, (self.hub, self.tasks) = self.portal.start_task(self._serve)

    async def _begin(self) -> None:
        self.replicas = {user: Replica(user=user) for user in HONEST}
        self.boards = {user: one.document(Board, "b") for user, one in self.replicas.items()}
        self.evil = Forger(EVIL, "b", "eve")
        self.taken: list[Entry] = []
        self.backend = MemoryBackend()
        self.over = anyio.Event()

    async def _serve(self, *, task_status: TaskStatus[Any]) -> None:
        async with (
            Hub(self.backend, authenticator=Names(), policy=Policy()) as hub,
            anyio.create_task_group() as tasks,
        ):
            task_status.started((hub, tasks))
            await self.over.wait()
            tasks.cancel_scope.cancel()

    async def _stream(self) -> FrameStream:
        ours, theirs = memory_pair()
        self.tasks.start_soon(self.hub.serve, theirs)
        return ours

    @rule(user=st.sampled_from(HONEST), seed=seeds)
    def act(self, user: str, seed: int) -> None:
        self.portal.call(act, self.boards[user], random.Random(seed))

    @rule(user=st.sampled_from(HONEST))
    def sync(self, user: str) -> None:
        self.portal.call(self._sync, user)

    async def _sync(self, user: str) -> None:
        replica = self.replicas[user]
        async with connect(
            replica, self._stream, token=user, backoff=Backoff(0.01, 0.02)
        ) as connection:
            with anyio.fail_after(20):
                await connection.synced()

    @rule(one=st.sampled_from(HONEST), other=st.sampled_from(HONEST))
    def meet(self, one: str, other: str) -> None:
        if one != other:
            self.portal.call(self.replicas[one].merge, self.replicas[other])

    @rule(user=st.sampled_from(HONEST), snapshot=st.booleans())
    def open_again(self, user: str, snapshot: bool) -> None:
        live = self.boards[user]._live
        if snapshot:
            self.portal.call(live.take_snapshot)
        self.portal.call(live.load)

    @rule(
        deeds=st.lists(st.sampled_from(DEEDS), min_size=1, max_size=3),
        way=st.sampled_from(WAYS),
        forbidden=st.booleans(),
        early=st.booleans(),
        seed=seeds,
    )
    def attack(self, deeds: list[Deed], way: Any, forbidden: bool, early: bool, seed: int) -> None:
        self.portal.call(self._attack, deeds, way, forbidden, early, random.Random(seed))

    @rule(deeds=st.lists(st.sampled_from(DEEDS), min_size=2, max_size=2), seed=seeds)
    def equivocate(self, deeds: list[Deed], seed: int) -> None:
        """Two different entries of one number, through two connections at once."""
        self.portal.call(self._equivocate, deeds, random.Random(seed))

    async def _attack(
        self, deeds: list[Deed], way: Any, forbidden: bool, early: bool, dice: random.Random
    ) -> None:
        evil = self._eve(early=early)
        update = self._do(evil, deeds, dice, FORBIDDEN if forbidden else "EVIL")
        if not update:
            return
        held = (await self.backend.state("b")).heads
        if forbidden:
            entries = [evil.write(update, name="forbidden", arguments={"x": FORBIDDEN})]
        else:
            entries = way(evil, update, dice, held)
        if not early:
            dice.shuffle(entries)
        await self._send(entries)
        await self._look(entries)

    async def _equivocate(self, deeds: list[Deed], dice: random.Random) -> None:
        entries = []
        for deed in deeds:
            evil = self._eve(early=True)
            update = self._do(evil, [deed], dice, "EVIL")
            entries.append(evil.write(update or b"\x00\x00", name=str(deed)))
        async with anyio.create_task_group() as tasks:
            for entry in entries:
                tasks.start_soon(self._send, [entry])
        await self._look(entries)

    def _eve(self, *, early: bool) -> Forger:
        """Return eve as she may go on: from what the server took of her.

        Args:
            early: she knows what the honest have not sent yet.
        """
        evil = Forger(EVIL, "b", "eve")
        evil.key = self.evil.key
        if self.taken:
            evil.head = Head(self.taken[-1].seq, self.taken[-1].hash)
        known = [entry.update for entry in self.taken]
        for board in self.boards.values() if early else list(self.boards.values())[:1]:
            known += [
                entry.update for entry in board._live.journal.entries() if entry.replica != EVIL
            ]
        for update in known:
            try:
                evil.see(update)
            except BaseException as error:
                if not is_crdt_failure(error):
                    raise
        return evil

    def _do(self, evil: Forger, deeds: list[Deed], dice: random.Random, mark: str) -> bytes:
        updates: list[bytes] = []
        subscription = evil.doc.observe(lambda event: updates.append(event.update))
        for deed in deeds:
            try:
                deed(evil.doc, dice, mark)
            except BaseException as error:  # of what she made before
                if not is_crdt_failure(error) and not isinstance(error, TypeError):
                    raise
        evil.doc.unobserve(subscription)
        return pycrdt.merge_updates(*updates) if updates else b""

    async def _send(self, entries: list[Entry]) -> None:
        intruder = await Intruder.enter(await self._stream(), self.evil, token="eve")
        with anyio.fail_after(20):
            await intruder.answer(entries)
        await intruder.stream.aclose()

    async def _look(self, entries: list[Entry]) -> None:
        """See what the server has taken."""
        while True:
            data = await self.backend.entry("b", EVIL, len(self.taken) + 1)
            if data is None:
                return
            held = hash_of(data)
            self.taken.append(next(entry for entry in entries if entry.hash == held))

    @rule()
    def agree(self) -> None:
        """The honest are all one, and nobody lost anything."""
        for user in HONEST + HONEST:
            self.sync(user)
        self.portal.call(self._check)

    def _check(self) -> None:
        first, *others = self.boards.values()
        for other in others:
            assert other.state_vector == first.state_vector
            assert other._live.crdt_clocks == first._live.crdt_clocks
            assert other._live.without_effect == first._live.without_effect
            assert other.to_dict() == first.to_dict()
            assert other.conflicts() == first.conflicts()
        for user, board in self.boards.items():
            replica = self.replicas[user]
            shown = str((board.to_dict(), board.conflicts(), [e.arguments for e in board.log]))
            assert FORBIDDEN not in shown
            assert board.refusals() == []
            own = [entry for entry in board.log if entry.replica == replica.id]
            assert [entry.seq for entry in own] == list(range(1, len(own) + 1))
            assert board._live.journal.acknowledged == len(own)
            assert {problem.replica for problem in replica.verify()} <= {EVIL}

    def teardown(self) -> None:
        if hasattr(self, "portal"):
            try:
                self.agree()
            finally:
                self.portal.call(self._end)
                self.running.result()
                self.scope.__exit__(None, None, None)

    def _end(self) -> None:
        self.over.set()
        for replica in self.replicas.values():
            replica.close()


TestByzantine = Byzantine.TestCase
TestByzantine.settings = settings(
    max_examples=40,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
