"""Sealing a batch, and checking its seal: floor = canonical CBOR + SHA-256 of its entries."""

from __future__ import annotations

import hashlib
from typing import Any

import cbor2
import pytest

from crdtsync.keys import DeviceKey
from crdtsync.log import Head
from crdtsync.seal import check_seal, make_seal
from tests.benchmarks.ratio import measure

REPLICA = 2**52
UPDATE = bytes(60)


def write(count: int) -> Head:
    """Encode and hash as many entries, chained, as their author does."""
    hash_ = bytes(32)
    for seq in range(1, count + 1):
        fields = [1, "board/1", REPLICA, seq, hash_, [], 1 << 60, 1, "set", {"path": "n"}]
        data = cbor2.dumps([*fields, UPDATE, {}], canonical=True)
        hash_ = hashlib.sha256(data).digest()
    return Head(count, hash_)


@pytest.mark.parametrize("count", [1, 10, 100, 1000])
@pytest.mark.parametrize("act", ["sealed", "checked"])
def test_seal(benchmark: Any, act: str, count: int) -> None:
    key = DeviceKey.generate()
    seal = make_seal(key, "board/1", REPLICA, write(count))
    batches = max(1, 200 // count)

    def floor() -> None:
        for _ in range(batches):
            write(count)

    def ours() -> None:
        for _ in range(batches):
            head = write(count)
            if act == "sealed":
                make_seal(key, "board/1", REPLICA, head)
            else:
                assert check_seal(key.public, "board/1", REPLICA, head, seal)

    measure(
        benchmark,
        f"a batch of {count:,} entries, {act}",
        ours=ours,
        floor=floor,
        operations=batches * count,
        rounds=30,
        goal="≤ 1.5 times CBOR + SHA-256" if count >= 100 else "",
    )
