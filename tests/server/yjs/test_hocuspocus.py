"""The Hocuspocus dialect: addresses, tokens, scopes, and what is told to be stored."""

from __future__ import annotations

import anyio
import pytest

from crdtsync.errors import AuthenticationError
from crdtsync.server import MemoryBackend
from crdtsync.server.access import Level, PatternPolicy, Rule
from crdtsync.server.authentication import Identity
from crdtsync.server.yjs import YjsLimits, messages
from crdtsync.server.yjs.hocuspocus import HocuspocusDoor
from crdtsync.update.encoding import encoded
from tests.server.yjs.harness import doors_of, until

pytestmark = pytest.mark.anyio


class Tokens:
    """A token is the user's name; `late` has expired by the time it is looked at."""

    requires_loopback = False

    def __init__(self) -> None:
        self.expires = None

    async def authenticate(self, token, *, user):
        if not token:
            raise AuthenticationError("a token is needed")
        return Identity(token, expires=self.expires)


class Slow(MemoryBackend):
    """Stores when it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may = anyio.Event()

    async def append(self, document, entries):
        await self.may.wait()
        return await super().append(document, entries)


async def test_a_change_is_told_to_be_stored_when_it_is():
    backend = Slow()
    async with doors_of(backend) as served:
        ann = served.hocuspocus()
        await until(lambda: ann.synced and ann.statuses == [True])  # the answer to step 1
        ann.text.insert(0, "a")
        ann.text.insert(1, "b")
        bob = served.hocuspocus()
        await until(lambda: bob.synced)
        assert str(bob.text) == ""
        assert ann.statuses == [True]
        backend.may.set()
        await until(lambda: ann.statuses == [True] * 3)
        await until(lambda: str(bob.text) == "ab")


async def test_scopes_tell_who_may_write():
    policy = PatternPolicy(
        [Rule(Level.READ, ("**",), everybody=True), Rule(Level.WRITE, ("**",), frozenset({"ann"}))]
    )
    async with doors_of(authenticator=Tokens(), policy=policy) as served:
        ann, bob = served.hocuspocus(token="ann"), served.hocuspocus(token="bob")
        await until(lambda: ann.synced and bob.synced)
        assert (ann.scopes, bob.scopes) == (["read-write"], ["readonly"])
        await until(lambda: bob.statuses == [True])  # it adds nothing
        bob.text.insert(0, "no")
        await until(lambda: bob.statuses == [True, False])
        ann.text.insert(0, "yes")
        await until(lambda: "yes" in str(bob.text))
        assert str(ann.text) == "yes"
        bob.put(messages.stateless("let me in"))
        ann.put(messages.stateless("hello"))
        await until(lambda: bob.stateless == ["hello"])
        assert ann.stateless == []


async def test_a_document_is_refused_by_itself():
    policy = PatternPolicy([Rule(Level.WRITE, ("{user}/**",), everybody=True)])
    async with doors_of(authenticator=Tokens(), policy=policy) as served:
        ann = served.hocuspocus("bob/diary", token="ann")
        await until(lambda: ann.refusals == ["no rule lets you read this document"])
        assert ann.end.closed is None
        nobody = served.hocuspocus("ann/diary")
        await until(lambda: nobody.refusals == ["a token is needed"])
        ann.address, ann.token = "ann/diary", "ann"
        ann.open()
        await until(lambda: ann.synced)


async def test_the_address_is_echoed_with_its_session():
    async with doors_of() as served:
        one, other = served.hocuspocus("board\0one"), served.hocuspocus("board\0other")
        plain = served.y("board")
        await until(lambda: one.synced and other.synced and plain.synced)
        one.text.insert(0, "x")
        await until(lambda: str(other.text) == "x" == str(plain.text))


async def test_a_foreign_change_refuses_the_document():
    async with doors_of() as served:
        ann = served.hocuspocus(user="ann")
        ann.text.insert(0, "mine")
        bob = served.hocuspocus(user="bob")
        await until(lambda: str(bob.text) == "mine")
        bob.put(messages.update(b"\x01\x01\xe9\x07\x63\x04\x01\x04text\x01x\x00"))
        bob.put(messages.update(ann.doc.get_update()))
        forged = b"\x01\x01\xe9\x07\x04\x84\xe9\x07\x03\x01x\x00"
        bob.put(messages.update(forged))
        await until(lambda: bob.refusals)
        assert "somebody else's" in bob.refusals[0]
        assert bob.end.closed is None
        assert str(ann.text) == "mine"


async def test_an_expired_token_is_asked_for_anew():
    tokens = Tokens()
    limits = YjsLimits(renewal_timeout_s=0.05, keep_alive_s=0.05)
    async with doors_of(limits=limits, authenticator=tokens) as served:
        ann, bob = served.hocuspocus(token="ann"), served.hocuspocus(token="bob")
        await until(lambda: ann.synced and bob.synced)
        for opened in served.doors._served:
            assert isinstance(opened, HocuspocusDoor)
            (each,) = opened._opened.values()
            each.member.identity = Identity(each.member.identity.user, expires=1.0)
        await until(lambda: ann.asked)
        ann.put(encoded(2, 0, "ann"))
        await until(lambda: bob.refusals == ["the token has expired"])
        assert ann.refusals == []
        await until(lambda: len(ann.scopes) == 2)


async def test_a_fresh_token_that_shows_less_ends_the_document():
    policy = PatternPolicy([Rule(Level.WRITE, ("**",), frozenset({"ann"}))])
    async with doors_of(authenticator=Tokens(), policy=policy) as served:
        ann = served.hocuspocus(token="ann")
        await until(lambda: ann.synced)
        policy.rules = ()
        ann.put(encoded(2, 0, "ann"))
        await until(lambda: ann.refusals == ["no rule lets you read this document"])
        await until(lambda: len(served.doors.rooms) == 0)


async def test_pings_are_answered():
    async with doors_of() as served:
        ann = served.hocuspocus()
        await until(lambda: ann.synced)
        ann.raw(messages.PING)
        await until(lambda: ann.pongs == 1)


async def test_a_document_can_be_left_and_opened_again():
    async with doors_of() as served:
        ann = served.hocuspocus()
        await until(lambda: ann.synced)
        ann.put(b"\x07")
        await until(lambda: len(served.doors.rooms) == 0)
        ann.synced = False
        ann.open()
        await until(lambda: ann.synced)


async def test_what_comes_before_a_token_is_bounded():
    async with doors_of(limits=YjsLimits(unauthenticated_messages_max=10)) as served:
        eve = served.hocuspocus(opened=False)
        for _ in range(20):
            eve.put(messages.step_one(b"\0"))
        await until(lambda: eve.end.closed)
        assert eve.end.code == 4400


async def test_who_shows_no_token_is_closed():
    async with doors_of(limits=YjsLimits(silence_timeout_s=0.05)) as served:
        eve = served.hocuspocus(opened=False)
        await until(lambda: eve.end.closed)
        assert eve.end.code == 4401
