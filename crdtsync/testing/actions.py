"""Actions: everything that may be done to a document of a class, as hypothesis draws it."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from crdtsync.document import Document, action
from crdtsync.document.schema import MISSING, FieldSpec, Schema
from crdtsync.testing.content import argument_hint, content, element_content, field_content
from crdtsync.testing.edit import Call, Edit, Nth, Row
from crdtsync.testing.generators import texts

__all__ = ["Values", "actions"]

Values = Mapping[str, SearchStrategy[Any]]
"""What to draw for single fields, by path (`tasks/*/status`), and arguments (`add(title)`)."""

_KEYS = st.sampled_from(["a", "b", "ü/1"])
_INDEX = st.integers(0, 8)


def actions(cls: type[Document], values: Values | None = None) -> SearchStrategy[Edit | Call]:
    """Draw what may be done to a document of a class: edits of its fields, and its own actions.

    Fields of records are reached through a few keys, and through whatever keys are there. Actions
    with an argument that has no default, and whose annotation says nothing that can be stored, are
    left out.

    Args:
        cls: the class.
        values: what to draw for single fields and arguments, in place of anything that their
            annotations admit: by path (`tasks/*/status`), or as `action(argument)`. A field for
            which there is `st.nothing()` is left to the document's own actions.

    Raises:
        ValueError: `values` names a field that is not declared.

    >>> from hypothesis import find
    >>> from crdtsync import Replica
    >>> class Light(Document):
    ...     on: bool = False
    >>> switch = find(actions(Light), lambda edit: True)
    >>> switch.line(Replica().document(Light, "light"))
    'document.on = False'
    """
    values = values or {}
    schema = cls.__crdtsync_schema__
    unknown = [path for path in values if "(" not in path and path not in schema.specs()]
    if unknown:
        raise ValueError(f"{cls.__name__} has no field {unknown[0]!r}")
    edits, calls = _edits(schema, values, st.just(())), _calls(cls, values)
    everything: SearchStrategy[Edit | Call] = st.one_of([*edits, *calls])

    @st.composite
    def action_of_the_class(draw: st.DrawFn) -> Edit | Call:
        return draw(everything)  # which takes pages to print

    return action_of_the_class()


def _edits(
    schema: Schema, values: Values, rows: SearchStrategy[tuple[Row, ...]]
) -> Iterator[SearchStrategy[Edit]]:
    for spec in schema.fields.values():
        left_alone = spec.path in values and values[spec.path].is_empty
        if not (left_alone or spec.is_position):  # records are moved to a place, not told one
            drawn = _VERBS[spec.kind](schema.cls, spec, values)
            yield st.builds(_edit, rows, st.just(spec), drawn)
        if spec.record is not None:
            below = st.builds(_below, rows, _row(spec, spec.record, values))
            yield st.one_of([*_edits(spec.record, values, below)])


def _edit(rows: tuple[Row, ...], spec: FieldSpec, drawn: tuple[Any, ...]) -> Edit:
    return Edit(rows, spec.name, spec.kind, drawn[0], drawn[1:])


def _below(rows: tuple[Row, ...], row: Row) -> tuple[Row, ...]:
    return (*rows, row)


def _row(spec: FieldSpec, record: Schema, values: Values) -> SearchStrategy[Row]:
    return st.builds(Row, st.just(spec.name), _key_content(), _fields(record, values))


def _key_content() -> SearchStrategy[str | Nth]:
    return _KEYS | st.builds(Nth, _INDEX)


def _fields(record: Schema, values: Values) -> SearchStrategy[dict[str, Any]]:
    """Draw what a new record is made with: what must be given, and some of what may be."""
    drawn: dict[bool, dict[str, SearchStrategy[Any]]] = {True: {}, False: {}}
    for spec in record.fields.values():
        if spec.kind == "value" and not spec.is_position:
            needed = spec.default is MISSING
            drawn[needed][spec.name] = _field_values(record.cls, spec, values)
    return st.fixed_dictionaries(drawn[True], optional=drawn[False])


def _field_values(owner: type, spec: FieldSpec, values: Values) -> SearchStrategy[Any]:
    return values[spec.path] if spec.path in values else field_content(owner, spec)


def _value_verbs(owner: type, spec: FieldSpec, values: Values) -> SearchStrategy[Any]:
    return st.tuples(st.just("set"), _field_values(owner, spec, values))


def _counter_verbs(_: type, spec: FieldSpec, values: Values) -> SearchStrategy[Any]:
    amount = values[spec.path] if spec.path in values else st.integers(-3, 5)
    return st.tuples(st.just("increment"), amount)


def _set_verbs(owner: type, spec: FieldSpec, values: Values) -> SearchStrategy[Any]:
    element = values[spec.path] if spec.path in values else element_content(owner, spec)
    return st.tuples(st.sampled_from(["add", "add", "discard"]), element) | st.tuples(
        st.just("assign"), st.lists(element, max_size=3)
    )


def _text_verbs(*_: Any) -> SearchStrategy[Any]:
    text = st.text("ab é😀", max_size=5) | texts(5)
    return (
        st.tuples(st.just("replace"), _INDEX, _INDEX, text)
        | st.tuples(st.just("append"), text)
        | st.tuples(st.just("assign"), text)
        | st.tuples(st.just("format"), _INDEX, _INDEX, st.sampled_from([True, None]))
    )


def _rich_text_verbs(*_: Any) -> SearchStrategy[Any]:
    inside = st.tuples(st.just("text"), _INDEX)
    return (
        st.tuples(st.just("insert"), _INDEX, texts(5))
        | st.tuples(st.just("delete"), _INDEX)
        | st.tuples(st.just("set"), _INDEX, st.integers(1, 3))
        | st.builds(operator.add, inside, _text_verbs().filter(lambda drawn: drawn[0] != "assign"))
    )


def _list_verbs(owner: type, spec: FieldSpec, values: Values) -> SearchStrategy[Any]:
    element = values[spec.path] if spec.path in values else element_content(owner, spec)
    some = st.lists(element, max_size=3)
    return (
        st.tuples(st.just("splice"), _INDEX, _INDEX, some)
        | st.tuples(st.just("append"), element)
        | st.tuples(st.just("move"), _INDEX, _INDEX)
        | st.tuples(st.just("assign"), some)
    )


def _map_verbs(owner: type, spec: FieldSpec, values: Values) -> SearchStrategy[Any]:
    value = values[spec.path] if spec.path in values else element_content(owner, spec)
    some = st.dictionaries(_KEYS, value, max_size=3)
    return (
        st.tuples(st.just("set"), _KEYS, value)
        | st.tuples(st.just("delete"), _INDEX)
        | st.tuples(st.sampled_from(["update", "assign"]), some)
    )


def _table_verbs(_: type, spec: FieldSpec, values: Values) -> SearchStrategy[Any]:
    assert spec.record is not None
    key = _key_content()
    drawn = st.tuples(st.just("toggle"), key, _fields(spec.record, values))
    if any(field.is_position for field in spec.record.fields.values()):
        side = st.sampled_from(["before", "after"])
        drawn |= st.tuples(st.just("move"), key, side, key)
    return drawn


_VERBS: dict[str, Callable[[type, FieldSpec, Values], SearchStrategy[Any]]] = {
    "value": _value_verbs,
    "counter": _counter_verbs,
    "set": _set_verbs,
    "text": _text_verbs,
    "list": _list_verbs,
    "map": _map_verbs,
    "rich-text": _rich_text_verbs,
    "table": _table_verbs,
}

_ACTION_CODE = action(lambda _: None).__code__  # of any action


def _calls(cls: type[Document], values: Values) -> Iterator[SearchStrategy[Call]]:
    for name in dir(cls):
        method = inspect.getattr_static(cls, name)
        if getattr(method, "__code__", None) is not _ACTION_CODE:
            continue
        arguments = _arguments(name, method.__wrapped__, values)
        if arguments is not None:
            yield st.builds(Call, st.just(name), arguments)


def _arguments(action: str, method: Any, values: Values) -> SearchStrategy[dict[str, Any]] | None:
    needed: dict[str, SearchStrategy[Any]] = {}
    optional: dict[str, SearchStrategy[Any]] = {}
    for name, parameter in list(inspect.signature(method).parameters.items())[1:]:
        if parameter.kind is parameter.POSITIONAL_ONLY:
            return None
        drawn = values.get(f"{action}({name})")
        if drawn is None:
            drawn = _argument(argument_hint(method, name))
        if parameter.default is not parameter.empty:
            if drawn is not None:
                optional[name] = drawn
        elif parameter.kind not in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            if drawn is None:
                return None
            needed[name] = drawn
    return st.fixed_dictionaries(needed, optional=optional)


def _argument(hint: Any) -> SearchStrategy[Any] | None:
    drawn = content(hint)
    return drawn | st.builds(Nth, _INDEX) if drawn is not None and hint is str else drawn
