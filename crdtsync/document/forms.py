"""The forms in which markup leaves and enters: plain Python, plain text, XML."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from crdtsync.document.editing import check_text
from crdtsync.document.formatting import OBJECT, Embed, Run, json_values, merged, overlaid, text_of
from crdtsync.document.markup import DEPTH_MAX, Branch, Leaf, Part

__all__ = ["element_of", "parts_of", "plain", "text", "xml"]

# Names of ASCII are understood by parsers of every edition of XML 1.0.
_NOT_IN_NAMES = re.compile("[^A-Za-z0-9._-]|^(?![A-Za-z_])")
_NOT_IN_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def plain(part: Part) -> dict[str, Any]:
    """Return a part as plain Python, sharing nothing; `parts_of` takes it.

    An element is `{"tag": …, "attributes": {…}, "children": […]}`, a passage of text is
    `{"runs": [[characters, {…}], …]}`, where an object stands with its value for characters.
    """
    if isinstance(part, Leaf):
        return {
            "runs": [
                [deepcopy(content.value if isinstance(content, Embed) else content), deepcopy(had)]
                for content, had in part.runs
            ]
        }
    return {
        "tag": part.tag,
        "attributes": deepcopy(part.attributes),
        "children": [plain(child) for child in part.children],
    }


def text(part: Part) -> str:
    """Return a part's characters.

    What stands beside text is inline and joined to it, with U+FFFC for an object without text;
    other elements are blocks, and each begins a line.
    """
    if isinstance(part, Leaf):
        return text_of(part.runs)
    if any(isinstance(child, Leaf) for child in part.children):
        return "".join(
            OBJECT if isinstance(child, Branch) and not child.children else text(child)
            for child in part.children
        )
    return "\n".join(map(text, part.children))


def xml(part: Part) -> str:
    """Return a part as well-formed XML; of the root, its children one after the other.

    Formatting becomes elements around the characters, an object an empty one. Attributes that are
    no text are JSON. In names what is no ASCII letter or digit becomes "_"; elsewhere what XML
    forbids becomes U+FFFD.
    """
    if isinstance(part, Leaf):
        return "".join(map(_run_xml, part.runs))
    inner = "".join(map(xml, part.children))
    return _element_xml(part.tag, part.attributes, inner) if part.tag else inner


def _run_xml(run: Run) -> str:
    content, attributes = run
    if isinstance(content, Embed):
        value = content.value
        inner = _element_xml("object", value if isinstance(value, dict) else {"value": value}, "")
    else:
        inner = escape(_NOT_IN_XML.sub("\ufffd", content), {"\r": "&#13;"})
    for name, value in reversed(attributes.items()):
        given = value if isinstance(value, dict) else {} if value is True else {"value": value}
        inner = _element_xml(name, given, inner)
    return inner


def _element_xml(tag: str, attributes: Mapping[str, Any], inner: str) -> str:
    values = {_xml_name(name): _xml_value(attributes[name]) for name in sorted(attributes)}
    inside = "".join(f" {name}={quoteattr(value)}" for name, value in values.items())
    tag = _xml_name(tag)
    return f"<{tag}{inside}>{inner}</{tag}>" if inner else f"<{tag}{inside}/>"


def _xml_name(name: str) -> str:
    return _NOT_IN_NAMES.sub("_", name)


def _xml_value(value: Any) -> str:
    shown = value if isinstance(value, str) else json.dumps(value, default=str, sort_keys=True)
    return _NOT_IN_XML.sub("\ufffd", shown)


def parts_of(content: Iterable[Any], depth_max: int = DEPTH_MAX) -> tuple[Part, ...]:
    """Return the parts that an app described.

    Args:
        content: strings; (string, attributes) pairs; elements and passages as `plain` gives them.
            Strings and pairs that follow each other are one passage.
        depth_max: how many may stand inside each other.

    Raises:
        TypeError, ValueError: something is described in another way, or cannot be stored.
    """
    if isinstance(content, str | Mapping):
        raise TypeError(f"content is a list of parts, not one {type(content).__name__}")
    parts: list[Part] = []
    for is_text, items in itertools.groupby(content, lambda item: not isinstance(item, Mapping)):
        _check_depth(depth_max)
        if is_text:
            parts.append(Leaf(merged(map(_run, items))))
        else:
            parts += [_part(item, depth_max) for item in items]
    return tuple(parts)


def element_of(
    tag: str, attributes: Mapping[str, Any], content: Iterable[Any], depth_max: int = DEPTH_MAX
) -> Branch:
    """Return the element that an app described.

    Raises:
        TypeError, ValueError: as `parts_of`.
    """
    _check_depth(depth_max)
    if not check_text(tag):
        raise ValueError("an element needs a tag")
    values = json_values(attributes)
    children = parts_of(content, depth_max - 1)
    return Branch(tag, {name: values[name] for name in sorted(values)}, children)


def _check_depth(depth_max: int) -> None:
    if depth_max <= 0:
        raise ValueError(f"nested too deeply: at most {DEPTH_MAX} parts stand inside each other")


def _part(item: Mapping[str, Any], depth_max: int) -> Part:
    match item:
        case {"tag": tag}:
            attributes, children = item.get("attributes", {}), item.get("children", ())
            return element_of(tag, attributes, children, depth_max)
        case {"runs": runs}:
            return Leaf(merged(map(_run, runs)))
    raise TypeError(f"a part has a 'tag' or 'runs', not {sorted(item)}")


def _run(item: Any) -> Run:
    match item:
        case str():
            return Run(check_text(item), {})
        case [str() as characters, Mapping() as attributes]:
            return Run(check_text(characters), overlaid({}, json_values(attributes)))
    raise TypeError(
        f"content is made of strings, (string, attributes) pairs and elements, not {item!r}"
    )
