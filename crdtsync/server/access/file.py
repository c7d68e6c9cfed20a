"""A `PatternPolicy` from a file, in TOML or, member for member, in JSON.

::

    groups_claim = "groups"          # the claim that lists a user's groups; this is the default

    [[rules]]
    access = "read"                  # or "write", which includes it
    documents = ["public/**"]
    everybody = true                 # whoever was let in

    [[rules]]
    access = "write"
    documents = ["home/{user}/**"]
    everybody = true

    [[rules]]
    access = "write"
    documents = ["public/**"]
    users = ["ann"]                  # by name
    groups = ["editors"]             # or by group

What the file does not grant is refused. A word that is not known here is an error, so that no
slip of the pen opens a door.
Read next: `crdtsync.pattern`, for what a pattern is.
"""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path
from typing import Any

from crdtsync.errors import ConfigurationError
from crdtsync.server.access.rules import Judge, Level, PatternPolicy, Rule

__all__ = ["load_policy"]

_LEVELS = {"read": Level.READ, "write": Level.WRITE}


def load_policy(path: str | os.PathLike[str], *, judge: Judge | None = None) -> PatternPolicy:
    """Read a policy from a file, whose name ends in ``.toml`` or ``.json``.

    Args:
        path: the file.
        judge: judges single actions of those who may write; without it, all stand.

    Raises:
        ConfigurationError: it cannot be read, or is no policy; the message says where.
    """
    path = Path(path)
    try:
        return _policy(_parse(path), judge)
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path}: it cannot be read: {error}") from error
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error


def _parse(path: Path) -> Any:
    text = path.read_text("utf-8")
    if path.suffix == ".toml":
        return tomllib.loads(text)
    if path.suffix == ".json":
        return json.loads(text, object_pairs_hook=_members)
    raise ConfigurationError("its name ends neither in .toml nor in .json")


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ConfigurationError("an object has two members of one name")
    return members


def _policy(data: Any, judge: Judge | None) -> PatternPolicy:
    _check_words(data, {"rules", "groups_claim"}, "the file")
    rules, groups_claim = data.get("rules", []), data.get("groups_claim", "groups")
    if not isinstance(rules, list):
        raise ConfigurationError("rules is not a list")
    if not isinstance(groups_claim, str):
        raise ConfigurationError("groups_claim is not a text")
    numbered = enumerate(rules, start=1)
    made = [_rule(rule, f"rule {number}") for number, rule in numbered]
    return PatternPolicy(made, judge=judge, groups_claim=groups_claim)


def _rule(data: Any, where: str) -> Rule:
    _check_words(data, {"access", "documents", "users", "groups", "everybody"}, where)
    access, everybody = data.get("access"), data.get("everybody", False)
    if not isinstance(access, str) or access not in _LEVELS:
        raise ConfigurationError(f"{where}: access is neither 'read' nor 'write'")
    if not isinstance(everybody, bool):
        raise ConfigurationError(f"{where}: everybody is neither true nor false")
    documents = _texts(data.get("documents"), f"{where}: documents")
    users = frozenset(_texts(data.get("users", []), f"{where}: users"))
    groups = frozenset(_texts(data.get("groups", []), f"{where}: groups"))
    try:
        return Rule(_LEVELS[access], documents, users, groups, everybody)
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: {error}") from error


def _check_words(data: Any, known: set[str], where: str) -> None:
    if not isinstance(data, dict):
        raise ConfigurationError(f"{where} is not an object")
    unknown = sorted(data.keys() - known)
    if unknown:
        raise ConfigurationError(
            f"{where}: {', '.join(unknown)} is not known; known are {', '.join(sorted(known))}"
        )


def _texts(data: Any, where: str) -> tuple[str, ...]:
    if isinstance(data, list) and all(isinstance(item, str) for item in data):
        return tuple(data)
    raise ConfigurationError(f"{where} is not a list of texts")
