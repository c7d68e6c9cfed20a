"""Rules: the names by which a history knows its strategies.

A strategy is code; what a document can keep of it is its name, its version and its parameters. A
history written under one rule is never read under another without saying so.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from crdtsync.codec import check_value
from crdtsync.errors import SchemaError
from crdtsync.strategy import load_strategy

__all__ = ["DEFAULT_PRESENCE", "DEFAULT_STRATEGY", "Rule", "find_judge", "read_rule", "rule_of"]

DEFAULT_STRATEGY = "lww"
DEFAULT_PRESENCE = "add-wins"


class Rule(NamedTuple):
    """What names a strategy.

    Attributes:
        name: the strategy's name.
        version: its version.
        parameters: the keyword arguments that make it.
    """

    name: str
    version: int
    parameters: dict[str, Any]

    def __str__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in sorted(self.parameters.items()))
        return f"{self.name} {self.version}" + (f" ({given})" if given else "")

    def is_default(self, kind: str) -> bool:
        """Tell whether this is what a field of a kind has where nothing is said."""
        return self == default_rule(kind)


def default_rule(kind: str) -> Rule:
    """Return the rule of a field where nothing is said."""
    return Rule(DEFAULT_STRATEGY if kind == "value" else DEFAULT_PRESENCE, 1, {})


def rule_of(judge: Any) -> Rule:
    """Return the rule that a strategy follows.

    Raises:
        SchemaError: its parameters cannot be stored.
    """
    parameters = getattr(judge, "parameters", {})
    try:
        check_value(parameters)
    except (TypeError, ValueError) as error:
        raise SchemaError(
            f"the parameters of strategy {judge.name!r} cannot be stored: {error}"
        ) from error
    return Rule(judge.name, judge.version, dict(parameters))


def read_rule(told: Any) -> Rule | None:
    """Read a rule as stored; None for what is not one."""
    match told:
        case [str(name), int(version), dict(parameters)] if type(version) is int:
            return Rule(name, version, parameters)
        case _:
            return None


def find_judge(rule: Rule, among: tuple[Any, ...] = ()) -> Any:
    """Return the strategy that a rule names.

    Args:
        rule: the rule.
        among: strategies to look at first, before those that are installed.

    Raises:
        SchemaError: there is none.
    """
    for judge in among:
        if judge is not None and rule_of(judge) == rule:
            return judge
    judge = load_strategy(rule.name, rule.version, rule.parameters)
    if rule_of(judge) != rule:
        raise SchemaError(f"strategy {rule} is not installed: what is there is {rule_of(judge)}")
    return judge
