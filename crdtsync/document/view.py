"""The view: the tree of nodes, and how the CRDT's changes reach it.

Built once from the slots that are live, then kept up to date by what changes.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple, TypeAlias

import pycrdt

from crdtsync.document.conflict import Conflict
from crdtsync.document.disputes import Disputes
from crdtsync.document.judges import ANNOUNCEMENTS, AnnouncementNode, Judges
from crdtsync.document.materialize import slot_changes
from crdtsync.document.node import Node, Pairs, SlotNode
from crdtsync.document.path import Path
from crdtsync.document.record import NATIVE_KINDS, SLOT_KINDS, PresenceNode, RecordNode
from crdtsync.document.root import RootNode
from crdtsync.document.schema import FieldSpec, Schema
from crdtsync.document.shadow import Shadow
from crdtsync.document.slots import NO_CLAMPS, ROOT, Clamps, Slot, path_of
from crdtsync.document.table import TableNode
from crdtsync.document.value import ValueNode

__all__ = ["NO_EFFECTS", "Effects", "View"]

Installs: TypeAlias = dict[SlotNode, tuple[Pairs, tuple[Slot, ...] | None]]
_PATHLESS = (PresenceNode, AnnouncementNode)


class Effects(NamedTuple):
    """What a change did to the view.

    Attributes:
        paths: the fields and records touched, in order.
        arisen: the conflicts that arose or grew.
        settled: the fields that are no longer in conflict.
    """

    paths: tuple[Path, ...]
    arisen: tuple[Conflict, ...]
    settled: tuple[Path, ...]


NO_EFFECTS = Effects((), (), ())


class View:
    """The materialized state of one document.

    Args:
        schema: what its class declares.
        users: who uses each replica.
        schema_version: of the class.
        clamps: the times as of which clamped entries count.

    Attributes:
        doc: the CRDT document.
        slots: its root map of slots.
        root: the node of the document itself.
        contested: plain fields that have several live writes.
        unheard: CRDT types that must be listened to before the next change from elsewhere.
        changed: those that the present change from elsewhere touched.
        records: every record there ever was, by its path; the document itself has the empty path.
        watching: whether changes to unread ones must be noticed too.
        touched: what changed since somebody emptied it; the root stands for everything. None while
            nobody wants to know.
        judges: which strategy decides where.
        column_tables: tables with fields in which their records are decided together.
    """

    def __init__(
        self,
        schema: Schema,
        users: Mapping[int, str],
        schema_version: int,
        clamps: Clamps = NO_CLAMPS,
    ) -> None:
        self.users = users
        self.clamps = clamps
        self.contested: dict[ValueNode, None] = {}
        self.unheard: dict[RootNode[Any], None] = {}
        self.changed: dict[RootNode[Any], None] = {}
        self._listening: dict[RootNode[Any], None] = {}
        self.watching = False
        self.touched: list[Node] | None = None
        self.column_tables: list[TableNode] = []
        self.records: dict[str, RecordNode] = {}
        self._shadow: Shadow | None = None
        self.root = RecordNode("", schema, self, None)
        self._undeclared: dict[str, SlotNode] = {}
        self._renames = any(spec.name != spec.stored for spec in schema.specs().values())
        self.judges = Judges(schema, schema_version, self.announcement, self._newest_announced)

    def show(self, doc: pycrdt.Doc[Any], slots: Mapping[str, bytes]) -> None:
        """Show a CRDT document, forgetting all that was shown.

        Args:
            doc: the document.
            slots: the live slots in it.
        """
        self.doc = doc
        self._shadow = None
        self.slots: pycrdt.Map[Any] = doc.get(ROOT, type=pycrdt.Map)
        self.contested.clear()
        self.unheard.clear()
        self.changed.clear()
        self.root.clear()
        self._undeclared.clear()
        self.judges.forget()
        for pair in slots.items():
            self.node(path_of(pair[0])).adopt(pair)
        self.touch([self.root])
        if self.watching:
            self.watch_all()

    @property
    def shadow(self) -> Shadow:
        """The copy of the document in which ids are found, as old as when it was last asked."""
        if self._shadow is None:
            self._shadow = Shadow(self.doc)
        return self._shadow

    def live_slots(self) -> dict[str, bytes]:
        """Return all live slots, declared or not."""
        nodes = itertools.chain(self.root.slot_nodes(), self.undeclared())
        return {key: data for node in nodes for key, data in node.pairs}

    def make_table(self, path: str, owner: RecordNode, spec: FieldSpec) -> TableNode:
        """Return the node of a table field."""
        return TableNode(path, owner, spec)

    def node(self, path: str) -> SlotNode:
        """Return the node of a slot's path; one without an owner if it is not declared."""
        owner, _, name = path.rpartition("/")
        record = self.records.get(owner)
        if record is not None:
            spec = record.schema.stored.get(name)
            if spec is not None and spec.kind in SLOT_KINDS:
                node: SlotNode = record.child(spec.name)
                return node
        found = self._undeclared.get(path) or self.root.descend(path.split("/"), 0)
        if found is None:
            if owner == ANNOUNCEMENTS:
                found = AnnouncementNode(path, self.rejudge)
            else:
                found = _UndeclaredNode(path, self.clamps)
            self._undeclared[path] = found
        return found

    def at(self, path: Path) -> Node:
        """Return the node of a path as an app knows it.

        Raises:
            KeyError: nothing is declared there.
        """
        node: Node = self.root
        for name in path:
            match node:
                case RecordNode():
                    node = node.child(name)
                case TableNode():
                    node = node.record(name)
                case _:
                    raise KeyError(path)
        return node

    def as_declared(self, path: Path) -> Path:
        """Return a path as an app knows it, with the names that fields were given since."""
        if not self._renames:
            return path
        schema: Schema | None = self.root.schema
        names: list[str] = []
        segments = iter(path)
        for segment in segments:
            spec = None if schema is None else schema.stored.get(segment)
            names.append(segment if spec is None else spec.name)
            schema = None if spec is None else spec.record
            names += itertools.islice(segments, 1) if schema is not None else ()
        return tuple(names)

    def unknown_types(self) -> Iterator[str]:
        """Yield the paths of types in the CRDT that the schema does not know."""
        for path in sorted(self.doc.keys()):
            if path != ROOT and not self.root.declares(path.split("/"), 0):
                yield path

    def announced_versions(self) -> Iterator[int]:
        """Yield the schema versions of which rules were announced."""
        return (n.version for n in self.undeclared() if isinstance(n, AnnouncementNode))

    def undeclared(self) -> Iterator[SlotNode]:
        """Yield the live nodes of paths that the schema does not know."""
        return (node for node in self._undeclared.values() if node.pairs)

    def announcement(self, version: int) -> AnnouncementNode:
        """Return the node in which a schema version's rules are announced."""
        node = self.node(f"{ANNOUNCEMENTS}/{version}")
        assert isinstance(node, AnnouncementNode)
        return node

    def _newest_announced(self) -> int:
        return max(self.announced_versions(), default=0)

    def rejudge(self) -> None:
        """Decide everything anew when somebody looks: other rules have been announced."""
        self.judges.forget()
        self.root.rejudge()
        self.touch([self.root])

    def touch(self, nodes: Iterable[Node]) -> None:
        """Note that nodes changed, if somebody wants to know."""
        if self.touched is not None:
            self.touched += nodes

    def take(self, events: Iterable[Mapping[str, Any]], *, tell: bool) -> Effects:
        """Take over what changed in the map of slots.

        Args:
            events: the map's changes, as the CRDT library reports them.
            tell: whether anybody wants to know what changed.

        Returns:
            What changed; nothing if nobody wants to know.
        """
        changes: defaultdict[str, dict[str, bytes | None]] = defaultdict(dict)
        for key, data in slot_changes(events):
            changes[path_of(key)][key] = data
        installs: Installs = {}
        for path, keys in changes.items():
            node = self.node(path)
            installs[node] = _merged(node.pairs, keys), None
        effects = self.install(installs, tell=tell)
        self.touch(self.changed)
        if not tell:
            self.changed.clear()
            return effects
        paths = dict.fromkeys(effects.paths) | {node.keys: None for node in self.changed}
        self.changed.clear()
        return effects._replace(paths=tuple(paths))

    def reorder(self, written: AbstractSet[tuple[int, int]], *, tell: bool) -> Effects:
        """Decide anew where entries wrote that count as of another time now.

        Args:
            written: their replicas and numbers.
            tell: whether anybody wants to know what that changes.
        """
        nodes = itertools.chain(self.root.slot_nodes(), self.undeclared())
        # Not the same tuple: by that it is told what records claim anew.
        installs: Installs = {
            node: (tuple(iter(node.pairs)), None) for node in nodes if node.has_read(written)
        }
        return self.install(installs, tell=tell)

    def install(self, installs: Installs, *, tell: bool) -> Effects:
        """Let nodes take over what is now stored.

        Args:
            installs: the slots of each, decoded where that is known.
            tell: whether anybody wants to know what that changes.
        """
        self.touch(installs)
        if not tell:
            for node, (pairs, slots) in installs.items():
                node.install(pairs, slots)
            return NO_EFFECTS
        disputes = Disputes(self, installs)
        for node, (pairs, slots) in installs.items():
            node.install(pairs, slots)
        paths = {node.keys: None for node in installs if not isinstance(node, _PATHLESS)}
        paths |= {r.keys: None for r, before in disputes.existed.items() if r.exists != before}
        return Effects(tuple(paths), *disputes.outcome())

    def listen(self) -> None:
        """Get ready for changes from elsewhere."""
        while self.unheard:
            node, _ = self.unheard.popitem()
            node.listen()
            self._listening[node] = None

    def deafen(self) -> None:
        """Stop listening to texts, lists and the like."""
        while self._listening:
            self._listening.popitem()[0].deafen()

    def watch_all(self) -> None:
        """Follow all texts, lists and the like, so that observers hear of unread ones."""
        self.watching = True
        stack = [self.root]
        while stack:
            record = stack.pop()
            self.watch(record)
            for spec in record.schema.fields.values():
                if spec.kind == "table":
                    stack.extend(record.child(spec.name).records.values())

    def watch(self, record: RecordNode) -> None:
        """Follow a record's texts, lists and the like."""
        for spec in record.schema.fields.values():
            if spec.kind in NATIVE_KINDS:
                self.unheard[record.child(spec.name)] = None

    def conflicts(self) -> list[Conflict]:
        """Return what is at odds in records that exist, in the order of paths."""
        nodes = dict.fromkeys(filter(self.is_contested, self.contested))
        for table in self.column_tables:
            for column in table.columns.values():
                for key in column.settled():
                    node = table.record(key).child(column.spec.name)
                    if node.is_shown():
                        nodes[node] = None
        found = (node.conflict() for node in sorted(nodes, key=lambda node: node.keys))
        return [conflict for conflict in found if conflict is not None]

    def is_contested(self, node: ValueNode) -> bool:
        """Tell whether a field has several live writes, in a record that exists."""
        return len(node.pairs) > 1 and len(node.slots()) > 1 and node.is_shown()


class _UndeclaredNode(SlotNode):
    """State of a path that the schema does not know."""

    __slots__ = ("_clamps",)

    def __init__(self, path: str, clamps: Clamps) -> None:
        super().__init__(path, None)
        self._clamps = clamps

    @property
    def clamps(self) -> Clamps:
        return self._clamps


def _merged(pairs: Pairs, changes: Mapping[str, bytes | None]) -> Pairs:
    if len(pairs) == 1 and pairs[0][0] in changes:
        pairs = ()  # a write over the only one, mostly
    kept = [pair for pair in pairs if pair[0] not in changes] if pairs else []
    kept += [(key, data) for key, data in changes.items() if data is not None]
    return tuple(kept)
