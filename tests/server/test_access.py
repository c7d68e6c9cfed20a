"""What nobody granted is refused, and so is whatever cannot be decided."""

from __future__ import annotations

import json
import logging
import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crdtsync.errors import ConfigurationError
from crdtsync.server.access import (
    ALLOWED,
    AccessPolicy,
    AllowAll,
    Decision,
    JudgedAction,
    Level,
    PatternPolicy,
    Rule,
    check_pattern,
    decide,
    load_policy,
    matches,
    refused,
)
from crdtsync.server.authentication import Identity

ANN = Identity("ann")
ACTION = JudgedAction("b", "ann", 2**52, "rename", {"to": "x"}, 0, 1)
POLICY_FAILED = "the server's access policy failed"

pieces = st.sampled_from(["*", "?", "a", "b", "ab"])
segments = st.lists(pieces, min_size=0, max_size=4).map("".join).filter(lambda s: "**" not in s)
patterns = (
    st.lists(segments | st.sampled_from(["**", "{user}"]), min_size=1, max_size=5)
    .map("/".join)
    .filter(bool)
)
names = st.text("ab*?{}", max_size=4)
documents = st.lists(st.text("ab", max_size=4), min_size=1, max_size=6).map("/".join)
users = st.none() | names | st.sampled_from(["a", "b", "ab", "a/b", "{user}", "**"])


def matches_slowly(pattern: str, document: str, user: str | None) -> bool:
    """Match by a regular expression that says what the words of a pattern mean."""
    parts = []
    for segment in pattern.split("/"):
        if segment == "**":
            parts.append(".*")
        elif segment == "{user}":
            if user is None or "/" in user:
                return False
            parts.append(re.escape(user))
        else:
            signs = {"*": "[^/]*", "?": "[^/]"}
            parts.append("".join(signs.get(char, re.escape(char)) for char in segment))
    return re.fullmatch("/".join(parts), document, re.DOTALL) is not None


@given(patterns, documents, users)
@example("a/**/b", "a/b/b/b", None)
@example("**/a*b/**", "a/b/ab/ab", None)
@example("*a*b", "abab", None)
@example("{user}/**", "*/b", "*")
@example("**", "", None)
def test_a_pattern_means_what_it_says(pattern: str, document: str, user: str | None) -> None:
    check_pattern(pattern)
    assert matches(pattern, document, user) == matches_slowly(pattern, document, user)


@given(st.text(min_size=1).filter(lambda text: not set(text) & set("*?{}")), st.text())
def test_a_pattern_without_signs_is_one_name(pattern: str, document: str) -> None:
    check_pattern(pattern)
    assert matches(pattern, pattern)
    assert matches(pattern, document) == (pattern == document)


@given(users.filter(lambda user: user != ""), documents)
def test_nobody_gets_by_name_what_is_in_anothers_folder(user: str | None, document: str) -> None:
    if matches("{user}/**", document, user):
        assert user == document.partition("/")[0]


@pytest.mark.parametrize(
    ("user", "document"),
    [
        ("*", "ann/diary"),
        ("**", "ann/diary"),
        ("???", "ann/diary"),
        ("{user}", "ann/diary"),
        ("ann/diary", "ann/diary/monday"),
        ("Ann", "ann/diary"),
        ("ann ", "ann/diary"),
        (".", "ann/diary"),
        ("", "ann/diary"),
        (None, "ann/diary"),
        (None, "None/diary"),
        ("ann", "ann"),
        ("ann", "annex/diary"),
        ("ann", "home/ann/diary"),
        ("ann", "/ann/diary"),
    ],
)
def test_tricks_with_names_lead_nowhere(user: str | None, document: str) -> None:
    assert not matches("{user}/**", document, user)


def test_a_document_is_its_name_and_not_a_path() -> None:
    assert not matches("public/*", "public/../secret")
    assert matches("public/**", "public/../secret")  # a name like any other: it leads nowhere


@pytest.mark.parametrize(
    "pattern", ["", "a**", "**a", "***", "a/b**/c", "{name}", "{user", "x{user}", "{user}-*", "{}"]
)
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ConfigurationError):
        check_pattern(pattern)
    with pytest.raises(ConfigurationError):
        Rule(Level.READ, ("a", pattern), everybody=True)


def test_no_name_takes_long() -> None:
    begun = time.process_time()
    assert not matches("*a" * 20 + "b", "a" * 512)
    assert not matches("**/a/" * 20 + "b", "a/" * 256)
    assert not matches("**/*a*a*a/" * 10 + "b", "aaaaaaaa/" * 56)
    assert time.process_time() - begun < 1


@pytest.mark.parametrize("user", [ANN, Identity(None)])
def test_without_rules_nothing_is_granted(user: Identity) -> None:
    policy = PatternPolicy([])
    assert policy.may_read(user, "b").reason == "no rule lets you read this document"
    assert policy.may_write(user, "b").reason == "no rule lets you write this document"


def may(policy: AccessPolicy, user: Identity, document: str) -> str:
    read, write = policy.may_read(user, document), policy.may_write(user, document)
    assert read or not write
    return "write" if write else "read" if read else ""


def test_a_rule_is_for_those_it_names() -> None:
    policy = PatternPolicy(
        [
            Rule(Level.READ, ("public/**",), everybody=True),
            Rule(Level.WRITE, ("home/{user}/**",), everybody=True),
            Rule(Level.WRITE, ("public/**", "board"), frozenset({"bob"}), frozenset({"editors"})),
        ]
    )
    editor = Identity("eve", claims={"groups": ["staff", "editors"]})
    expected = {
        "public/news": ["read", "write", "write", "read"],
        "home/ann/diary": ["write", "", "", ""],
        "home/eve/diary": ["", "", "write", ""],
        "board": ["", "write", "write", ""],
        "public": ["", "", "", ""],
        "other": ["", "", "", ""],
    }
    for document, granted in expected.items():
        people = [ANN, Identity("bob"), editor, Identity(None)]
        assert [may(policy, user, document) for user in people] == granted


@pytest.mark.parametrize(
    "groups", ["editors", ["editor", "s"], [["editors"]], {"editors": 1}, None, 7, [None], True]
)
def test_groups_are_a_list_of_names_or_none(groups: Any) -> None:
    policy = PatternPolicy([Rule(Level.READ, ("b",), groups=frozenset({"editors", "e"}))])
    assert may(policy, Identity("ann", claims={"groups": groups}), "b") == ""
    assert may(policy, Identity("ann", claims={"groups": ["editors", groups]}), "b") == "read"


def test_groups_may_be_in_another_claim() -> None:
    rule = Rule(Level.READ, ("b",), groups=frozenset({"editors"}))
    policy = PatternPolicy([rule], groups_claim="roles")
    assert may(policy, Identity("ann", claims={"roles": ["editors"]}), "b") == "read"
    assert may(policy, Identity("ann", claims={"groups": ["editors"]}), "b") == ""


def test_a_user_is_no_group_and_a_group_no_user() -> None:
    rule = Rule(Level.READ, ("b",), frozenset({"ann"}), frozenset({"editors"}))
    policy = PatternPolicy([rule])
    assert may(policy, Identity("editors"), "b") == ""
    assert may(policy, Identity("bob", claims={"groups": ["ann"]}), "b") == ""


rules = st.builds(
    Rule,
    st.sampled_from(Level),
    st.lists(patterns, min_size=1, max_size=2).map(tuple),
    st.frozensets(st.sampled_from(["a", "b"]), max_size=2),
    st.frozensets(st.sampled_from(["g"]), min_size=1),
    st.booleans(),
)
identities = st.builds(
    lambda user, groups: Identity(user, claims={"groups": groups}),
    users,
    st.lists(st.sampled_from(["g", "h"]), max_size=2),
)


@given(st.lists(rules, max_size=4), rules, st.randoms(), identities, documents)
def test_more_rules_grant_more_and_their_order_is_nothing(
    some: list[Rule], further: Rule, random: Any, user: Identity, document: str
) -> None:
    shuffled = [*some, further]
    random.shuffle(shuffled)
    levels = ["", "read", "write"]
    before = levels.index(may(PatternPolicy(some), user, document))
    alone = levels.index(may(PatternPolicy([further]), user, document))
    assert levels.index(may(PatternPolicy(shuffled), user, document)) == max(before, alone)


def test_a_rule_for_nothing_or_nobody_is_a_mistake() -> None:
    with pytest.raises(ConfigurationError, match="no document"):
        Rule(Level.READ, (), everybody=True)
    with pytest.raises(ConfigurationError, match="nobody"):
        Rule(Level.READ, ("b",))


def test_single_actions_are_judged_by_the_apps_function() -> None:
    def judge(action: JudgedAction, view: Any) -> Decision:
        if action.name == "rename" and view()["archived"]:
            return refused("this board is archived")
        return ALLOWED

    policy = PatternPolicy([], judge=judge)
    assert policy.judge(ACTION, lambda: {"archived": False})
    decision = policy.judge(ACTION, lambda: {"archived": True})
    assert not decision
    assert decision.reason == "this board is archived"


def no_view() -> dict[str, Any]:
    raise AssertionError("a view costs something: nobody asked for it")


def test_without_a_function_actions_stand_and_no_view_is_made() -> None:
    assert PatternPolicy([]).judge(ACTION, no_view)
    assert AllowAll().judge(ACTION, no_view)


@pytest.mark.parametrize("user", [ANN, Identity(None)])
def test_allow_all_allows_all(user: Identity) -> None:
    assert may(AllowAll(), user, "b") == "write"


def test_a_decision_is_true_if_it_is_a_yes() -> None:
    assert ALLOWED
    assert ALLOWED.reason is None
    assert not refused("no")
    assert not refused("")


@pytest.mark.parametrize("decision", [ALLOWED, refused("no"), refused("")])
def test_a_decision_is_passed_on(decision: Decision, caplog: pytest.LogCaptureFixture) -> None:
    assert decide(lambda: decision) is decision
    assert caplog.records == []


@pytest.mark.parametrize("error", [ValueError("secret"), KeyError(1), RecursionError(), OSError()])
def test_a_policy_that_raises_refuses(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    def ask() -> Decision:
        raise error

    assert decide(ask).reason == POLICY_FAILED
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert record.exc_info[1] is error


@pytest.mark.parametrize("answer", [None, True, 1, "yes", "", ["allowed"], Decision])
def test_a_policy_that_does_not_answer_properly_refuses(
    answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert decide(lambda: answer).reason == POLICY_FAILED
    (record,) = caplog.records
    assert record.levelno == logging.ERROR


def test_a_policy_that_is_asynchronous_by_mistake_refuses() -> None:
    async def late() -> Decision:
        return ALLOWED

    answer: Any = late()
    assert decide(lambda: answer).reason == POLICY_FAILED
    answer.close()


TOML = """
groups_claim = "roles"

[[rules]]
access = "read"
documents = ["public/**"]
everybody = true

[[rules]]
access = "write"
documents = ["home/{user}/**", "shared/*"]
users = ["ann"]
groups = ["editors"]
"""
PLAIN: dict[str, Any] = {
    "groups_claim": "roles",
    "rules": [
        {"access": "read", "documents": ["public/**"], "everybody": True},
        {
            "access": "write",
            "documents": ["home/{user}/**", "shared/*"],
            "users": ["ann"],
            "groups": ["editors"],
        },
    ],
}


def load(tmp_path: Path, data: str | dict[str, Any]) -> PatternPolicy:
    path = tmp_path / ("access.toml" if isinstance(data, str) else "access.json")
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return load_policy(path)


@pytest.mark.parametrize("data", [TOML, PLAIN], ids=["toml", "json"])
def test_rules_are_read_from_a_file(tmp_path: Path, data: str | dict[str, Any]) -> None:
    policy = load(tmp_path, data)
    assert policy.rules == (
        Rule(Level.READ, ("public/**",), everybody=True),
        Rule(
            Level.WRITE,
            ("home/{user}/**", "shared/*"),
            frozenset({"ann"}),
            frozenset({"editors"}),
        ),
    )
    editor = Identity("eve", claims={"roles": ["editors"]})
    assert [may(policy, user, "shared/b") for user in (ANN, editor, Identity("bob"))] == [
        "write",
        "write",
        "",
    ]


def test_a_file_and_a_function_go_together(tmp_path: Path) -> None:
    path = tmp_path / "access.toml"
    path.write_text(TOML)
    policy = load_policy(path, judge=lambda *_: refused("no"))
    assert policy.judge(ACTION, no_view) == refused("no")


def test_a_file_without_rules_grants_nothing(tmp_path: Path) -> None:
    empty: list[str | dict[str, Any]] = ["", {}, {"rules": []}]
    for data in empty:
        assert may(load(tmp_path, data), ANN, "b") == ""


RULE = {"access": "read", "documents": ["b"], "everybody": True}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("[[rules]", "cannot be read"),
        ("rules = 1\nrules = 2", "cannot be read"),
        ({"rule": []}, "rule is not known; known are groups_claim, rules"),
        ({"rules": {}}, "rules is not a list"),
        ({"rules": None}, "rules is not a list"),
        ({"groups_claim": 7}, "groups_claim is not a text"),
        ({"rules": [7]}, "rule 1 is not an object"),
        ({"rules": [RULE, RULE | {"user": ["ann"]}]}, "rule 2: user is not known"),
        ({"rules": [RULE | {"access": "all"}]}, "rule 1: access is neither"),
        ({"rules": [RULE | {"access": ["read"]}]}, "rule 1: access is neither"),
        ({"rules": [{"documents": ["b"], "everybody": True}]}, "rule 1: access is neither"),
        ({"rules": [{"access": "read", "everybody": True}]}, "documents is not a list of texts"),
        ({"rules": [RULE | {"documents": "**"}]}, "documents is not a list of texts"),
        ({"rules": [RULE | {"documents": [7]}]}, "documents is not a list of texts"),
        ({"rules": [RULE | {"documents": []}]}, "a rule for no document"),
        ({"rules": [RULE | {"documents": ["a**"]}]}, "rule 1: 'a\\*\\*'"),
        ({"rules": [RULE | {"users": "ann"}]}, "users is not a list of texts"),
        ({"rules": [RULE | {"groups": {"g": 1}}]}, "groups is not a list of texts"),
        ({"rules": [RULE | {"everybody": "no"}]}, "everybody is neither true nor false"),
        ({"rules": [RULE | {"everybody": 1}]}, "everybody is neither true nor false"),
        ({"rules": [RULE | {"everybody": False}]}, "a rule for nobody"),
        ({"rules": [RULE | {"everybody": False, "users": []}]}, "a rule for nobody"),
    ],
)
def test_a_slip_of_the_pen_opens_no_door(
    tmp_path: Path, data: str | dict[str, Any], why: str
) -> None:
    with pytest.raises(ConfigurationError, match=why) as caught:
        load(tmp_path, data)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"rules": [], "rules": []}', "[" * 10**5])
def test_what_is_no_json_object_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "access.json"
    path.write_text(text)
    with pytest.raises(ConfigurationError):
        load_policy(path)


def test_a_file_must_be_there_and_be_of_a_known_kind(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        load_policy(tmp_path / "access.toml")
    path = tmp_path / "access.yaml"
    path.write_text(TOML)
    with pytest.raises(ConfigurationError, match=r"\.toml nor in \.json"):
        load_policy(path)
    path = tmp_path / "access.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_policy(path)
