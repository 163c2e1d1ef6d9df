"""The expression language of `--where`: what it means, and what its errors say and where."""

from __future__ import annotations

import operator
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from awictl.sessions.summaries import SessionState, Summary
from awictl.sessions.where.conditions import MAX_DEPTH
from awictl.sessions.where.fields import FIELDS, Place, SessionValues
from awictl.sessions.where.grammar import MAX_LENGTH, parse, parse_field
from awictl.sessions.where.operands import InvalidExpression

HEAD: dict[str, Any] = {
    "page_state": {"route": "/a", "filters": {"tag": "awi", "year": 2026}, "list": ["x", 1, True, None, {"id": "p"}]},
    "odd key": {"0": "zero"},
    "in": {"not": 1},
    "statistics": {"session_start": "2026-11-27T10:00:00.000Z"},
    "big": 2**53 + 1,
    "flag": True,
    "nothing": None,
}


def session(**changes: Any) -> SessionValues:
    fields: dict[str, Any] = {
        "session_id": "sess_1",
        "agent_id": "agent-7",
        "agent_name": "browser-1",
        "route": "/api/agent/posts",
        "actions": 12,
        "last_activity": "2026-11-27T11:00:00.000Z",
        "idle_ms": 1_200_000,
        "ttl_ms": 300_000,
        "bytes": 10_000,
        "failed_actions": 2,
        "state": SessionState.LIVE,
    }
    own = {name: changes.pop(name) for name in ("place", "head", "total", "started") if name in changes}
    return SessionValues(Summary(**fields | changes), **{"head": HEAD, "total": 20} | own)


def matches(expression: str, **changes: Any) -> bool:
    return parse(expression).matches(session(**changes))


@pytest.mark.parametrize(
    "expression",
    [
        'agent == "browser-1"', 'agent = "agent-7"', "agent=='browser-1'", 'agent != "browser-2"',
        'agent ~ "^browser"', 'agent =~ "7$"', 'agent !~ "firefox"', 'agent in ("a", "browser-1",)',
        'agent not in ("a", "b")', 'session == "sess_1" and id == "sess_1"',
        "actions > 10", "actions >= 12 and actions <= 12.0", "not actions < 12", "!actions<12", "failed != 0",
        "failed < total", "total == 20", "bytes == 10k", "bytes < 10KiB", "bytes < 1MB and bytes > 9.5k",
        "ttl <= 5m", "ttl < 1h30m", "idle > 19m59s", "idle in (20m, 1h)", "idle > ttl",
        "last_activity < 2026-11-27T11:00:01Z", 'last_activity > "2026-11-27T10:59"', "started == 2026-11-27T10:00Z",
        "started > 2026-11-27", "started < last_activity", "started in (2026-11-27T10:00:00+00:00)",
        'where == "live" and status in ("live", "ending")', 'route ~ "^/api/.*posts$"', 'route ~ "\\bposts\\b"',
        '"agent" in route', 'state.page_state.filters.tag == "awi"', 'state.page_state.filters."tag" == "awi"',
        'state."odd key"."0" == "zero"', 'state."odd key".0 == "zero"', "state.in.not == 1",
        '"x" in state.page_state.list', "1 in state.page_state.list", "true in state.page_state.list",
        "null in state.page_state.list", 'not "y" in state.page_state.list', '"y" not in state.page_state.list',
        'state.page_state.list.4.id == "p"', '"tag" in state.page_state.filters',
        "state.page_state.list.9 == null", "state.missing == null", "state.nothing == null", "state.flag != null",
        "state.flag == true", "state.flag != 1", "state.big == 9007199254740993", "state.big != 9007199254740992",
        "state.statistics.session_start < 2026-11-27T10:00:01Z", "state.page_state.filters.year in (2025, 2026.0)",
        "state.missing != 1", "not state.missing > 1", 'state.missing !~ "x"', "state.missing in (null, 3)",
        "actions > 1 and failed > 1 or failed > 9", "failed > 9 or actions > 1 && failed > 1 || failed > 10",
        "(failed > 9 or actions > 1) and not (failed == 0)",
        "actions > 1 AND NOT failed>9",
        'state.page_state.route < "/b"', 'agent == "browser-1" and agent == "agent-7"',
    ],
)  # fmt: skip
def test_it_matches(expression: str) -> None:
    assert matches(expression)
    assert not matches(f"not ({expression})")


@pytest.mark.parametrize(
    "expression",
    [
        "actions > 12", "state.missing == 1", "state.missing < 1", "state.missing > 1",
        'state.page_state.filters.year == "2026"', 'state.page_state.filters.year ~ "2026"', "state.flag == 1",
        "state.flag > 0", '"1" in route', "state.page_state.filters.tag > 1",
        'state.page_state.list == "x"', "state.page_state.list.x == 1",
        'agent in ("browser", "agent")', "state.page_state.list in (1, 2)",
    ],
)  # fmt: skip
def test_it_does_not_match(expression: str) -> None:
    assert not matches(expression)
    assert matches(f"not ({expression})")


def test_no_value_is_equal_to_null_and_nothing_else() -> None:
    unknown = dict.fromkeys(("agent_id", "agent_name", "route", "ttl_ms", "idle_ms", "failed_actions", "last_activity"))
    for name in ("agent", "route", "ttl", "idle", "failed", "last_activity"):
        assert matches(f"{name} == null", **unknown) and not matches(f"{name} != null", **unknown)
        assert not matches(f"{name} == null") and matches(f"null != {name}")
    assert (
        not matches("ttl < 1h", **unknown) and not matches("ttl >= 0s", **unknown) and matches("ttl != 5m", **unknown)
    )
    assert matches("started == null", head=None) and matches("started != null", head=None, started=datetime.now(UTC))


def test_a_time_ago_is_counted_from_now() -> None:
    recently = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    assert matches("last_activity < 30m ago and last_activity > 2h ago", last_activity=recently)
    assert not matches("last_activity > 30m ago", last_activity=recently)


def test_archived_sessions_are_told_apart() -> None:
    archived = {"place": Place.ARCHIVED, "state": SessionState.EXPIRED, "ttl_ms": None}
    assert matches('where == "archived" and status == "expired"', **archived)
    assert not matches('where == "archived"')


def test_an_unreadable_session_matches_only_what_is_known_of_it() -> None:
    broken = {"state": SessionState.UNREADABLE, "error": "not JSON", "head": None, "agent_id": None, "agent_name": None}
    assert matches('status == "unreadable" and bytes > 1k and ttl < 1h and session ~ "^sess_"', **broken)
    assert not matches('agent != "somebody"', **broken)
    assert not matches("not state.flag == true", **broken)
    assert matches('agent == "a" or status == "unreadable"', **broken)
    assert matches('not (agent == "a" and bytes < 1)', **broken)
    assert not matches('agent == "a" or status == "live"', **broken)
    assert not matches('not (agent == "a" or status == "live")', **broken)


def test_only_the_fields_that_are_used_are_read() -> None:
    listed = parse('agent == "a" and ttl < 5m and failed > 0 and where == "live"').condition
    assert (listed.needs_head, listed.needs_document) == (False, False)
    started = parse("not started > 2026-11-27").condition
    assert (started.needs_head, started.needs_document) == (True, False)
    document = parse('ttl < 5m or ("x" in state.list)').condition
    assert (document.needs_head, document.needs_document) == (True, True)


def test_a_field_by_its_name() -> None:
    assert parse_field("agent").values(session()) == ["browser-1", "agent-7"]
    assert parse_field("state.page_state.filters.tag").values(session()) == ("awi",)
    assert parse_field("state.missing").values(session()) == ()
    with pytest.raises(InvalidExpression, match="column 1: state is the whole document"):
        parse_field("state")
    with pytest.raises(InvalidExpression, match="column 1: there is no field agnt"):
        parse_field("agnt")
    with pytest.raises(InvalidExpression, match="column 7"):
        parse_field("agent == 1")


@pytest.mark.parametrize(
    ("expression", "column", "message"),
    [
        ("", 1, "an expression was expected"),
        ("   ", 1, "an expression was expected"),
        ("actions > 10 and", 17, "a field or a value was expected, and the expression ends"),
        ("actions > 10 10", 14, "and, or, or the end was expected, and not 10"),
        ("(actions > 1", 13, ") was expected"),
        ("actions", 8, "an operator such as ==, <, ~ or in was expected"),
        ("actions 5", 9, "an operator such as ==, <, ~ or in was expected, and not 5"),
        ("actions in", 11, 'a list such as ("a", "b"), or a field was expected'),
        ("actions in 5", 12, 'a list such as ("a", "b"), or a field'),
        ("state. == 1", 8, "the name of a field after the point"),
        ('agent == "abc', 10, "has no closing quote"),
        ("agnet == 'x'", 1, "there is no field agnet (did you mean agent?)"),
        ("agent == browser-1", 10, "text is written in quotes"),
        ("page_state.route == 'x'", 1, "starts with state: state.page_state.route"),
        ("agent.id == 'x'", 1, "agent has no fields"),
        ("state != 'ended'", 1, "state is the whole document: name a field of it, as in state.page_state.route"),
        ("ttl < 5m or 'ended' in state", 24, "whether it is live or has ended is the field status, as in status == "),
        ("idle > 20", 8, "idle is a duration such as 20m, and cannot be compared with 20, a number"),
        ("20 < idle", 1, "idle is a duration such as 20m, and cannot be compared with 20, a number"),
        ("state.x > 5m", 11, "cannot be compared with 5m, a duration"),
        ("route == 5", 10, "route is text, and cannot be compared with 5, a number"),
        ("failed == route", 1, "route is text, and cannot be compared with failed, a number"),
        ("route in ('a', 5)", 16, "cannot be compared with 5"),
        ("started > '2026-13'", 11, "'2026-13' is not a time"),
        ("started > 2026-13-01", 11, "2026-13-01 is not a time"),
        ("agent > null", 9, "null cannot be compared with >"),
        ("1 == 1", 1, "are both values; one side has to be a field"),
        ("'agent' != 'x'", 1, "are both values"),
        ("'a' in ('a', 'b')", 1, "a field has to be on the left of a list"),
        ("status == 'lvie'", 11, "status is never 'lvie' (did you mean live?)"),
        ("where in ('live', 'archive')", 19, "where is never 'archive' (did you mean archived?)"),
        ("route ~ '('", 9, "not a regular expression: missing )"),
        ("actions ~ '1'", 1, "~ searches in text, and actions is a number"),
        ("'a' in actions", 8, "actions is a number, which has nothing in it"),
        ("5m in state.list", 1, "no such values as 5m"),
        ("ttl < 5x", 7, "a field or a value was expected, and not 5x"),
        ("ttl < " + "9" * 5000 + "m", 7, "too long"),
        ("started > 99999999999d ago", 11, "before the year 1"),
        ("état == 1 and agent == 'ü' and x", 1, "there is no field état"),
        ("agent == '日本' and agnt == 'x'", 19, "there is no field agnt"),
        ("agent == 'e\u0301' und", 15, "and, or, or the end was expected, and not und"),
        ("agent == '\ud800' x", 14, "was expected, and not x"),
        ("\0", 1, "a field or a value was expected"),
        ("agent == 'a\0b' and \x1b[31m", 20, "a field or a value was expected"),
    ],
)  # fmt: skip
def test_an_error_names_the_column_and_what_was_expected(expression: str, column: int, message: str) -> None:
    with pytest.raises(InvalidExpression) as caught:
        parse(expression)
    assert str(caught.value).startswith(f"at column {column}: ")
    assert message in str(caught.value)
    assert caught.value.position == column - 1
    assert caught.value.expression == expression
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(("opening", "depth"), [("(", 1), ("not ", 1), ("! ( ", 2), ("not(not(", 4)])
def test_nesting_is_bounded_and_never_too_deep_for_python(opening: str, depth: int) -> None:
    def nested(count: int) -> str:
        return opening * count + "ttl < 5m" + ")" * (opening.count("(") * count)

    parse(nested(MAX_DEPTH // depth)).matches(session())  # it recurses no deeper than Python can
    with pytest.raises(InvalidExpression, match=f"nested more than {MAX_DEPTH} levels deep"):
        parse(nested(MAX_DEPTH // depth + 1))
    with pytest.raises(InvalidExpression, match=f"nested more than {MAX_DEPTH} levels deep"):
        parse(nested(10_000))
    with pytest.raises(InvalidExpression, match="the expression ends"):
        parse(opening * 10_000)


def test_a_long_expression_is_parsed_and_evaluated_without_recursion() -> None:
    long = " or ".join(['agent == "nobody"'] * 5_000) + ' or agent == "browser-1"'
    assert 100_000 < len(long) < MAX_LENGTH
    assert matches(long)
    assert matches(f"agent in ({', '.join(f'{chr(34)}a{n}{chr(34)}' for n in range(9_000))}, 'agent-7')")
    with pytest.raises(InvalidExpression, match="longer than"):
        parse(long + " " * MAX_LENGTH)


@pytest.mark.parametrize(
    "expression",
    [
        'agent ~ "[[a]|b"',  # Python warns of a nested set
        f"actions < {'9' * 5_000}",
        f"actions > -{'9' * 5_000}",
        "actions < 1e999",
        "agent == '\ud800'",
        "agent in ('\ud800', 'x')",
        "state.deep.0.0.0 != null",
        "state.deep == state.deep",
        "state.huge > 1e308",
        "state.page_state.list.99999999999999999999999999 == null",
        "state.page_state.list.\u0661 == 1",
    ],
)
def test_hostile_values_are_compared(expression: str) -> None:
    deep: Any = "end"
    for _ in range(50_000):
        deep = [deep]
    assert matches(expression, agent_name="\ud800", head=HEAD | {"deep": deep, "huge": 10**400})


# -- a property: any expression means what Python makes of the same tree

_SCALARS = st.one_of(
    st.integers(-3, 3), st.sampled_from([0.5, 1.0, -2.5]), st.sampled_from(["a", "b", 'q"\\', "é"]), st.booleans()
)
_DOCUMENTS = st.dictionaries(
    st.sampled_from(["x", "y", "odd key"]),
    st.one_of(
        st.none(),
        _SCALARS,
        st.lists(st.one_of(st.none(), _SCALARS), max_size=3),
        st.dictionaries(st.just("k"), _SCALARS),
    ),
)
_PATHS = st.sampled_from([("x",), ("y",), ("odd key",), ("x", "k"), ("y", "0"), ("x", "1")])
_COMPARE = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_LEAVES = st.one_of(
    st.tuples(st.sampled_from(sorted(_COMPARE)), _PATHS, _SCALARS),
    st.tuples(st.sampled_from(["in", "not in"]), _PATHS, st.lists(_SCALARS, min_size=1, max_size=3)),
    st.tuples(st.sampled_from(["contains", "null", "not null"]), _PATHS, _SCALARS),
    st.tuples(st.sampled_from(["~", "!~"]), _PATHS, st.sampled_from(["a", "^b$", "é"])),
)
_TREES = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.tuples(st.just("not"), inner),
        st.tuples(st.sampled_from(["and", "or"]), st.lists(inner, min_size=2, max_size=3)),
    ),
    max_leaves=6,
)


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return repr(value)


def _text(tree: Any) -> str:
    kind = tree[0]
    if kind == "not":
        return f"not ({_text(tree[1])})"
    if kind in ("and", "or"):
        return f" {kind} ".join(f"({_text(one)})" for one in tree[1])
    path = "state." + ".".join(one if one.isalnum() else f'"{one}"' for one in tree[1])
    match kind:
        case "in" | "not in":
            return f"{path} {kind} ({', '.join(map(_literal, tree[2]))})"
        case "contains":
            return f"{_literal(tree[2])} in {path}"
        case "null":
            return f"{path} == null"
        case "not null":
            return f"null != {path}"
        case _:
            if kind in _MIRRORED and tree[1] == ("y",):  # the same the other way round
                return f"{_literal(tree[2])} {_MIRRORED[kind]} {path}"
            return f"{path} {kind} {_literal(tree[2])}"


def _same(one: Any, other: Any) -> bool:
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _oracle(tree: Any, document: Any) -> bool:
    kind = tree[0]
    if kind == "not":
        return not _oracle(tree[1], document)
    if kind == "and":
        return all(_oracle(one, document) for one in tree[1])
    if kind == "or":
        return any(_oracle(one, document) for one in tree[1])
    value: Any = document
    for key in tree[1]:
        try:
            value = value[int(key)] if isinstance(value, list) else value.get(key)
        except (AttributeError, ValueError, IndexError):
            value = None
    other = tree[2]
    match kind:
        case "null":
            return value is None
        case "not null":
            return value is not None
        case "~":
            return isinstance(value, str) and re.search(other, value) is not None
        case "in":
            return value is not None and any(_same(value, one) for one in other)
        case "contains":
            if isinstance(value, str | dict):
                return isinstance(other, str) and other in value
            return isinstance(value, list) and any(one is not None and _same(one, other) for one in value)
        case "==":
            return value is not None and _same(value, other)
        case "!=" | "not in" | "!~":
            opposite = {"!=": "==", "not in": "in", "!~": "~"}[kind]
            return not _oracle((opposite, *tree[1:]), document)
    if isinstance(value, bool) or isinstance(other, bool) or isinstance(value, str) is not isinstance(other, str):
        return False
    return isinstance(value, int | float | str) and bool(_COMPARE[kind](value, other))


@given(_TREES, st.lists(_DOCUMENTS, min_size=1, max_size=5))
def test_an_expression_means_what_python_makes_of_the_same_tree(tree: Any, documents: list[Any]) -> None:
    expression = parse(_text(tree))
    for document in documents:
        assert expression.matches(session(head=document)) is _oracle(tree, document), (_text(tree), document)


_WORDS = [*"a.x()'\"\\=!~<5m\0é ", "gent", "state", "and", "not", "in", "null"]


@given(st.lists(st.sampled_from(_WORDS), max_size=30).map("".join))
def test_any_text_is_an_expression_or_an_error_with_a_place_in_it(text: str) -> None:
    try:
        parse(text)
    except InvalidExpression as error:
        assert 0 <= error.position <= len(text)


def test_the_guide_describes_every_field() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "select.md").read_text(encoding="utf-8")
    described = re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`[^|]*) \| [a-z]+ \|", guide, re.MULTILINE)))
    assert sorted(described) == sorted(FIELDS)
