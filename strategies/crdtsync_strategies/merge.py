"""Question: two people change different parts of one value unaware of each other; must one lose?

Answer: no. What each changed, compared with what they had before them, is put together: words of a
text, items of a list, keys of a dict, however deeply nested; of numbers, the differences are added.
Only where they changed the same thing differently the later write holds.

Law: the changes are put together one after the other, in the order of the candidates, beginning
with the newest value that any of them replaced. That order is the same on every replica, and so is
what comes of it. A change made twice counts once, except that of a number. What all of them wrote,
over different values, holds.

- In a text two changes of one line are compared word by word. A word is never made of two people's:
  of two words put into one place the later one holds.
- Things that two people put into one place of a list or text both stay, the earlier write's first.
- Values of other types, and of two different types, are never mixed: the later write holds. So it
  does for a write of which it is not known what it replaced.
- What a merge may cost is bounded. A part of a text or list in which too much differs counts as
  changed in one piece; of structures of more than 20,000 parts in all the last writer's holds.

Source: Khanna, Kunal, Pierce, "A Formal Investigation of Diff3", FSTTCS 2007; Terry et al.,
"Managing Update Conflicts in Bayou", SOSP 1995 (writes that carry what they were based on).
"""

from __future__ import annotations

import decimal
import fractions
import re
from collections.abc import Callable, Sequence
from typing import Any

from crdtsync.strategy import Base, Candidate
from crdtsync_strategies.authors import author, latest
from crdtsync_strategies.diff import Work, find_regions
from crdtsync_strategies.total_order import order_key

__all__ = ["Merge"]

_WORK_MAX = 30_000
_TEXT_WORK = 60
"""What the merge of a text costs at the least."""
_WEIGHT_MAX = 20_000
_DIGITS_MAX = 100
"""Digits that a sum of decimals may need to be exact."""
_EXACT_MAX = 10**_DIGITS_MAX
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
# What is a letter must not depend on a Python version's Unicode tables: it is all but these marks.
# Scripts without spaces between words are compared by character.
_MARKS = r"\x00-/:-@\[-^`{-\xbf\u2000-\u200b\u2010-\u205f\u3000-\u303f"
_SPACELESS = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fff\u3040-\ua4cf\uf900-\ufaff"
    r"\U00020000-\U0003ffff"
)
_WORD = re.compile(f"[{_SPACELESS}]|[^{_MARKS}{_SPACELESS}]+")
_TOKEN = re.compile(f"{_WORD.pattern}|.", re.DOTALL)
_NAMES_MAX = 3
_ABSENT = object()
"""Stands for the value of a key that a dict does not have."""


class Merge:
    """What each changed is kept, as far as they did not change the same thing.

    >>> from crdtsync.strategy import Base
    >>> base = Base("Buy milk today", 1)
    >>> ann = Candidate("Buy oat milk today", 1, "ann", 2, 5, base)
    >>> bob = Candidate("Buy milk tomorrow", 2, "bob", 1, 6, base)
    >>> Merge().resolve([ann, bob])
    'Buy oat milk tomorrow'
    """

    name = "merge"
    version = 1
    uses_base = True

    def resolve(self, candidates: Sequence[Candidate[Any]], /) -> Any:
        """Return what the changes make together."""
        return _Merger().fold(candidates)

    def explain(self, candidates: Sequence[Candidate[Any]], _chosen: Any, /) -> str:
        """Say whose changes it is made of, and whether they met."""
        merger = _Merger()
        merger.fold(candidates)
        if merger.problem is not None:
            return f"{merger.problem}; {latest(candidates)}"
        names = sorted({author(candidate) for candidate in candidates})
        if len(names) > _NAMES_MAX:
            names[2:] = [f"{len(names) - 2} more"]
        named = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
        met = "; where two changed the same, the later write holds" if merger.met else ""
        return f"made of the changes of {named}{met}"


class _Merger:
    """One merge.

    Attributes:
        met: two sides changed the same thing differently.
        problem: why nothing was merged, so that the last write holds.
    """

    def __init__(self) -> None:
        self.met = False
        self.problem: str | None = None
        self._work = Work(_WORK_MAX)

    def fold(self, candidates: Sequence[Candidate[Any]]) -> Any:
        """Return what the candidates' changes make together."""
        bases: list[Base[Any]] = [write.base for write in candidates if write.base is not None]
        if not bases:
            self.problem = "what was there before is not known"
            return candidates[-1].value
        before = [base.value for base in bases]
        if _weigh(before + [candidate.value for candidate in candidates]) > _WEIGHT_MAX:
            self.problem = "the values are too large to be merged"
            return candidates[-1].value
        if not _all_same(before) and _all_same([candidate.value for candidate in candidates]):
            return candidates[0].value  # no change of one is another's, and yet they agree
        merged = max(bases, key=lambda base: base.time).value
        for candidate in candidates:
            base = _ABSENT if candidate.base is None else candidate.base.value
            merged = self.merge(base, merged, candidate.value)
        return merged

    def merge(self, base: Any, ours: Any, theirs: Any) -> Any:
        """Return what two changes of one value make together; `theirs` is the later one."""
        if _same(base, theirs):
            return ours
        if _same(base, ours):
            return theirs
        types = {type(base), type(ours), type(theirs)}
        if types == {dict}:
            return self._dicts(base, ours, theirs)
        if types <= {int, float} or types <= {int, decimal.Decimal}:
            total = _add_up(base, ours, theirs)
            return self._later(ours, theirs) if total is None else total
        if _same(ours, theirs):
            return theirs
        if types == {str}:
            return self._texts(base, ours, theirs)
        if types == {list}:
            return self._lists(base, ours, theirs)
        return self._later(ours, theirs)

    def _later(self, ours: Any, theirs: Any) -> Any:
        self.met = self.met or not _same(ours, theirs)
        return theirs

    def _dicts(
        self, base: dict[str, Any], ours: dict[str, Any], theirs: dict[str, Any]
    ) -> dict[str, Any]:
        sides = base, ours, theirs
        merged = {
            key: self.merge(*(side.get(key, _ABSENT) for side in sides))
            for key in sorted(base.keys() | ours.keys() | theirs.keys())
        }
        return {key: value for key, value in merged.items() if value is not _ABSENT}

    def _texts(self, base: str, ours: str, theirs: str) -> str:
        self._work.left -= _TEXT_WORK
        if not base or self._work.left < 0:
            return str(self._later(ours, theirs))
        lines = [_LINE.findall(side) for side in (base, ours, theirs)]
        return "".join(self._weave(lines, lines, self._changed_lines))

    def _lists(self, base: list[Any], ours: list[Any], theirs: list[Any]) -> list[Any]:
        sides = [base, ours, theirs]
        keys = [list(map(order_key, side)) for side in sides]
        return self._weave(keys, sides, self._changed_items)

    def _weave(
        self,
        told: list[list[Any]],
        sides: list[list[Any]],
        changed: Callable[[list[Any], list[Any], list[Any]], list[Any]],
    ) -> list[Any]:
        """Put the changes of two sequences together.

        Args:
            told: base, ours and theirs, as items by which they are told apart.
            sides: the same as items to take.
            changed: gives what stands where both were changed differently.
        """
        woven: list[Any] = []
        base, ours, theirs = sides
        told_base, told_ours, told_theirs = told
        for region in find_regions(told_base, told_ours, told_theirs, self._work):
            if not region.ours_changed:
                woven += theirs[region.theirs]
            elif not region.theirs_changed or (
                told_ours[region.ours] == told_theirs[region.theirs]
            ):
                woven += ours[region.ours]
            else:
                woven += changed(base[region.base], ours[region.ours], theirs[region.theirs])
        return woven

    def _changed_lines(self, base: list[str], ours: list[str], theirs: list[str]) -> list[str]:
        words = [_TOKEN.findall("".join(side)) for side in (base, ours, theirs)]
        return self._weave(words, words, self._changed_words)

    def _changed_words(self, base: list[str], ours: list[str], theirs: list[str]) -> list[str]:
        if base:
            return list(self._later(ours, theirs))
        if self._nested(ours, theirs):
            return max(ours, theirs, key=len)
        if _WORD.fullmatch(ours[-1]) and _WORD.fullmatch(theirs[0]):
            return list(self._later(ours, theirs))
        return ours + theirs

    def _changed_items(self, base: list[Any], ours: list[Any], theirs: list[Any]) -> list[Any]:
        if not base:
            nested = self._nested(list(map(order_key, ours)), list(map(order_key, theirs)))
            return max(ours, theirs, key=len) if nested else ours + theirs
        if len(base) == len(ours) == len(theirs) and {*map(type, base + ours + theirs)} == {dict}:
            return list(map(self.merge, base, ours, theirs))
        return list(self._later(ours, theirs))

    def _nested(self, one: list[Any], other: list[Any]) -> bool:
        """Tell whether all that one side put in was put in by the other too, in one piece."""
        part, whole = sorted((one, other), key=len)
        places = range(len(whole) - len(part) + 1)
        self._work.left -= len(places)
        return self._work.left >= 0 and any(
            whole[place : place + len(part)] == part for place in places
        )


def _all_same(values: Sequence[Any]) -> bool:
    return all(_same(values[0], value) for value in values[1:])


def _same(one: Any, other: Any) -> bool:
    """Tell whether two values are stored as the same bytes."""
    if one is other or type(one) is not type(other):
        return one is other
    if isinstance(one, str):
        return bool(one == other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return order_key(one) == order_key(other)


def _weigh(values: Sequence[Any]) -> int:
    """Count the items of nested values, each once for every level that it is below."""
    weight = 0
    waiting = [(0, value) for value in values]
    while waiting and weight <= _WEIGHT_MAX:
        depth, value = waiting.pop()
        weight += depth
        if isinstance(value, dict):
            waiting += [(depth + 1, item) for item in value.values()]
        elif isinstance(value, list):
            waiting += [(depth + 1, item) for item in value]
    return weight


def _add_up(base: Any, ours: Any, theirs: Any) -> Any:
    """Return the sum of two changes of a number; None if it cannot be had exactly enough.

    Ints give an int, decimals the exact decimal, floats the float that is nearest to the sum.
    """
    types = {type(base), type(ours), type(theirs)}
    try:
        if types == {int}:
            return ours + theirs - base
        if float in types:
            total = fractions.Fraction(ours) + fractions.Fraction(theirs)
            return float(total - fractions.Fraction(base))
        if not all(-_EXACT_MAX < number < _EXACT_MAX for number in (base, ours, theirs)):
            return None
        exact = _exact_context()
        return exact.subtract(exact.add(ours, theirs), base)
    except (ArithmeticError, ValueError):
        return None


def _exact_context() -> decimal.Context:
    """Return a context of decimals in which all that is not exact raises, whatever the app set."""
    return decimal.Context(
        prec=_DIGITS_MAX,
        rounding=decimal.ROUND_HALF_EVEN,
        Emin=-999_999,
        Emax=999_999,
        capitals=1,
        clamp=0,
        flags=[],
        traps=[decimal.Inexact, decimal.InvalidOperation],
    )
