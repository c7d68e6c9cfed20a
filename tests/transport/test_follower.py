"""The account of one document: what the server holds, what is on its way, what is proved."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdtsync.log import Cursor, Head
from crdtsync.replica.ledger import Received
from crdtsync.replica.stored import Missing
from crdtsync.transport.follower import MISFITS_MAX, Follower, numbers

OWN, OTHER = 7, 5
NOW = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
LATER = NOW + datetime.timedelta(minutes=1)


def heads(**seqs: int) -> dict[int, Head]:
    """Return heads: `own` and `other` are the replicas."""
    replicas = {"own": OWN, "other": OTHER}
    return {replicas[name]: Head(seq, bytes(32)) for name, seq in seqs.items() if seq}


class Logs:
    """A ledger as far as a follower looks at it."""

    def __init__(self, **seqs: int) -> None:
        self.heads = heads(**seqs)
        self.cursor: Cursor | None = None

    @property
    def vector(self) -> dict[int, int]:
        return numbers(self.heads)

    @property
    def ours(self) -> dict[int, int]:
        return {OWN: self.vector.get(OWN, 0)}

    @property
    def unacknowledged(self) -> int:
        raise NotImplementedError

    def hash_at(self, replica: int, seq: int, /) -> bytes | None:
        raise NotImplementedError

    def hold(self, **seqs: int) -> None:
        self.heads |= heads(**seqs)

    @property
    def resume(self) -> None:
        return None

    @property
    def is_stale(self) -> bool:
        return False

    def take_part(
        self, id_: bytes, position: int, total: int, data: bytes, cursor: Cursor, /
    ) -> bool:
        raise NotImplementedError

    def proved(self) -> None:
        pass

    def missing(self, theirs: object, bytes_max: int, /) -> list[Missing]:
        raise NotImplementedError

    def receive(
        self, datas: object, cursor: Cursor | None = None, /, *, prove: bool = False
    ) -> Received:
        raise NotImplementedError

    def parts(self, missing: object, most: int, /) -> list[list[Missing]]:
        raise NotImplementedError

    def forget_unproved(self) -> None:
        raise NotImplementedError

    def flush(self) -> None:
        raise NotImplementedError

    def refuse(self, replica: int, seq: int, reason: str, /) -> None:
        raise NotImplementedError

    def acknowledge(self, theirs: object, /) -> None:
        raise NotImplementedError


def live(logs: Logs, **theirs: int) -> Follower:
    follower = Follower(logs)
    follower.begin(heads(**theirs))
    return follower


def pushed(follower: Follower, first: int, last: int, replica: int = OWN) -> None:
    follower.pushed([Missing(replica, seq, b"") for seq in range(first, last + 1)])


# Counts.


def test_before_the_server_has_answered_nothing_is_known_of_it() -> None:
    follower = Follower(Logs(own=3))
    assert not follower.live
    assert (follower.unsent, follower.behind) == (3, 0)
    assert not follower.is_proved(1, {})


def test_entries_are_unsent_until_pushed_and_behind_until_held() -> None:
    logs = Logs(own=5, other=1)
    follower = live(logs, own=2, other=4)
    assert (follower.unsent, follower.behind) == (3, 3)
    pushed(follower, 3, 4)
    assert follower.unsent == 1
    logs.hold(other=3)
    assert follower.behind == 1


def test_what_a_server_claims_beyond_what_we_wrote_is_not_below_zero() -> None:
    follower = live(Logs(own=1), own=4)
    assert (follower.unsent, follower.behind) == (0, 3)


def test_learning_never_forgets() -> None:
    follower = live(Logs(own=3), own=3, other=1)
    follower.learn({OTHER: 2})
    follower.learn({OTHER: 1, OWN: 1})
    assert follower.theirs == {OWN: 3, OTHER: 2}


# Pushes that do not fit.


def test_a_misfit_goes_on_from_the_servers_heads() -> None:
    follower = live(Logs(own=5), own=3)
    pushed(follower, 4, 5)
    follower.misfit(11)
    assert follower.barrier == 11
    assert follower.barrier_passed(heads(own=1))
    assert follower.barrier is None
    assert follower.sent == {OWN: 1}
    assert follower.unsent == 4


def test_misfits_wait_when_nothing_gets_better_until_the_server_has_moved() -> None:
    follower = live(Logs(own=5))
    assert not follower.moved()
    for _ in range(2):
        assert [follower.barrier_passed(heads(own=1)) for _ in range(MISFITS_MAX)] == (
            [True] * (MISFITS_MAX - 1) + [False]
        )
        assert follower.stuck
        assert follower.moved()
        assert not follower.stuck


def test_misfits_that_get_somewhere_do_not_wait() -> None:
    follower = live(Logs(own=50))
    for seq in range(1, 20):
        assert follower.barrier_passed(heads(own=seq))


# Proof.


def test_a_proof_is_of_a_check_that_began_after_it_was_asked_for() -> None:
    logs = Logs(own=1)
    follower = live(logs, own=1)
    first = follower.ask()
    assert follower.may_check
    follower.asked()
    assert not follower.may_check
    second = follower.ask()
    assert second == first + 1
    assert not follower.may_check  # one at a time
    follower.answered(heads(own=1), NOW)
    assert follower.is_proved(first, {OWN: 1})
    assert not follower.is_proved(second, {OWN: 1})
    assert follower.may_check
    assert follower.proved_at == NOW


def test_those_who_ask_before_a_check_is_sent_share_it() -> None:
    follower = live(Logs())
    assert follower.ask() == follower.ask() == 1


def test_an_answer_proves_once_all_of_it_is_here() -> None:
    logs = Logs(own=1)
    follower = live(logs, own=1)
    number = follower.ask()
    follower.asked()
    follower.answered(heads(own=1, other=3), NOW)
    assert follower.behind == 3
    for seq in (1, 2, 3):
        assert not follower.is_proved(number, {OWN: 1})
        logs.hold(other=seq)
        follower.progressed(LATER)
    assert follower.is_proved(number, {OWN: 1})
    assert follower.proved_at == LATER


def test_equality_is_proved_when_ours_have_arrived_as_well() -> None:
    logs = Logs(own=2)
    follower = live(logs)
    number = follower.ask()
    follower.asked()
    follower.answered({}, NOW)  # all theirs is here; ours was on its way
    assert follower.proved_at is None
    assert not follower.is_proved(number, {OWN: 2})
    follower.receipt(OWN, 1)
    assert not follower.may_check
    follower.receipt(OWN, 2)
    assert follower.is_proved(number, {OWN: 2})
    assert follower.may_check  # one more question tells when both held the same
    follower.asked()
    follower.answered(heads(own=2), LATER)
    assert follower.proved_at == LATER


def test_a_check_is_asked_again_when_the_document_begins_anew() -> None:
    follower = live(Logs())
    number = follower.ask()
    follower.asked()
    follower.begin({})
    assert follower.may_check
    assert not follower.is_proved(number, {OWN: 0})
    follower.asked()
    follower.answered({}, NOW)
    assert follower.is_proved(number, {OWN: 0})


def test_completion_proves_what_is_here_and_shows_holes() -> None:
    logs = Logs(own=1, other=2)
    follower = live(logs, own=1, other=2)
    assert follower.completed(heads(own=1, other=2), NOW)
    assert follower.proved_at == NOW
    assert not follower.completed(heads(own=1, other=3), LATER)
    assert follower.proved_at == NOW


@pytest.mark.parametrize("theirs", [{}, {"other": 1}])
def test_completion_proves_nothing_while_ours_are_on_their_way(theirs: dict[str, int]) -> None:
    follower = live(Logs(own=1, other=1), **theirs)
    assert follower.completed(heads(**theirs), NOW)
    assert follower.proved_at is None


class Model:
    """A follower, and a server that really holds `there` and answers a check once."""

    def __init__(self) -> None:
        self.logs = Logs()
        self.follower = live(self.logs)
        self.there = {OWN: 0, OTHER: 0}
        self.held_at_check: list[int] = []  # of the other's entries, by the server
        self.answerable = False

    def write(self, number: int) -> None:
        self.logs.hold(own=self.follower.ledger.ours[OWN] + number)

    def push(self, number: int) -> None:
        own, unsent = self.follower.ledger.ours[OWN], self.follower.unsent
        pushed(self.follower, own - unsent + 1, own)

    def receipt(self, number: int) -> None:
        on_its_way = self.follower.sent.get(OWN, 0)
        self.there[OWN] = min(on_its_way, self.there[OWN] + number)
        if self.there[OWN]:
            self.follower.receipt(OWN, self.there[OWN])

    def others_push(self, number: int) -> None:
        self.there[OTHER] += number

    def hold(self, number: int) -> None:
        held = self.logs.vector.get(OTHER, 0)
        self.logs.hold(other=min(self.there[OTHER], held + number))
        self.follower.learn({OTHER: self.logs.vector.get(OTHER, 0)})
        self.follower.progressed(NOW)

    def ask(self, number: int) -> None:
        self.follower.ask()

    def check(self, number: int) -> None:
        if self.follower.may_check:
            self.follower.asked()
            self.held_at_check.append(self.there[OTHER])
            self.answerable = True

    def answer(self, number: int) -> None:
        if self.answerable:
            self.answerable = False
            self.follower.answered(heads(own=self.there[OWN], other=self.there[OTHER]), NOW)


ACTS = ["write", "push", "receipt", "others_push", "hold", "ask", "check", "answer"]


@given(st.lists(st.tuples(st.sampled_from(ACTS), st.integers(1, 6)), max_size=40))
def test_proofs_and_counts_never_claim_too_much(acts: list[tuple[str, int]]) -> None:
    """What is proved: all that the server held when the check was sent is here, and ours there."""
    model = Model()
    follower = model.follower
    for act, number in acts:
        getattr(model, act)(number)
        assert 0 <= follower.unsent <= follower.ledger.ours[OWN]
        assert follower.behind <= model.there[OTHER]
        for check, held in enumerate(model.held_at_check, 1):
            if follower.is_proved(check, follower.ledger.ours):
                assert model.logs.vector.get(OTHER, 0) >= held
                assert model.there[OWN] >= follower.ledger.ours[OWN]
