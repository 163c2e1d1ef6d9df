"""Parse expressions: the grammar, and what its errors say.

The parser is LALR(1), so that the time is linear in the length. Conditions are built while it parses, without a tree.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedInput, UnexpectedToken, v_args

from ...document.timestamps import parse_timestamp
from . import conditions, operands
from .conditions import Condition
from .fields import Kind, SessionValues
from .operands import InvalidExpression, Operand, shown

#: Maximum number of characters of an expression.
MAX_LENGTH = 131_072
#: Maximum number of characters of an expression whose errors say exactly what was expected.
_EXACT_LENGTH = 4_096

_GRAMMAR = r"""
expression: disjunction
disjunction: conjunction (_OR conjunction)*
conjunction: _term (_AND _term)*
_term: negation | nested | comparison | search | membership
negation: NOT _term
nested: LPAR disjunction ")"

comparison: _operand COMPARE _operand
search: _operand SEARCH text
membership: _operand NOT? IN (items | _operand)
items: "(" _constant ("," _constant)* ","? ")"

_operand: field | _constant
field: NAME ("." (KEY | STRING))*
_constant: text | number | moment | ago | duration | word
text: STRING
number: NUMBER
moment: TIME
ago: DURATION AGO
duration: DURATION
word: WORD

_OR.2: /or\b|\|\|/i
_AND.2: /and\b|&&/i
NOT.2: /not\b|!(?![=~])/i
IN.2: /in\b/i
AGO.2: /ago\b/i
WORD.2: /(true|false|null)\b/i
COMPARE: /==|=(?!~)|!=|<=|>=|<|>/
SEARCH: /=~|~|!~/
LPAR: "("
NAME: /[^\W\d][\w-]*/
KEY: /[\w$@-]+/
STRING: /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'/s
TIME.3: /\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?(?!\w)/
DURATION.2: /(?:\d+(?:ms|[dhms]))+(?!\w)/
NUMBER.1: /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?:[kKMGT]i?B?)?(?!\w)/
%ignore /\s+/
"""

#: What may stand at the place of an error, by the terminals that the parser expects there; the first that fits.
_EXPECTED: Sequence[tuple[str, str]] = (
    ("KEY", "the name of a field after the point"),
    ("NAME", "a field or a value"),
    ("COMPARE", "an operator such as ==, <, ~ or in"),
    ("_AND", "and, or, or the end"),
    ("IN", "in"),
    ("STRING", "text in quotes"),
    ("COMMA", "a comma or )"),
    ("RPAR", ")"),
)
_UNITS_MS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_FACTORS = {
    unit: number for n, unit in enumerate("kMGT", 1) for unit, number in ((unit, 1000**n), (unit + "i", 1024**n))
}
_WORDS = {"true": True, "false": False, "null": None}
_DURATION = re.compile(r"(\d+)(ms|[dhms])")
_NUMBER = re.compile(r"([^kKMGT]+)(?:([kKMGT]i?)B?)?")
_ESCAPED = re.compile(r"\\([\"'\\])", re.DOTALL)


@dataclass(frozen=True, slots=True)
class WhereExpression:
    """A parsed expression."""

    text: str
    condition: Condition

    def matches(self, session: SessionValues) -> bool:
        """Whether a session fulfils it; one that cannot be read only if its document does not matter."""
        return self.condition.test(session) is True


def parse(text: str) -> WhereExpression:
    """Parse an expression. Raises InvalidExpression."""
    return WhereExpression(text, _parsed(text, "expression"))


def parse_field(text: str) -> Operand:
    """Parse the name of a field, as in an expression. Raises InvalidExpression."""
    operand: Operand = _parsed(text, "field")
    return operand


def _parsed(text: str, start: str) -> Any:
    try:
        if len(text) > MAX_LENGTH:
            raise InvalidExpression(f"longer than {MAX_LENGTH:,} characters", MAX_LENGTH)
        if not text.strip():
            raise InvalidExpression("an expression was expected, and there is none", 0)
        try:
            return _parser().parse(text, start=start)
        except UnexpectedInput as error:
            raise _syntax_error(text, error) from None
    except InvalidExpression as error:
        raise InvalidExpression(f"at column {error.position + 1}: {error}", error.position, text) from None


@cache
def _parser() -> Lark:
    return Lark(
        _GRAMMAR, parser="lalr", start=["expression", "field"], transformer=_Builder(), maybe_placeholders=False
    )


def _syntax_error(text: str, error: UnexpectedInput) -> InvalidExpression:
    at_end = isinstance(error, UnexpectedToken) and error.token.type == "$END"
    position = len(text) if at_end else error.pos_in_stream or 0
    allowed: Iterable[str] = ()
    if isinstance(error, UnexpectedCharacters):
        allowed = error.allowed or ()
    elif isinstance(error, UnexpectedToken):
        # the exact answer copies all that was parsed, once for each terminal
        allowed = (error.accepts if len(text) <= _EXACT_LENGTH else None) or error.expected or ()
    names = set(allowed)
    expected = next((what for name, what in _EXPECTED if name in names), "the end")
    if "_AND" in names and "RPAR" in names:
        expected = "and, or, or )"
    elif "LPAR" in names and "NAME" in names and "NOT" not in names:
        expected = 'a list such as ("a", "b"), or a field'
    if at_end:
        return InvalidExpression(f"{expected} was expected, and the expression ends", position)
    rest = text[position:]
    if rest[0] in "\"'":
        return InvalidExpression("the text that begins here has no closing quote", position)
    word = re.match(r"\w+|\S", rest)
    found = f", and not {shown(word[0])}" if word else ""
    return InvalidExpression(f"{expected} was expected{found}", position)


def _at(token: Token) -> int:
    return token.start_pos or 0


def _unquoted(token: str) -> str:
    r"""The text in quotes. `\"`, `\'` and `\\` are one character each; any other backslash is left as it is."""
    return _ESCAPED.sub(r"\1", token[1:-1])


@v_args(inline=True)
class _Builder(Transformer[Token, Any]):
    """Makes operands and conditions of what the parser has found."""

    def expression(self, condition: Condition) -> Condition:
        return condition

    def disjunction(self, *parts: Condition) -> Condition:
        return parts[0] if len(parts) == 1 else conditions.any_of(parts)

    def conjunction(self, *parts: Condition) -> Condition:
        return parts[0] if len(parts) == 1 else conditions.all_of(parts)

    def negation(self, token: Token, condition: Condition) -> Condition:
        return conditions.negation(condition, _at(token))

    def nested(self, token: Token, condition: Condition) -> Condition:
        return conditions.nested(condition, _at(token))

    def comparison(self, left: Operand, operator: Token, right: Operand) -> Condition:
        return conditions.compared(left, "==" if operator == "=" else str(operator), right)

    def search(self, left: Operand, operator: Token, pattern: Operand) -> Condition:
        return conditions.searched(left, pattern, negated=operator == "!~")

    def membership(self, left: Operand, *rest: Any) -> Condition:
        negated, right = len(rest) == 3, rest[-1]
        build: Callable[..., Condition] = conditions.in_list if isinstance(right, list) else conditions.in_field
        return build(left, right, negated=negated)

    def items(self, *items: Operand) -> list[Operand]:
        return [*items]

    def field(self, name: Token, *keys: Token) -> Operand:
        path = [_unquoted(key) if key.type == "STRING" else str(key) for key in keys]
        return operands.field_operand([str(name), *path], _at(name))

    def text(self, token: Token) -> Operand:
        return operands.constant(Kind.TEXT, _unquoted(token), _at(token), token)

    def number(self, token: Token) -> Operand:
        return operands.constant(Kind.NUMBER, _number(token), _at(token), token)

    def moment(self, token: Token) -> Operand:
        if (moment := parse_timestamp(str(token))) is None:
            raise InvalidExpression(f"{token} is not a time", _at(token))
        return operands.constant(Kind.TIME, moment, _at(token), token)

    def ago(self, token: Token, _: Token) -> Operand:
        try:
            moment = datetime.now(UTC) - timedelta(milliseconds=_milliseconds(token))
        except OverflowError:
            raise InvalidExpression(f"{shown(token)} ago is before the year 1", _at(token)) from None
        return operands.constant(Kind.TIME, moment, _at(token), f"{token} ago")

    def duration(self, token: Token) -> Operand:
        return operands.constant(Kind.DURATION, _milliseconds(token), _at(token), token)

    def word(self, token: Token) -> Operand:
        value = _WORDS[token.lower()]
        return operands.constant(Kind.NULL if value is None else Kind.BOOLEAN, value, _at(token), token)


def _number(token: Token) -> int | float:
    """The value of a number, such as -3, 0.5, 10k (10,000) or 4KiB (4,096)."""
    digits, unit = _NUMBER.fullmatch(token).groups()  # type: ignore[union-attr]  # the grammar says so
    try:
        value: int | float = int(digits)
    except ValueError:
        value = float(digits)  # also of more digits than Python converts to an integer
    return value * _FACTORS[unit.replace("K", "k")] if unit else value


def _milliseconds(token: Token) -> int:
    try:
        return sum(int(count) * _UNITS_MS[unit] for count, unit in _DURATION.findall(token))
    except ValueError:  # more digits than Python converts
        raise InvalidExpression(f"{shown(token)} is too long", _at(token)) from None
