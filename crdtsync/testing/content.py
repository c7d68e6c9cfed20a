"""Content: what to draw for an annotation, so that a field or an action can take it."""

from __future__ import annotations

import datetime
import decimal
import inspect
import sys
import types
import typing
import uuid
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from crdtsync.document.schema import FieldSpec
from crdtsync.testing.generators import texts, values

__all__ = ["anything", "argument_hint", "content", "element_content", "field_content"]


def anything() -> SearchStrategy[Any]:
    """Return everything storable, but often the same few things."""
    return st.integers(0, 3) | values()


_AWARE = st.datetimes(timezones=st.just(datetime.UTC))
_SCALARS: dict[Any, SearchStrategy[Any]] = {
    str: st.sampled_from(["", "a", "b"]) | texts(),
    int: st.integers(-3, 9) | st.integers(),
    bool: st.booleans(),
    float: st.integers(-3, 9).map(float) | st.floats(allow_nan=False),
    bytes: st.binary(max_size=4),
    type(None): st.none(),
    datetime.datetime: _AWARE,
    datetime.date: st.dates(),
    decimal.Decimal: st.integers(-300, 900).map(lambda cents: decimal.Decimal(cents) / 100),
    uuid.UUID: st.uuids(),
}


def content(hint: Any) -> SearchStrategy[Any] | None:
    """Return what to draw for an annotation; None if it cannot be told.

    >>> from typing import Literal
    >>> content(Literal["todo", "done"] | None)
    one_of(sampled_from(('todo', 'done')), none())
    >>> content(type) is None
    True
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any or hint is object:
        return anything()
    if hint in _SCALARS:
        return _SCALARS[hint]
    if origin is typing.Literal:
        return st.sampled_from(arguments)
    if origin in {typing.Union, types.UnionType}:
        parts = [content(argument) for argument in arguments]
        known = [part for part in parts if part is not None]
        return st.one_of(known) if len(known) == len(parts) else None
    if list in {hint, origin}:
        inner = content(arguments[0]) if arguments else anything()
        return None if inner is None else st.lists(inner, max_size=3)
    if dict in {hint, origin}:
        inner = content(arguments[1]) if arguments else anything()
        return None if inner is None else st.dictionaries(texts(4), inner, max_size=3)
    if origin is typing.Annotated:
        return content(arguments[0])
    if isinstance(hint, typing.NewType):
        return content(hint.__supertype__)
    return None


def field_content(owner: type, spec: FieldSpec) -> SearchStrategy[Any]:
    """Return what to draw for a plain field of a document or record class."""
    found = content(_class_hint(owner, spec.name))
    if found is not None:
        return found
    known = [content(cls) for cls in spec.types or ()]
    return st.one_of([part for part in known if part is not None] or [anything()])


def element_content(owner: type, spec: FieldSpec) -> SearchStrategy[Any]:
    """Return what to draw for an element of a set or list."""
    arguments = typing.get_args(_class_hint(owner, spec.name))
    found = content(arguments[0]) if arguments and arguments[0] is not object else None
    return st.integers(0, 2) | texts(2) if found is None else found


def argument_hint(method: Any, name: str) -> Any:
    """Return the annotation of an argument of a function; None if it cannot be told."""
    return _evaluated(inspect.get_annotations(method).get(name), method.__globals__)


def _class_hint(owner: type, name: str) -> Any:
    for cls in owner.__mro__:
        hints = inspect.get_annotations(cls)
        if name in hints and cls.__module__ in sys.modules:
            return _evaluated(hints[name], vars(sys.modules[cls.__module__]))
    return None


def _evaluated(hint: Any, scope: dict[str, Any]) -> Any:
    """Return an annotation; None if it is text that names what cannot be seen from here."""
    if not isinstance(hint, str):
        return hint
    try:
        return eval(hint, scope)  # noqa: S307 - the app's own source
    except NameError:
        return None
