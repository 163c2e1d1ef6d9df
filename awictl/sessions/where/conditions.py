"""Build conditions of what the parser found: check that the kinds fit, and return functions that need no parsing.

An unknown value, a missing one and a stored null are one and the same: no value. A comparison with no value is false;
`!=`, `!~` and `not in` are the opposites of `==`, `~` and `in`, and so true. Of a session that cannot be read, what its
document would say is undecided (None), and so is what depends on that.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import ge, gt, le, lt
from typing import Any

from ...document.json_codec import json_equal
from ...document.timestamps import parse_timestamp
from ...util.nearest import nearest
from .fields import Kind, SessionValues
from .operands import InvalidExpression, Operand, constant

#: Maximum depth of parentheses and `not`.
MAX_DEPTH = 100


#: Whether a session fulfils a condition; None if that is undecided.
Test = Callable[[SessionValues], bool | None]


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition that a session fulfils or not."""

    test: Test
    #: Whether it needs the document of a live session, and that of an archived one.
    needs_head: bool = False
    needs_document: bool = False
    depth: int = 0


def _condition(operands: Sequence[Operand], matches: Callable[[SessionValues], bool]) -> Condition:
    fields = [one.field for one in operands if one.field is not None]
    document = any(one.kind is Kind.ANY for one in operands)

    def if_readable(session: SessionValues) -> bool | None:
        return matches(session) if session.summary.error is None else None

    always = not document and all(one.always for one in fields)
    head = document or any(one.needs_head for one in fields)
    return Condition(matches if always else if_readable, needs_head=head, needs_document=document)


# -- comparisons


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return bool(one == other)
    return json_equal(one, other)


def _ordered(test: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    """The comparison of two numbers, two texts or two times; false for anything else."""

    def compare(one: Any, other: Any) -> bool:
        if isinstance(one, bool) or isinstance(other, bool):
            return False
        try:
            return test(one, other)
        except TypeError:
            return False

    return compare


_TESTS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": _same,
    "!=": _same,
    "<": _ordered(lt),
    "<=": _ordered(le),
    ">": _ordered(gt),
    ">=": _ordered(ge),
}
#: The operators that are true with both sides exchanged.
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


def compared(left: Operand, operator: str, right: Operand) -> Condition:
    """`left operator right`, with one of == != < <= > >=. Raises InvalidExpression."""
    if left.is_constant and right.is_constant:
        raise InvalidExpression(
            f"{left.name} and {right.name} are both values; one side has to be a field", left.position
        )
    negated = operator == "!="
    if Kind.NULL in (left.kind, right.kind):
        if operator not in ("==", "!="):
            raise InvalidExpression(f"null cannot be compared with {operator}, only with == and !=", right.position)
        values = (left if right.kind is Kind.NULL else right).values
        return _condition([left, right], lambda session: negated is bool(values(session)))
    left, right = _of_one_kind(left, right), _of_one_kind(right, left)
    if left.is_constant:
        left, operator, right = right, _MIRRORED.get(operator, operator), left
    test, lefts, rights, value = _TESTS[operator], left.values, right.values, right.constant

    def matches_value(session: SessionValues) -> bool:
        for one in lefts(session):  # noqa: SIM110  # half the time of any()
            if test(one, value):
                return True
        return False

    def matches_field(session: SessionValues) -> bool:
        return any(test(one, other) for one in lefts(session) for other in rights(session))

    matches = matches_value if right.is_constant else matches_field
    return _condition([left, right], _negated(matches) if negated else matches)


def _negated(matches: Callable[[SessionValues], bool]) -> Callable[[SessionValues], bool]:
    return lambda session: not matches(session)


def _of_one_kind(operand: Operand, other: Operand) -> Operand:
    """The operand, converted to the kind of the other one where that is safe. Raises InvalidExpression."""
    kinds = {operand.kind, other.kind}
    if kinds == {Kind.TIME, Kind.TEXT} and operand.kind is Kind.TEXT and operand.is_constant:
        moment = parse_timestamp(operand.constant)
        if moment is None:
            raise InvalidExpression(f"{operand.name} is not a time such as 2026-11-27T12:00Z", operand.position)
        return constant(Kind.TIME, moment, operand.position, operand.name)
    if kinds == {Kind.TIME, Kind.ANY} and operand.kind is Kind.ANY:
        values = operand.values
        return Operand(Kind.ANY, lambda session: _times(values(session)), operand.position, operand.name)
    if kinds == {Kind.TIME, Kind.TEXT} and other.is_constant:
        return operand  # the other one is converted
    if len(kinds) > 1 and (Kind.ANY not in kinds or Kind.DURATION in kinds):
        wrong, right = (other, operand) if other.is_constant else (operand, other)
        raise InvalidExpression(
            f"{right.name} is {right.kind.value}, and cannot be compared with {wrong.name}, {wrong.kind.value}",
            wrong.position,
        )
    if other.field is not None and other.field.choices and operand.is_constant:
        _check_choice(operand, other)
    return operand


def _check_choice(operand: Operand, field: Operand) -> None:
    choices = field.field.choices if field.field is not None else ()
    if operand.constant not in choices:
        hint = nearest(operand.constant, choices)
        raise InvalidExpression(
            f"{field.name} is never {operand.name}{hint}; it is one of {', '.join(choices)}", operand.position
        )


def _times(values: Sequence[Any]) -> Sequence[Any]:
    return [moment for moment in map(parse_timestamp, values) if moment is not None]


# -- regular expressions


def searched(left: Operand, pattern: Operand, *, negated: bool) -> Condition:
    """`left ~ pattern`: whether the regular expression is found in the text. Raises InvalidExpression."""
    if left.kind not in (Kind.TEXT, Kind.ANY) or left.is_constant:
        raise InvalidExpression(f"~ searches in text, and {left.name} is {left.kind.value}", left.position)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what a later version of Python may understand differently
            search = re.compile(pattern.constant).search
    except (re.error, RecursionError, OverflowError) as error:
        raise InvalidExpression(f"not a regular expression: {error}", pattern.position) from None
    values = left.values

    def matches(session: SessionValues) -> bool:
        return any(isinstance(one, str) and search(one) is not None for one in values(session))

    return _condition([left], _negated(matches) if negated else matches)


# -- in


def in_list(left: Operand, items: Sequence[Operand], *, negated: bool) -> Condition:
    """`left in (items)`: whether it is equal to one of them. Raises InvalidExpression."""
    if left.is_constant:
        raise InvalidExpression(f"{left.name} is a value; a field has to be on the left of a list", left.position)
    or_null = any(one.kind is Kind.NULL for one in items)
    items = [one for one in items if one.kind is not Kind.NULL]
    converted = [_of_one_kind(one, left) for one in items]
    of_times = [one.constant for one in converted if one.kind is Kind.TIME]
    keys = {_key(one.constant) for one in converted}
    values = left.values

    def matches(session: SessionValues) -> bool:
        found = values(session)
        if not found:
            return or_null
        if any(_key(one) in keys for one in found if not isinstance(one, (list, dict))):
            return True
        return bool(of_times) and any(one in of_times for one in _times(found))

    return _condition([left], _negated(matches) if negated else matches)


def _key(value: Any) -> Any:
    """What is equal for equal values: true is not 1."""
    return ("boolean", value) if isinstance(value, bool) else value


def in_field(item: Operand, container: Operand, *, negated: bool) -> Condition:
    """`item in container`: an element of an array, part of a text, or key of an object. Raises InvalidExpression."""
    if container.is_constant:
        raise InvalidExpression(
            f'after in stands a list such as ("a", "b"), or a field, and not {container.name}', container.position
        )
    if container.kind not in (Kind.TEXT, Kind.ANY):
        raise InvalidExpression(
            f"{container.name} is {container.kind.value}, which has nothing in it", container.position
        )
    if item.kind in (Kind.DURATION, Kind.TIME):
        raise InvalidExpression(f"the document has no such values as {item.name}, only JSON", item.position)
    items, containers = item.values, container.values

    def matches(session: SessionValues) -> bool:
        return any(_contains(each, one) for each in containers(session) for one in items(session))

    return _condition([item, container], _negated(matches) if negated else matches)


def _contains(container: Any, item: Any) -> bool:
    if isinstance(container, str):
        return isinstance(item, str) and item in container
    if isinstance(container, list):
        return any(one is None if item is None else one is not None and _same(one, item) for one in container)
    return isinstance(container, Mapping) and isinstance(item, str) and item in container


# -- and, or, not


def all_of(conditions: Sequence[Condition]) -> Condition:
    """The conjunction of conditions."""
    return _joined(conditions, _first([one.test for one in conditions], wanted=False))


def any_of(conditions: Sequence[Condition]) -> Condition:
    """The disjunction of conditions."""
    return _joined(conditions, _first([one.test for one in conditions], wanted=True))


def _first(tests: Sequence[Test], *, wanted: bool) -> Test:
    """`wanted` if one of the tests is; else None if one of them is undecided."""

    def test(session: SessionValues) -> bool | None:
        found: bool | None = not wanted
        for one in tests:
            if (result := one(session)) is wanted:
                return wanted
            if result is None:
                found = None
        return found

    return test


def negation(condition: Condition, position: int) -> Condition:
    """The opposite of a condition. Raises InvalidExpression."""
    test = condition.test

    def opposite(session: SessionValues) -> bool | None:
        return None if (result := test(session)) is None else not result

    return nested(_joined([condition], opposite), position)


def nested(condition: Condition, position: int) -> Condition:
    """A condition in parentheses, or after `not`. Raises InvalidExpression if it is nested too deeply."""
    if condition.depth >= MAX_DEPTH:
        raise InvalidExpression(f"nested more than {MAX_DEPTH} levels deep", position)
    return replace(condition, depth=condition.depth + 1)


def _joined(conditions: Sequence[Condition], test: Test) -> Condition:
    return Condition(
        test,
        any(one.needs_head for one in conditions),
        any(one.needs_document for one in conditions),
        max(one.depth for one in conditions),
    )
