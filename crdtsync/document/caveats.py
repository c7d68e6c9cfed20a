"""Caveats: what an app should know about how a document is read here.

Replicas with older and newer versions of an app share one document. What one of them does not know
is held, passed on and never lost, but it is not shown; what it cannot decide by the announced rule
is shown by the last write. All of that is told here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from crdtsync.document.judges import AnnouncementNode
from crdtsync.document.path import Path, split
from crdtsync.document.schema import FieldSpec
from crdtsync.document.value import ValueNode

if TYPE_CHECKING:
    from crdtsync.document.view import View

__all__ = ["Caveat", "caveats"]


class Caveat(NamedTuple):
    """Something that is not read here as it was meant.

    Attributes:
        path: where; empty for the document as a whole.
        reason: what and why, in a sentence.
    """

    path: Path
    reason: str


def caveats(view: View, without_effect: Mapping[tuple[int, int], str]) -> list[Caveat]:
    """Return all caveats of a document.

    Args:
        view: its view.
        without_effect: entries that could not be applied: (replica, seq) to the reason.
    """
    found = [
        Caveat((), f"entry {seq} of replica {replica:x} is without effect: {reason}")
        for (replica, seq), reason in sorted(without_effect.items())
    ]
    clash = view.judges.clash()
    if clash is not None:
        found.append(Caveat((), clash))
    found += _rules_not_at_hand(view)
    found += sorted(_unknown(view))
    found += sorted(_unreadable(view))
    return found


def _rules_not_at_hand(view: View) -> Iterator[Caveat]:
    specs: dict[str, FieldSpec] = view.root.schema.specs()
    for version in sorted(view.announced_versions()):
        for path, spec in specs.items():
            ruling = view.judges.ruling(spec, version)
            if ruling.problem is not None:
                yield Caveat(split(path), ruling.problem)


def _unknown(view: View) -> Iterator[Caveat]:
    for node in view.undeclared():
        if isinstance(node, AnnouncementNode):
            continue
        version = max((slot.schema for slot in node.slots()), default=1)
        yield Caveat(
            node.keys, f"written under schema version {version}, which has a field here: kept"
        )
    for name in view.unknown_types():
        yield Caveat(split(name), "a text, list or map that this class does not declare: kept")


def _unreadable(view: View) -> Iterator[Caveat]:
    for node in view.root.slot_nodes():
        if isinstance(node, ValueNode):
            for slot in node.slots():
                reason = node.unreadable(slot)
                if reason is not None:
                    yield Caveat(node.keys, f"{reason}: kept, not shown")
