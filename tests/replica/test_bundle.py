"""Bundles: what was exported is imported, and nothing else, whatever happens to the file."""

from __future__ import annotations

import io
import os
import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crdtsync import Document, Replica
from crdtsync.errors import BundleError, LimitError, SealError, StorageError
from crdtsync.log import decode_entry, make_entry, with_seal
from crdtsync.refusal import refuse
from crdtsync.replica.bundle.records import MAGIC, Contents, End, Header, Part, RecordWriter
from crdtsync.seal import make_seal
from crdtsync.storage import open_file
from crdtsync.testing import histories
from tests.document.boards import Board
from tests.replica.bundles import bundle_of, golden_fleet, records_of, written
from tests.replica.histories import act

GOLDEN = Path(__file__).parent / "golden.bundle"


@pytest.fixture(scope="module")
def golden() -> bytes:
    return GOLDEN.read_bytes()


def contents(replica: Replica, name: str) -> Any:
    """Return all that an import must bring about."""
    ledger = replica.ledger(name)
    hashes = sorted((entry.replica, entry.seq, entry.hash) for entry in ledger.entries())
    return replica.document(Document, name).to_dict(), ledger.vector, hashes, ledger.users


# --- what is exported is imported -----------------------------------------------------------------


@given(history=histories(Board, replicas=2), diverged=st.integers(0, 3))
@settings(max_examples=60)
def test_any_history_is_the_same_in_an_empty_replica_and_merges_in_another(
    history: Any, diverged: int
) -> None:
    with history.play() as fleet:
        fleet.heal()
        bundle = bundle_of(fleet.replicas[0])
        with Replica(user="new") as new:
            imported = new.import_(bundle)
            assert imported.missing == {}
            assert imported.new == imported.entries == len(fleet[0].log)
            assert contents(new, "document") == contents(fleet.replicas[0], "document")
            assert new.document(Board, "document").conflicts() == fleet[0].conflicts()
            assert new.verify() == []
            assert new.import_(bundle).new == 0
            assert bundle_of(fleet.replicas[0]) == bundle
        for number in range(diverged):
            fleet[1].name = f"later {number}"
        fleet.replicas[1].import_(bundle)
        before = fleet[1].to_dict()
        fleet.replicas[1].merge(fleet.replicas[0])
        assert fleet[1].to_dict() == before == fleet[0].to_dict()


def test_the_whole_replica_and_one_document() -> None:
    with Replica(user="ann") as ann, Replica() as whole, Replica() as one:
        for name in ("a", "b", "empty"):
            ann.document(Board, name)
        ann.document(Board, "a").name = "first"
        ann.document(Board, "b").name = "second"
        exported = ann.export(None, io.BytesIO())
        assert (exported.documents, exported.entries) == (3, 2)
        whole.import_(bundle_of(ann))
        assert whole.names() == ["a", "b", "empty"]
        one.import_(bundle_of(ann, "b"))
        assert one.names() == ["b"]
        assert one.document(Board, "b").name == "second"


def test_a_replica_made_from_its_own_bundle_is_another_one_that_knows_it_all(
    tmp_path: Path,
) -> None:
    with Replica(tmp_path / "old.db", user="ann") as old:
        board = old.document(Board, "board")
        board.name = "before"
        old.export(None, tmp_path / "backup")
        board.name = "after"
        with Replica(tmp_path / "new.db", user="ann") as new:
            new.import_(tmp_path / "backup")
            assert new.id != old.id
            assert new.key is not None
            assert old.key is not None
            assert new.key.public != old.key.public
            restored = new.document(Board, "board")
            assert restored.name == "before"
            assert restored.state_vector == {old.id: 1}
            restored.body.append("goes on")
            new.merge(old)
            assert restored.to_dict() == board.to_dict()
            assert (restored.name, str(restored.body)) == ("after", "goes on")


def test_a_store_gets_back_what_it_lost_of_its_own_log(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with Replica(path) as replica:
        replica.document(Board, "board").name = "first"
    older = path.read_bytes()
    with Replica(path) as replica:
        replica.document(Board, "board").name = "second"
        bundle = bundle_of(replica)
    path.write_bytes(older)
    with Replica(path) as replica:
        assert replica.import_(bundle).new == 1
        board = replica.document(Board, "board")
        assert board.name == "second"
        board.name = "third"
        assert board.state_vector == {replica.id: 3}
        assert replica.verify() == []


def test_no_private_key_and_nothing_refused_leaves(tmp_path: Path) -> None:
    with Replica(tmp_path / "a.db", user="ann") as replica, Replica() as other:
        board = replica.document(Board, "board")
        board.name = "SECRET"
        board.body.append("kept")
        replica.ledger("board").refuse(replica.id, 1, "not allowed")
        bundle = bundle_of(replica)
        assert replica.key is not None
        assert replica.key.private_bytes not in bundle
        assert b"SECRET" not in bundle
        assert b"SECRET" in (tmp_path / "a.db-wal").read_bytes()
        other.import_(bundle)
        found = other.document(Board, "board")
        assert (found.name, str(found.body)) == ("Untitled", "kept")
        assert [entry.refusal for entry in found.log] == ["not allowed", None]
        assert found.refusals() == []


def test_a_refusal_that_came_later_is_imported_over_what_was_there() -> None:
    with Replica(user="ann") as ann, Replica() as bob:
        ann.document(Board, "board").name = "too long"
        bob.import_(bundle_of(ann))
        ann.ledger("board").refuse(ann.id, 1, "no")
        assert bob.document(Board, "board").name == "too long"
        bob.import_(bundle_of(ann))
        assert bob.document(Board, "board").name == "Untitled"


def test_what_the_class_was_goes_along_and_is_no_more_than_a_word() -> None:
    with Replica() as ann, Replica() as bob:
        ann.document(Board, "board").name = "party"
        bundle = bundle_of(ann)
        bob.import_(bundle)
        assert bob.document(Document, "board").to_dict() == ann.document(Board, "board").to_dict()
        header, told, *rest = records_of(bundle)
        assert isinstance(told, Contents)
        for description in (None, 5, [], "x", [{"name": "log"}], [{**told.description[0]}] * 2):
            with Replica() as carol:
                carol.import_(written(header, told._replace(description=description), *rest))
                assert carol.document(Board, "board").name == "party"


@pytest.mark.parametrize("change", [{"name": "log"}, {"name": "_live"}, {"kind": "what"}])
def test_a_description_that_would_break_the_reader_is_not_kept(change: dict[str, Any]) -> None:
    with Replica() as ann, Replica() as bob:
        ann.document(Board, "board").name = "party"
        header, told, *rest = records_of(bundle_of(ann))
        assert isinstance(told, Contents)
        description = [{**told.description[0], **change}, *told.description[1:]]
        bob.import_(written(header, told._replace(description=description), *rest))
        assert bob._descriptions.of(bob.ledger("board")) is None


# --- the bytes ------------------------------------------------------------------------------------


def test_the_golden_bundle(golden: bytes) -> None:
    with golden_fleet() as fleet:
        assert bundle_of(fleet.replicas[0]) == golden


def test_it_is_the_same_from_a_store_that_is_only_looked_at(golden: bytes) -> None:
    with golden_fleet() as fleet, Replica.open_read_only(fleet.replicas[0].path) as looking:
        assert bundle_of(looking) == golden
        assert fleet.replicas[0].ledger("document").missing({}, 10**9)


def test_a_bundle_cut_off_anywhere_says_what_is_missing_and_the_whole_goes_on_from_there(
    golden: bytes,
) -> None:
    total = sum(len(r.entries) for r in records_of(golden) if isinstance(r, Part))
    for length in range(len(golden)):
        with Replica() as replica:
            with pytest.raises(BundleError) as failed:
                replica.import_(golden[:length])
            if length < len(MAGIC):
                assert failed.value.imported.documents == 0
                assert replica.names() == []
                continue
            assert "cut off" in str(failed.value)
            assert failed.value.position is not None
            imported = failed.value.imported
            if imported.documents:
                [missing] = imported.missing.values() or [{}]
                lacking = sum(last - first + 1 for first, last in missing.values())
                assert imported.new + lacking == total
            assert replica.import_(golden).new == total - imported.new


def test_no_flipped_byte_is_taken_for_something_else(golden: bytes) -> None:
    dice = random.Random(3)
    with Replica() as whole:
        whole.import_(golden)
        expected = {(e.replica, e.seq): e.hash for e in whole.ledger("document").entries()}
    for at in range(len(golden)):
        flipped = bytearray(golden)
        flipped[at] ^= dice.randrange(1, 256)
        with Replica() as replica:
            with pytest.raises(BundleError) as failed:
                replica.import_(bytes(flipped))
            position = failed.value.position
            assert position is None or position <= at
            for name in replica.names():
                assert name == "document"
                for entry in replica.ledger(name).entries():
                    assert expected[entry.replica, entry.seq] == entry.hash


def test_what_stands_behind_the_end_is_said(golden: bytes) -> None:
    with Replica() as replica, pytest.raises(BundleError, match="behind its end"):
        replica.import_(golden + b"\0")


@given(data=st.binary(max_size=200), bundled=st.booleans())
def test_noise_is_no_bundle(data: bytes, bundled: bool) -> None:
    with Replica() as replica, pytest.raises(BundleError):
        replica.import_(MAGIC + data if bundled else data)


# --- whoever makes a bundle on purpose ------------------------------------------------------------


def forged(golden: bytes, at: int, change: Any) -> bytes:
    """Return a bundle with one entry changed, and digests that fit."""
    *before, part, end = records_of(golden)
    assert isinstance(part, Part)
    entries = list(part.entries)
    entries[at] = change(entries[at])
    return written(*before, part._replace(entries=entries), end)


def test_a_forged_entry_is_refused_with_what_and_where(golden: bytes) -> None:
    def forge(data: bytes) -> bytes:
        assert b"party" in data
        return data.replace(b"party", b"fires")

    with Replica() as replica:
        with pytest.raises(BundleError, match=r"entry \d+ of replica \w+ in document 'document'"):
            replica.import_(forged(golden, 0, forge))
        assert replica.document(Board, "document").name == "Untitled"


def test_an_entry_without_its_authors_seal_waits_and_is_missing() -> None:
    with Replica(user="ann") as ann, Replica() as bob:
        ann.document(Board, "board").name = "x"
        *before, part, end = records_of(bundle_of(ann))
        assert isinstance(part, Part)
        sealed = part.entries[0]
        bare = sealed[1:-66]  # without the array around it and the seal
        assert decode_entry(bare).hash == decode_entry(sealed).hash
        imported = bob.import_(written(*before, part._replace(entries=[bare]), end))
        assert imported.new == 0
        assert imported.missing == {"board": {ann.id: (1, 1)}}


def test_a_log_in_somebody_elses_name_is_refused() -> None:
    with Replica(user="ann") as ann, Replica(user="eve") as eve, Replica() as bob:
        ann.document(Board, "board").name = "ann's"
        bob.import_(bundle_of(ann))
        head = ann.ledger("board").heads[ann.id]
        fake = make_entry("board", ann.id, head, 10**15, "name", b"\0\0")
        assert eve.key is not None
        sealed = with_seal(fake, make_seal(eve.key, "board", ann.id, fake))
        *before, part, _ = records_of(bundle_of(ann))
        more = Part(0, [sealed.data])
        with pytest.raises(BundleError, match="its seal is false") as failed:
            bob.import_(written(*before, part, more, End(2)))
        assert isinstance(failed.value.__cause__, SealError)
        assert bob.ledger("board").vector == {ann.id: 1}


def test_one_bad_document_does_not_spoil_the_others() -> None:
    with Replica() as ann, Replica() as bob:
        for name in ("a", "b", "c"):
            ann.document(Board, name).name = name
        records = records_of(bundle_of(ann))
        spoiled = [
            record._replace(entries=[b"\x00"]) if isinstance(record, Part) and not record.document
            else record
            for record in records
        ]  # fmt: skip
        with pytest.raises(BundleError, match="not all of it") as failed:
            bob.import_(written(*spoiled))
        assert failed.value.imported.new == 2
        assert list(failed.value.imported.missing) == ["a"]
        assert bob.document(Board, "c").name == "c"


@pytest.mark.parametrize(
    "records",
    [
        [End(0)],
        [Header(5, 1, 0), End(0)],
        [Header(5, 0, 0), Header(5, 0, 0), End(0)],
        [Header(5, 0, 0), Part(0, []), End(0)],
        [Header(5, 1, 0), Contents("", {}, None), End(0)],
        [Header(5, 1, 0), Contents("x" * 600, {}, None), End(0)],
        [Header(5, 2, 0), Contents("a", {}, None), Contents("a", {}, None), End(0)],
        [Header(5, 1, 0), Contents("a", {}, None), Part(-1, []), End(0)],
        [Header(5, 2, 0), Contents("a", {}, None), Part(0, []), Contents("b", {}, None), End(0)],
        [Header(5, 0, 3), End(3)],
    ],
    ids=str,
)
def test_records_that_do_not_belong_where_they_stand(records: list[Any]) -> None:
    with Replica() as replica, pytest.raises(BundleError):
        replica.import_(written(*records))


def test_a_length_that_is_too_large_is_not_read() -> None:
    endless = io.BytesIO(MAGIC + b"\xff\xff\xff\xff" + bytes(100))
    with Replica() as replica, pytest.raises(BundleError, match="damaged"):
        replica.import_(endless)
    assert endless.tell() < 100


def test_a_record_that_no_reader_takes_is_not_written() -> None:
    with pytest.raises(LimitError, match="RECORD_BYTES_MAX"):
        RecordWriter(io.BytesIO()).write(Part(0, [bytes(5_000_000)]))


# --- files, pipes, faults -------------------------------------------------------------------------


def test_a_failed_export_leaves_the_bundle_that_was_there(tmp_path: Path) -> None:
    target = tmp_path / "backup"
    with Replica() as replica:
        replica.document(Board, "board").name = "x"
        replica.export(None, target)
        before = target.read_bytes()

        def fail(_done: int, _total: int) -> None:
            raise KeyboardInterrupt

        replica.document(Board, "board").name = "y"
        with pytest.raises(KeyboardInterrupt):
            replica.export(None, target, progress=fail)
        assert target.read_bytes() == before
        assert os.listdir(tmp_path) == ["backup"]
        with pytest.raises(StorageError, match="cannot be written"):
            replica.export(None, tmp_path / "none" / "backup")
        with pytest.raises(StorageError, match="cannot be opened"):
            replica.import_(tmp_path / "none")
        with pytest.raises(LookupError, match="no document 'c'"):
            replica.export("c", target)


def test_through_a_pipe_with_progress() -> None:
    with Replica() as ann, Replica() as bob:
        board = ann.document(Board, "board")
        for number in range(3000):
            board.name = f"{number}" * 30
        read, write = os.pipe()
        told: list[tuple[int, int]] = []
        bundle = bundle_of(ann)

        def pour() -> None:
            with os.fdopen(write, "wb", buffering=0) as target:
                for at in range(0, len(bundle), 777):
                    target.write(bundle[at : at + 777])

        thread = threading.Thread(target=pour)
        thread.start()
        with os.fdopen(read, "rb", buffering=0) as source:
            imported = bob.import_(source, progress=lambda *done: told.append(done))
        thread.join()
        assert imported.new == 3000
        assert told[-1] == (3000, 3000)
        assert len(told) > 2


def test_a_damaged_store_is_exported_as_far_as_it_is_sound(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with Replica(path) as replica:
        old = replica.id
        for number in range(5):
            replica.document(Board, "board").name = f"{number}"
    file = open_file(path, "replica", "")
    file.connection.execute("UPDATE entries SET data = x'00' WHERE position = 3")
    file.close()
    for opened in (Replica.open_read_only(path), Replica(path)):
        with opened as replica, Replica() as other:
            target = io.BytesIO()
            exported = replica.export(None, target)
            assert exported.entries == 2
            assert [error.seq for error in exported.damage] == [3, 4, 5]
            imported = other.import_(target.getvalue())
            assert imported.new == 2
            assert imported.missing in ({}, {"board": {old: (3, 5)}})


LARGE = """
import sys
from pathlib import Path
from crdtsync import Replica

source, bundle, target = sys.argv[1:]
with Replica(source) as old:
    old.export(None, bundle)
with Replica(target) as new:
    print(new.import_(bundle).new)
print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux for the peak")
def test_a_large_log_is_streamed(tmp_path: Path) -> None:
    peaks = []
    for count in (20_000, 100_000):
        path = tmp_path / f"{count}.db"
        with Replica(path) as replica:
            board = replica.document(Board, "board")
            for number in range(count):
                board.data = number
        done = subprocess.run(
            [sys.executable, "-c", LARGE, path, tmp_path / "bundle", tmp_path / f"n{count}.db"],
            capture_output=True,
            text=True,
            check=True,
        )
        new, peak_kib = map(int, done.stdout.split())
        assert new == count
        peaks.append(peak_kib)
    assert (tmp_path / "bundle").stat().st_size > 16_000_000
    assert peaks[1] - peaks[0] < 4096


def test_a_history_of_several_authors_step_by_step() -> None:
    dice = random.Random(8)
    group = [Replica(user=f"u{number}") for number in range(3)]
    boards = [replica.document(Board, "board") for replica in group]
    for _ in range(60):
        act(dice.choice(boards), dice)
        source, target = dice.sample(group, 2)
        target.import_(bundle_of(source))
    for source in group:
        for target in group:
            target.import_(bundle_of(source))
    assert boards[0].to_dict() == boards[1].to_dict() == boards[2].to_dict()
    for replica in group:
        assert replica.verify() == []
        replica.close()


def test_a_refused_entry_is_bundled_in_its_neutral_form(golden: bytes) -> None:
    entries = [d for r in records_of(golden) if isinstance(r, Part) for d in r.entries]
    refused = refuse(decode_entry(entries[0]), "no")
    with Replica() as replica:
        replica.import_(forged(golden, 0, lambda _: refused.data))
        assert replica.document(Board, "document").name == "Untitled"


def test_what_was_done_under_a_former_id_goes_along_sealed_by_its_key(tmp_path: Path) -> None:
    with Replica(tmp_path / "a.db", user="ann") as ann, Replica() as other:
        board = ann.document(Board, "board")
        board.name = "before"
        former = ann.id
        ann.rotate()
        board.name = "after"
        bundle = bundle_of(ann)
        imported = other.import_(bundle)
        assert (imported.new, imported.missing) == (2, {})
        assert other.document(Board, "board").to_dict() == board.to_dict()
        assert other.document(Board, "board").state_vector == {former: 1, ann.id: 1}
        ends = [
            decode_entry(data)
            for part in records_of(bundle)
            if isinstance(part, Part)
            for data in part.entries
        ]
        assert all(entry.seal is not None for entry in ends)
        for key in ann._store.keys.values():
            assert key is not None
            assert key.private_bytes not in bundle


def test_a_bundle_of_what_was_written_anew_since_does_nothing_twice(tmp_path: Path) -> None:
    with Replica(tmp_path / "a.db", user="ann") as ann:
        board = ann.document(Board, "board")
        board.total.increment(1)
        board.total.increment(10)
        bundle, former = bundle_of(ann), ann.id
        ann.mend("board", former, 1)
        assert board.total == 11
        imported = ann.import_(bundle)
        assert (imported.new, imported.missing) == (0, {})
        assert board.total == 11
        with Replica() as other:
            other.import_(bundle_of(ann))
            assert other.document(Board, "board").total == 11
