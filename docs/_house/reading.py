"""Reads docstrings, commands and pages as they are written in this house.

A name in single backticks leads to where it is described, if it is, and is code otherwise. What is
of no use to a reader is left out: constructors that only the library calls, and what Python writes
about the fields of a named tuple.
"""

from __future__ import annotations

import inspect
import re
from typing import Any, get_type_hints

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.roles import XRefRole
from sphinx.util.inspect import stringify_signature
from sphinx.util.nodes import make_refnode

from crdtsync import Document, Record
from crdtsync.document.handle import Handle
from crdtsync.replica import SqlView
from crdtsync.transport import Connection

_REF = "crdtsync-name"
_ONLY_OPENED = (Document, Record, Handle, SqlView, Connection)
_HEADS = re.compile(r"^(Question:|Answer:|Law:|Source:)", re.MULTILINE)
_attribute_lines: list[str] = []


class NameRole(XRefRole):
    """The role of what stands in single backticks."""

    def process_link(
        self, env: BuildEnvironment, refnode: nodes.Element, _: bool, title: str, target: str
    ) -> tuple[str, str]:
        """Keep in which module and class the name stands."""
        refnode["reftype"] = _REF
        refnode["scopes"] = [env.ref_context.get("py:class"), env.ref_context.get("py:module")]
        return title, target.removesuffix("()")


def spelled(target: str, scopes: list[str | None], known: set[str]) -> str | None:
    """Return the full name of what is meant in a scope; None if nothing is, or more than one."""
    klass, module = scopes
    inner = ".".join(part for part in (module, klass) if part)
    for full in (f"{inner}.{target}", f"{module}.{target}", target):
        if full in known:
            return full
    ending = [full for full in known if full.endswith(f".{target}")]
    return ending[0] if len(ending) == 1 else None


def resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, contnode: nodes.TextElement
) -> nodes.Node | None:
    """Lead a name to its description, or leave it as it is."""
    if node["reftype"] != _REF:
        return None
    objects = env.domains["py"].objects  # type: ignore[attr-defined]
    public = {name for name, entry in objects.items() if not entry.aliased}
    full = spelled(node["reftarget"], node["scopes"], public)
    if full is None:
        return contnode
    entry = objects[full]
    page = node.get("refdoc", env.docname)
    return make_refnode(app.builder, page, entry.docname, entry.node_id, contnode, full)


def skip(_: Sphinx, __: str, ___: str, member: Any, skipped: bool, ____: Any) -> bool | None:
    """Leave out the fields of named tuples, which the class's docstring tells."""
    written = getattr(member, "__doc__", None) or ""
    return True if written.startswith("Alias for field number") else None


def sign(
    _: Sphinx, what: str, __: str, made: Any, ___: Any, written: str | None, returns: Any
) -> tuple[str, Any] | None:
    """Leave out how the library makes what an app only gets; write out a named tuple's types."""
    if written is None or what not in {"class", "exception"}:
        return None
    if what == "exception":
        return "", returns
    if issubclass(made, _ONLY_OPENED):
        return "", returns
    if hasattr(made, "_fields"):
        hints = get_type_hints(made)
        bare = inspect.signature(made)
        typed = [part.replace(annotation=hints[name]) for name, part in bare.parameters.items()]
        whole = bare.replace(parameters=typed)
        return stringify_signature(whole, unqualified_typehints=True), returns
    return None


def keep(_: Sphinx, what: str, __: str, ___: Any, ____: Any, lines: list[str]) -> None:
    """Keep what an attribute's docstring is: Napoleon takes words before a colon for a type."""
    if what in {"attribute", "data", "property"}:
        _attribute_lines[:] = lines


def restore(_: Sphinx, what: str, __: str, ___: Any, ____: Any, lines: list[str]) -> None:
    """Put back what was kept."""
    if what in {"attribute", "data", "property"}:
        lines[:] = _attribute_lines


def add_law(_: Sphinx, what: str, __: str, made: Any, ___: Any, lines: list[str]) -> None:
    """Put below a strategy the question, the answer, the law and the source of its module."""
    if what == "class" and made.__module__.startswith("crdtsync_strategies."):
        told = inspect.getdoc(inspect.getmodule(made)) or ""
        if told.startswith("Question:"):
            lines += ["", *_HEADS.sub(r"**\1**", told).splitlines()]


def replace_mermaid(_: Sphinx, doctree: nodes.document) -> None:
    """Show a drawing where code hosts draw the Mermaid block of the life of a connection."""
    for block in list(doctree.findall(nodes.literal_block)):
        if block.get("language") == "mermaid":
            told = "The states of a connection, and what leads from one to another."
            image = nodes.image(uri="life-cycle.svg", alt=told)
            block.replace_self(nodes.figure("", image, classes=["drawing", "wide"]))


def tell_apart(_: Sphinx, doctree: nodes.document) -> None:
    """Say which Candidate the testing kit means: hypothesis leaves only the name in its types."""
    for reference in doctree.findall(pending_xref):
        here = reference.get("py:module") == "crdtsync.testing"
        if here and reference["reftarget"] == "Candidate":
            reference["reftarget"] = "crdtsync.strategies.Candidate"


def drop_arguments(_: Sphinx, __: Any, lines: list[str]) -> None:
    """Leave out the arguments of a command, of which its usage says as much."""
    lines.clear()


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx of all this."""
    app.add_role("name", NameRole(innernodeclass=nodes.literal))
    app.connect("missing-reference", resolve)
    app.connect("autodoc-skip-member", skip)
    app.connect("autodoc-process-signature", sign)
    app.connect("autodoc-process-docstring", keep, priority=400)
    app.connect("autodoc-process-docstring", restore, priority=600)
    app.connect("autodoc-process-docstring", add_law, priority=700)
    app.connect("doctree-read", replace_mermaid, priority=100)  # before images are collected
    app.connect("doctree-read", tell_apart)
    app.connect("sphinx-click-process-arguments", drop_arguments)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
