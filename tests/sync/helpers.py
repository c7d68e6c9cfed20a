"""Frames for tests: a strategy for each kind, and two protocols back to back."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from hypothesis import strategies as st

from crdtsync.clone import Resume
from crdtsync.log import Cursor, Head
from crdtsync.sync import ClientProtocol, ServerProtocol, WireLimits, frames
from crdtsync.sync.awareness import Sighting
from crdtsync.sync.fields import DOCUMENT_LENGTH_MAX, NUMBER_MAX
from crdtsync.sync.frames import Frame

CLIENT = bytes(range(16))
EPOCH = bytes(range(16, 32))

numbers = st.integers(0, NUMBER_MAX)
positives = st.integers(1, NUMBER_MAX)
replicas = st.integers(1, 2**53 - 1)
texts = st.text(max_size=40)
documents = st.text(min_size=1, max_size=40) | st.just("é" * DOCUMENT_LENGTH_MAX)
blobs = st.binary(max_size=80)
entry_lists = st.lists(st.binary(max_size=80), max_size=8).map(tuple)
heads_maps = st.dictionaries(
    replicas,
    st.builds(Head, st.integers(1, 2**53), st.binary(min_size=32, max_size=32)),
    max_size=5,
)
cursors = st.builds(Cursor, st.binary(min_size=16, max_size=16), numbers)

clone_ids = st.binary(min_size=32, max_size=32)

shown = st.none() | st.dictionaries(st.text('ab"é'), numbers, max_size=3).map(json.dumps)

_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "versions": st.lists(numbers, min_size=1, max_size=4).map(tuple),
    "client": st.binary(min_size=16, max_size=16),
    "replica": replicas,
    "user": st.none() | texts,
    "token": st.none() | texts,
    "key": st.none() | blobs,
    "software": texts,
    "credit": positives,
    "nonce": positives,
    "signature": blobs,
    "version": numbers,
    "server": texts,
    "expires": st.none() | numbers,
    "state": st.sampled_from(["active", "inactive", "retired"]),
    "since": numbers,
    "resume": st.none() | st.builds(Resume, clone_ids, numbers),
    "offsets": st.dictionaries(documents, numbers, max_size=4),
    "documents": st.dictionaries(documents, numbers, max_size=4),
    "selectors": st.dictionaries(documents, numbers, max_size=4),
    "complete": st.booleans(),
    "position": numbers,
    "total": positives,
    "data": st.binary(min_size=1, max_size=80),
    "limits": st.dictionaries(texts, numbers, max_size=4),
    "time": numbers,
    "epoch": st.binary(min_size=16, max_size=16),
    "document": documents,
    "priority": numbers,
    "heads": heads_maps,
    "cursor": st.none() | cursors,
    "mode": st.sampled_from(["cursor", "vector", "clone"]),
    "after": numbers,
    "upto": numbers,
    "entries": entry_lists,
    "offset": numbers,
    "seq": positives,
    "watching": st.booleans(),
    "states": st.lists(
        st.builds(Sighting, st.integers(0, 2**53 - 1), shown, st.none() | texts), max_size=4
    ).map(tuple),
    "refused": st.lists(st.tuples(positives, texts), max_size=3).map(tuple),
    "bytes": positives,
    "id": numbers,
    "index": numbers,
    "last": st.booleans(),
    "part": st.binary(min_size=1, max_size=80),
    "code": texts,
    "reason": texts,
    "retry_after_ms": st.none() | numbers,
}

KINDS: tuple[type[Any], ...] = tuple(
    getattr(frames, name)
    for name in frames.__all__
    if dataclasses.is_dataclass(getattr(frames, name)) and name != "Unknown"
)


def frames_of(kind: type[Any]) -> st.SearchStrategy[Frame]:
    """Draw frames of one kind."""
    names = [one.name for one in dataclasses.fields(kind) if one.name != "size"]
    if kind is frames.Challenge:
        return st.builds(kind, nonce=blobs, epoch=_FIELDS["epoch"])
    if kind is frames.Token:
        return st.builds(kind, token=texts)
    if kind is frames.Show:
        return st.builds(kind, documents, shown, st.booleans())
    if kind is frames.SnapshotPart:
        return st.builds(kind, **{name: _FIELDS[name] for name in names} | {"id": clone_ids})
    return st.builds(kind, **{name: _FIELDS[name] for name in names})


any_frame = st.one_of([frames_of(kind) for kind in KINDS])


def wire(client: ClientProtocol, server: ServerProtocol) -> tuple[list[Frame], list[Frame]]:
    """Carry frames both ways until neither has more; return the events of client and server."""
    at_client: list[Frame] = []
    at_server: list[Frame] = []
    moved = True
    while moved:
        moved = False
        for payload in client.data_to_send():
            moved = True
            at_server += server.receive(payload)
        for payload in server.data_to_send():
            moved = True
            at_client += client.receive(payload)
    return at_client, at_server


def greeted(limits: WireLimits | None = None) -> tuple[ClientProtocol, ServerProtocol]:
    """Return two protocols that have exchanged Hello and Welcome."""
    client, server = ClientProtocol(limits), ServerProtocol(limits)
    client.hello(client=CLIENT, replica=7, software="test")
    wire(client, server)
    server.welcome(epoch=EPOCH, time=1)
    wire(client, server)
    return client, server


def subscribed(
    document: str = "d", limits: WireLimits | None = None
) -> tuple[ClientProtocol, ServerProtocol]:
    """Return two protocols with one live document."""
    client, server = greeted(limits)
    client.subscribe(document, {})
    wire(client, server)
    server.subscribed(document, {}, "vector")
    wire(client, server)
    return client, server
